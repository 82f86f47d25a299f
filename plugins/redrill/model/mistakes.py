"""What pydantic found, said so that the writer of a fleet file knows what to do."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticInvalidForJsonSchema
from pydantic_core import ErrorDetails

_SECRET = re.compile(r"password|passphrase|passwd|secret|token|credential|private", re.IGNORECASE)
_WANTED = {
    "string_type": ("text", "write it in quotes"),
    "int_type": ("a whole number", "write decimal digits without quotes"),
    "float_type": ("a number", "write decimal digits without quotes"),
    "bool_type": ("true or false", "write true or false without quotes"),
    "path_type": ("a path", "write it in quotes"),
}
_STRUCTURES = {
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "tuple_type": "a list",
    "list_type": "a list",
    "set_type": "a list",
}
_ALTERNATIVES = re.compile(r"\^\(([\w|-]+)\)\$")
_LONGEST = 80


def explain(detail: ErrorDetails, model: type[BaseModel], hidden: Collection[str] = ()) -> str:
    """Return the sentence for one of pydantic's errors: the offending value, unless secret, and what to do.

    ``hidden`` are keys at the top of the model that nobody may write, so that they are not advised.
    """
    kind, loc = detail["type"], detail["loc"]
    if kind == "missing":
        return f"'{loc[-1]}' is missing; add it."
    if kind == "extra_forbidden":
        known = [key for key in known_keys(model, loc[:-1]) if len(loc) > 1 or key not in hidden]
        return _end(f"unknown key '{loc[-1]}'; {suggest(str(loc[-1]), known)}")
    if kind == "union_tag_invalid":
        known = detail["ctx"]["expected_tags"].replace("'", "").split(", ")
        return _end(f"there is no kind '{detail['ctx']['tag']}'; {suggest(detail['ctx']['tag'], known)}")
    if kind == "value_error":
        return _end(str(detail.get("ctx", {}).get("error", detail["msg"])))
    return _end(f"{show(detail['input'], loc)} {_refusal(detail)}")


def place_of(detail: ErrorDetails, data: Any = None) -> tuple[tuple[str | int, ...], bool]:
    """Return where one of pydantic's errors is, and whether it is about the key there rather than its value.

    With the ``data`` that was judged, the names of alternatives that were tried for a value are no part of the place.
    """
    loc = detail["loc"] if data is None else tuple(_without_alternatives(detail["loc"], data))
    is_key = loc[-1:] == ("[key]",)
    return (loc[:-1] if is_key else loc), is_key or detail["type"] == "extra_forbidden"


def _without_alternatives(loc: Sequence[str | int], data: Any) -> Iterator[str | int]:
    """Yield the parts of a place that are keys of the data, and the last, which may be one that is missing there."""
    for index, part in enumerate(loc):
        is_item = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if is_item or (isinstance(data, dict) and part in data):
            data = data[part]
        elif index < len(loc) - 1 or not isinstance(data, dict):
            continue
        yield part


def _refusal(detail: ErrorDetails) -> str:
    kind = detail["type"]
    if kind in _STRUCTURES:
        return f"stands where {_STRUCTURES[kind]} is wanted; write {_STRUCTURES[kind]}"
    if kind in _WANTED:
        wanted, advice = _WANTED[kind]
        return f"is not {wanted}; {advice}"
    if kind == "string_pattern_mismatch" and _ALTERNATIVES.fullmatch(detail["ctx"]["pattern"]):
        words = _ALTERNATIVES.sub(r"\1", detail["ctx"]["pattern"]).replace("|", "', '")
        return f"is none of '{words}'; write one of them"
    return f"is refused: {detail['msg'][:1].lower()}{detail['msg'][1:]}"


def show(value: Any, path: Sequence[str | int] = ()) -> str:
    """Return a value for a message: shortened, escaped, a structure by its sort only, a secret not at all."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    if any(isinstance(part, str) and _SECRET.search(part) for part in path):
        return "the (hidden) value"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = ascii(value) if isinstance(value, str) and not value.isprintable() else repr(value)
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def suggest(word: str, known: Sequence[str]) -> str:
    """Return advice on an unknown word: the nearest known one, else all of them."""
    near = get_close_matches(word[:_LONGEST], known, 1, 0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    listed = ", ".join(f"'{name}'" for name in known)
    return f"known are: {listed}" if listed else "none is known here; remove it"


def known_keys(model: type[BaseModel], path: Sequence[str | int]) -> list[str]:
    """Return the keys that a model takes at a path below it; none where anything goes."""
    schema = _schema_of(model)
    places = _resolve(schema, schema)
    for part in path:
        places = [below for place in places for below in _below(place, part, schema)]
    return sorted({key for place in places for key in place.get("properties", {})})


@lru_cache(maxsize=64)
def _schema_of(model: type[BaseModel]) -> dict[str, Any]:
    try:
        return model.model_json_schema()
    except PydanticInvalidForJsonSchema:
        return {}


def _below(place: Mapping[str, Any], part: str | int, schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if isinstance(part, int):
        below = place.get("items")
    elif place.get("properties", {}).get("kind", {}).get("const") == part:
        return [place]  # the name of an alternative, of which this is the one
    else:
        below = place.get("properties", {}).get(part, place.get("additionalProperties"))
    return _resolve(below, schema) if isinstance(below, dict) else []


def _resolve(place: Mapping[str, Any], schema: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    if "$ref" in place:
        return _resolve(schema["$defs"][place["$ref"].rpartition("/")[2]], schema)
    choices = place.get("anyOf", place.get("oneOf", place.get("allOf")))
    return [below for choice in choices for below in _resolve(choice, schema)] if choices else [place]


def _end(sentence: str) -> str:
    return sentence if sentence.endswith((".", "!", "?")) else f"{sentence}."
