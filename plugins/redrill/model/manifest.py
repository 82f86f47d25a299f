"""What a tree of files looked like at one moment, and how two moments differ; paths are bytes as surrogateescape."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, fields
from enum import StrEnum
from typing import Any


class EntryKind(StrEnum):
    """The type of a directory entry."""

    FILE = "file"
    DIRECTORY = "directory"
    SYMLINK = "symlink"
    FIFO = "fifo"
    SOCKET = "socket"
    BLOCK = "block device"
    CHARACTER = "character device"


@dataclass(frozen=True, slots=True)
class Entry:
    """One directory entry.

    ``path`` is absolute; ``mode`` holds the permission bits (07777) and is 0o777 for links; ``size`` is in bytes and 0
    but for regular files; ``sha256`` is the hex digest of a regular file's content, ``target`` where a link points;
    ``device`` is 'major:minor'; ``link_group`` is the first path (in byte order, within the manifest) of the same
    inode if it has several;
    ``xattrs`` are pairs of name and hex value, sorted, ACLs among them as ``system.posix_acl_*``.
    """

    path: str
    kind: EntryKind
    mode: int
    uid: int
    gid: int
    size: int = 0
    mtime_ns: int = 0
    sha256: str | None = None
    target: str | None = None
    device: str | None = None
    link_group: str | None = None
    xattrs: tuple[tuple[str, str], ...] = ()


ATTRIBUTES = tuple(field.name for field in fields(Entry) if field.name != "path")
"""All that a comparison can look at."""

CONTENT_ATTRIBUTES = ("kind", "mode", "uid", "gid", "size", "sha256", "target", "device", "xattrs")
"""What must equal the image outside the state paths: times and link groups differ by how an image was unpacked."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Entries by path; ``unreadable`` names what could not be read, ``has_xattrs`` whether attributes were seen.

    ``flags`` are the letters of chattr(1) by path, for those that have any; only a backup's manifest knows them, and no
    comparison looks at them.
    """

    entries: dict[str, Entry]
    unreadable: tuple[str, ...] = ()
    has_xattrs: bool = True
    flags: dict[str, str] = field(default_factory=dict)

    def dump(self) -> Iterator[str]:
        """Yield the manifest as JSON lines: a header, then one entry a line in the order of the paths."""
        header = {"schema": 1, "unreadable": self.unreadable, "has_xattrs": self.has_xattrs}
        yield json.dumps(header | ({"flags": self.flags} if self.flags else {}))
        for path in sorted(self.entries):
            entry = self.entries[path]
            yield json.dumps([getattr(entry, name) for name in ("path", *ATTRIBUTES)])

    @classmethod
    def parse(cls, lines: Iterable[str]) -> "Manifest":
        """Return the manifest that ``dump`` wrote; ValueError when it is not one of schema 1."""
        iterator = iter(lines)
        header = json.loads(next(iterator, "{}"))
        if not isinstance(header, dict) or header.get("schema") != 1:
            raise ValueError(f"This is no manifest of schema 1: {header!r}.")
        entries = {entry.path: entry for entry in map(_parse_entry, iterator)}
        return cls(entries, tuple(header["unreadable"]), header["has_xattrs"], header.get("flags", {}))


def _parse_entry(line: str) -> Entry:
    values = dict(zip(("path", *ATTRIBUTES), json.loads(line), strict=True))
    values["kind"] = EntryKind(values["kind"])
    values["xattrs"] = tuple((name, value) for name, value in values["xattrs"])
    return Entry(**values)


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which a path is not as expected; ``attribute`` is 'missing', 'unexpected' or an attribute of Entry."""

    path: str
    attribute: str
    expected: Any = None
    found: Any = None

    def __str__(self) -> str:
        """Return the difference as one line, with unprintable bytes escaped."""
        path = self.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        path = "".join(char if char.isprintable() else repr(char)[1:-1] for char in path)
        if self.attribute == "missing":
            return f"{path}: missing, expected {self.expected}"
        if self.attribute == "unexpected":
            return f"{path}: unexpected {self.found}"
        render = _render_mode if self.attribute == "mode" else repr
        return f"{path}: {self.attribute} is {render(self.found)}, expected {render(self.expected)}"


def _render_mode(mode: int) -> str:
    return f"{mode:04o}"


def compare(expected: Manifest, found: Manifest, attributes: Sequence[str] = ATTRIBUTES) -> list[Difference]:
    """Return every difference in the order of the paths; a directory's size and an unknown xattr set never differ."""
    if not (expected.has_xattrs and found.has_xattrs):
        attributes = [name for name in attributes if name != "xattrs"]
    differences: list[Difference] = []
    for path in sorted(expected.entries.keys() | found.entries.keys()):
        before, after = expected.entries.get(path), found.entries.get(path)
        if before is None and after is not None:
            differences.append(Difference(path, "unexpected", found=after.kind.value))
        elif after is None and before is not None:
            differences.append(Difference(path, "missing", expected=before.kind.value))
        elif before != after:
            differences.extend(
                Difference(path, name, getattr(before, name), getattr(after, name))
                for name in attributes
                if getattr(before, name) != getattr(after, name)
            )
    return differences


@dataclass(frozen=True, slots=True)
class ChurnRule:
    """What is allowed to change by itself: differences of ``attributes`` (all when empty) at paths that match fully."""

    pattern: re.Pattern[str]
    attributes: frozenset[str] = frozenset()

    def covers(self, difference: Difference) -> bool:
        """Whether the rule explains the difference."""
        is_attribute = not self.attributes or difference.attribute in self.attributes
        return is_attribute and self.pattern.fullmatch(difference.path) is not None


def unexplained(differences: Iterable[Difference], rules: Sequence[ChurnRule]) -> list[Difference]:
    """Return the differences that no churn rule covers."""
    return [difference for difference in differences if not any(rule.covers(difference) for rule in rules)]
