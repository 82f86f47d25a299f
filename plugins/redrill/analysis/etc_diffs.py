"""How configuration differs from the default in its place, line by line."""

from collections.abc import Iterator
from difflib import unified_diff

from redrill.analysis.drift import Drift
from redrill.analysis.etc import EtcItem, find_items
from redrill.analysis.etc_sides import EtcSides, read_sides
from redrill.errors import UnknownFactError
from redrill.redaction import is_sensitive

_LONGEST = 400
"""Lines of one difference that are shown."""


def render_diffs(drift: Drift) -> str:
    """Return the unified differences of all items whose texts are known, '' when there are none or nobody knows."""
    try:
        return render_items(read_sides(drift))
    except UnknownFactError:
        return ""


def render_items(sides: EtcSides) -> str:
    """Return the unified differences of what is to be said of these sides."""
    return "\n".join(part for item in find_items(sides) if (part := "".join(_render(sides, item))))


def _render(sides: EtcSides, item: EtcItem) -> Iterator[str]:
    if not item.default:
        return
    texts = _texts(sides, item)
    if is_sensitive(item.path):
        yield f"{item.path}: {item.kind.value}; it may hold secrets, so only its hash was compared\n"
    elif texts is not None:
        lines = list(unified_diff(*texts, f"{item.default} (vendor)", f"{item.path} (here)"))
        if not lines:
            yield f"{item.path}: {item.kind.value}; only in its mode, or in what is hidden here\n"
        yield from (line if line.endswith("\n") else f"{line}\n" for line in lines[:_LONGEST])
        if len(lines) > _LONGEST:
            yield f"… and {len(lines) - _LONGEST} more lines\n"


def _texts(sides: EtcSides, item: EtcItem) -> tuple[list[str], list[str]] | None:
    """Return the vendor's lines and those here; None when one of them is not known."""
    texts = sides.texts
    theirs = texts.image.get(item.default)
    if theirs is None and item.default != item.path:
        theirs = texts.endpoint.get(item.default)
    mine = texts.endpoint.get(item.path)
    if theirs is None or mine is None:
        return None
    return theirs.splitlines(keepends=True), mine.splitlines(keepends=True)
