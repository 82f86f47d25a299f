"""From the text of a waivers file to its waivers, or to every mistake in it with its place."""

import hashlib
import json
from pathlib import Path

from pydantic import ValidationError

from redrill.errors import FleetError
from redrill.model.fleet import Name
from redrill.model.mistakes import explain, place_of
from redrill.model.strict_yaml import Document, Mistake, parse_yaml
from redrill.model.values import Value
from redrill.model.waivers import Count, Waiver, Waivers


class WaiversFile(Value):
    """The top level of a waivers file."""

    max_extensions: Count = Waivers().max_extensions
    waivers: dict[Name, Waiver] | None = None


def parse_waivers(text: bytes, source: Path) -> Waivers:
    """Return the waivers of a file; FleetError with every mistake as ``file:line:column: path: message``."""
    document = parse_yaml(text, str(source))
    mistakes = list(document.mistakes)
    waivers = _check(document, mistakes)
    if waivers is None or mistakes:
        raise FleetError(*dict.fromkeys(mistake.render(str(source)) for mistake in sorted(mistakes, key=_order)))
    return waivers.model_copy(update={"source": source, "digest": hashlib.sha256(text).hexdigest()})


def _check(document: Document, mistakes: list[Mistake]) -> Waivers | None:
    """Return what the document says, None when mistakes were added."""
    if not isinstance(document.data, dict):
        what = "is empty" if document.data is None else "is not a mapping"
        mistakes.append(Mistake(document.mark_at(()), (), f"the file {what}; give it the key 'waivers'."))
        return None
    try:
        # Through JSON, for only there does strictness allow lists for tuples and texts for dates.
        file = WaiversFile.model_validate_json(json.dumps(document.data), strict=True)
        return Waivers(max_extensions=file.max_extensions, waivers=file.waivers or {})
    except ValidationError as error:
        for detail in error.errors(include_url=False):
            path, is_key = place_of(detail)
            mistakes.append(Mistake(document.mark_at(path, is_key=is_key), path, explain(detail, WaiversFile)))
    return None


def _order(mistake: Mistake) -> tuple[object, ...]:
    return mistake.mark, mistake.message
