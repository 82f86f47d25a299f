"""What a backup lacks that the endpoint had: attributes that a tool for backups does not keep."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from operator import attrgetter

from redrill.model.manifest import Difference, Manifest, compare

_KEPT_BY_FEW = ("xattrs", "link_group", "flags")
"""What is lost silently; contents, owners, permissions and times are kept by every tool for backups."""

_SAME = attrgetter("kind", "sha256", "target", "mtime_ns")


def find_lacking(before: Manifest, backup: Manifest) -> list[Difference]:
    """Return what an older backup lacks of files that have not been written to since; either may leave out the rest.

    It cannot be told from an attribute that was set after the backup: that, too, does not come back.
    """
    same = {path for path in before.entries.keys() & backup.entries.keys() if _is_same(before, backup, path)}
    groups = defaultdict[str | None, set[str]](set)
    for path in same:
        groups[before.entries[path].link_group].add(path)
    return list(_lacking(before, backup, same, groups))


def _lacking(
    before: Manifest, backup: Manifest, same: set[str], groups: Mapping[str | None, set[str]]
) -> Iterator[Difference]:
    for difference in compare(before, backup, _KEPT_BY_FEW):
        if difference.path in same and difference.attribute in _KEPT_BY_FEW:
            expected, found = difference.expected, difference.found
            is_link = difference.attribute == "link_group"
            # A second name that the backup does not have at all was given later.
            if found is None and len(groups[expected]) > 1 if is_link else _names(expected) - _names(found):
                yield difference


def _is_same(before: Manifest, backup: Manifest, path: str) -> bool:
    return _SAME(before.entries[path]) == _SAME(backup.entries[path])


def _names(value: object) -> set[object]:
    """Return the names of attributes, or the letters of flags."""
    return {pair[0] for pair in value} if isinstance(value, tuple) else set(str(value or ""))
