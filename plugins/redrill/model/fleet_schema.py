"""The JSON Schema of a fleet file, for editors and other tools."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from redrill.model.fleet import Endpoint
from redrill.model.fleet_file import NOT_SHARED, FleetFile
from redrill.model.folding import BACKEND_GROUPS, FLEET_BACKEND_GROUPS, NESTED_BACKEND_GROUPS

Schema = dict[str, Any]


def fleet_schema(settings_by_kind: Mapping[str, Mapping[str, type[BaseModel]]]) -> Schema:
    """Return the schema of the file, with the settings models of the backends by group and kind.

    Nothing below an endpoint is required, since defaults and roles may provide it.
    """
    top = FleetFile.model_json_schema()
    endpoint = _without_required(Endpoint.model_json_schema())
    definitions: Schema = endpoint.pop("$defs", {})
    definitions.pop("Backend", None)
    for key, group in BACKEND_GROUPS.items():
        kinds = settings_by_kind.get(group, {})
        definitions[key] = _backend_schema(kinds, definitions)
        endpoint["properties"][key] = _or_null({"$ref": f"#/$defs/{key}"})
    for key in NESTED_BACKEND_GROUPS:
        holder, _, name = key.partition(".")
        model = endpoint["properties"][holder]["anyOf"][0]["$ref"].rpartition("/")[2]
        definitions[model]["properties"][name] = _or_null({"$ref": f"#/$defs/{name}"})
    definitions["endpoint"] = _only(endpoint, {"name"})
    definitions["shared"] = _only(endpoint, NOT_SHARED)
    definitions["shared"]["description"] = "What endpoints inherit; what an endpoint says itself wins."
    properties = top["properties"]
    top.get("$defs", {}).pop("Backend", None)
    for key, group in FLEET_BACKEND_GROUPS.items():
        definitions[key] = _backend_schema(settings_by_kind.get(group, {}), definitions)
        properties[key] = _or_null({"$ref": f"#/$defs/{key}"})
    properties["defaults"] = _or_null({"$ref": "#/$defs/shared"})
    for key, layer in (("roles", "shared"), ("endpoints", "endpoint")):
        properties[key] = {"type": "object", "additionalProperties": _or_null({"$ref": f"#/$defs/{layer}"})}
    properties["endpoints"]["minProperties"] = 1
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **top,
        "title": "A redrill fleet file",
        "$defs": definitions,
    }


def _backend_schema(kinds: Mapping[str, type[BaseModel]], definitions: Schema) -> Schema:
    """Return the schema of one sort of backend; the settings that are allowed depend on the kind."""
    kind = {"type": "string", "enum": sorted(kinds)}
    branches = []
    for name, model in sorted(kinds.items()):
        settings = _without_required(model.model_json_schema(ref_template=f"#/$defs/{name}.{{model}}"))
        definitions.update({f"{name}.{key}": value for key, value in settings.pop("$defs", {}).items()})
        settings.setdefault("properties", {})["kind"] = {"const": name}
        condition = {"properties": {"kind": {"const": name}}, "required": ["kind"]}
        branches.append({"if": condition, "then": settings})
    return {"type": "object", "properties": {"kind": kind}, **({"allOf": branches} if branches else {})}


def _only(endpoint: Schema, refused: frozenset[str] | set[str]) -> Schema:
    properties = {key: value for key, value in endpoint["properties"].items() if key not in refused}
    return {**endpoint, "properties": properties}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _without_required(schema: Schema) -> Schema:
    """Return a schema in which no key of its models must be there."""
    bare = {key: value for key, value in schema.items() if key != "required"}
    if "$defs" in bare:
        bare["$defs"] = {name: _without_required(value) for name, value in bare["$defs"].items()}
    return bare
