"""What a tree of files looked like at one moment, and how two moments differ; paths are bytes as surrogateescape."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from json.encoder import encode_basestring_ascii as _quote
from typing import Any

from redrill.model.attributes import NAMELESS, Names, render_xattrs

SCHEMA = 2

_SECOND = 10**9


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
    ``xattrs`` are pairs of name and hex value, sorted, ACLs among them as ``system.posix_acl_*``; ``flags`` are the
    letters of chattr(1) that a backup keeps, in the order of ``machine.flags``.
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
    flags: str = ""


ATTRIBUTES = tuple(field.name for field in fields(Entry) if field.name != "path")
"""All that a comparison can look at."""

CONTENT_ATTRIBUTES = ("kind", "mode", "uid", "gid", "size", "sha256", "target", "device", "xattrs", "flags")
"""What must equal the image outside the state paths: times and link groups differ by how an image was unpacked."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Entries by path; ``unreadable`` names what could not be read.

    ``has_xattrs`` and ``has_flags`` say whether attributes and flags were seen, ``has_nanoseconds`` whether times are
    exact; else they are whole seconds.
    """

    entries: dict[str, Entry]
    unreadable: tuple[str, ...] = ()
    has_xattrs: bool = True
    has_flags: bool = True
    has_nanoseconds: bool = True

    @property
    def flags(self) -> dict[str, str]:
        """The flags by path, of those that have any."""
        return {path: entry.flags for path, entry in self.entries.items() if entry.flags}

    def with_flags(self, flags: Mapping[str, str]) -> "Manifest":
        """Return the manifest with the flags by path, of those that have any."""
        flagged = {path: replace(self.entries[path], flags=letters) for path, letters in flags.items()}
        return replace(self, entries=self.entries | flagged, has_flags=True)

    def dump(self) -> Iterator[str]:
        """Yield the manifest as JSON lines: a header, then one entry a line, and these lines sorted."""
        yield header_line(self.unreadable, **{name: getattr(self, name) for name in _KNOWS})
        yield from sorted(map(entry_line, self.entries.values()))

    @classmethod
    def parse(cls, lines: Iterable[str]) -> "Manifest":
        """Return the manifest that ``dump`` wrote; ValueError when it is not one of this schema."""
        iterator = iter(lines)
        header = parse_header(next(iterator, "{}"))
        entries = {entry.path: entry for entry in map(parse_entry, iterator)}
        return cls(entries, tuple(header["unreadable"]), **{name: header[name] for name in _KNOWS})


_KNOWS = tuple(field.name for field in fields(Manifest) if field.name.startswith("has_"))


@dataclass(frozen=True, slots=True)
class ManifestLines:
    """A manifest as it is stored: the lines of its entries, sorted, and what a Manifest knows besides."""

    lines: list[str]
    unreadable: tuple[str, ...] = ()
    has_xattrs: bool = True
    has_flags: bool = True
    has_nanoseconds: bool = True

    @classmethod
    def of(cls, manifest: Manifest) -> "ManifestLines":
        """Return a manifest as it would be stored."""
        _, *lines = manifest.dump()
        return cls(lines, manifest.unreadable, **{name: getattr(manifest, name) for name in _KNOWS})

    def dump(self) -> Iterator[str]:
        """Yield what ``Manifest.dump`` of the same entries yields."""
        yield header_line(self.unreadable, **{name: getattr(self, name) for name in _KNOWS})
        yield from self.lines

    def parse(self) -> Manifest:
        """Return the manifest with its entries."""
        return Manifest.parse(self.dump())


def header_line(unreadable: Sequence[str], **knows: bool) -> str:
    """Return the first line of a stored manifest; ``knows`` are the fields of Manifest that begin with ``has_``."""
    return json.dumps({"schema": SCHEMA, "unreadable": unreadable, **knows})


def parse_header(line: str) -> dict[str, Any]:
    """Return what ``header_line`` was given; ValueError when it is none of this schema."""
    header = json.loads(line)
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise ValueError(f"This is no manifest of schema {SCHEMA}: {header!r}.")
    return header


def entry_line(entry: Entry) -> str:
    """Return an entry as one line of JSON: its path, then its other fields in their order."""
    numbers = (entry.mode, entry.uid, entry.gid, entry.size, entry.mtime_ns)
    texts = (entry.sha256, entry.target, entry.device, entry.link_group)
    middle = middle_of_line(entry.kind, numbers)
    return front_of_line(entry.path) + middle + rest_of_line(texts, entry.xattrs, entry.flags)


def front_of_line(path: str) -> str:
    """Return the beginning of an entry's line."""
    return f"[{_quote(path)}"


def middle_of_line(kind: str, numbers: tuple[int, int, int, int, int]) -> str:
    """Return what follows in an entry's line; ``numbers`` are mode, uid, gid, size and time."""
    mode, uid, gid, size, mtime_ns = numbers
    return f',"{kind}",{mode},{uid},{gid},{size},{mtime_ns}'


def rest_of_line(
    texts: tuple[str | None, str | None, str | None, str | None], xattrs: Sequence[tuple[str, str]], flags: str
) -> str:
    """Return the end of an entry's line; ``texts`` are digest, target, device and link group."""
    words = ",".join(["null" if text is None else _quote(text) for text in texts])
    pairs = ",".join([f"[{_quote(name)},{_quote(value)}]" for name, value in xattrs]) if xattrs else ""
    return f',{words},[{pairs}],"{flags}"]'


def line_prefixes(parents: Iterable[str]) -> tuple[str, ...]:
    """Return how the lines of entries begin that are one of the parents, or inside one."""
    starts = [f"[{_quote(parent.rstrip('/'))[:-1]}" for parent in parents]
    return tuple(start + end for start in starts for end in '"/')


def parse_entry(line: str) -> Entry:
    """Return the entry that ``entry_line`` wrote; ValueError when the line is none."""
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
        return self.told(NAMELESS)

    def told(self, names: Names) -> str:
        """Return the difference as one line, with the names of users and groups beside their numbers."""
        path = self.path.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        path = "".join(char if char.isprintable() else repr(char)[1:-1] for char in path)
        if self.attribute == "missing":
            return f"{path}: missing, expected {self.expected}"
        if self.attribute == "unexpected":
            return f"{path}: unexpected {self.found}"
        if self.attribute == "xattrs":
            return f"{path}: xattrs: {render_xattrs(self.expected, self.found, names)}"
        found, expected = _render(self.attribute, self.found, names), _render(self.attribute, self.expected, names)
        return f"{path}: {self.attribute} is {found}, expected {expected}"


def _render(attribute: str, value: Any, names: Names) -> str:
    match attribute:
        case "mode":
            return f"{value:04o}"
        case "uid":
            return names.user(value)
        case "gid":
            return names.group(value)
        case "flags":
            return f"'{value}'" if value else "none"
    return repr(value)


def compare(expected: Manifest, found: Manifest, attributes: Sequence[str] = ATTRIBUTES) -> list[Difference]:
    """Return every difference in the order of the paths.

    A directory's size never differs, nor does what one side does not know: attributes, flags, parts of seconds.
    """
    attributes = [name for name in attributes if _is_known(name, expected) and _is_known(name, found)]
    if not (expected.has_nanoseconds and found.has_nanoseconds):
        expected, found = _in_seconds(expected), _in_seconds(found)
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


def _is_known(attribute: str, manifest: Manifest) -> bool:
    return getattr(manifest, f"has_{attribute}", True) is True


def _in_seconds(manifest: Manifest) -> Manifest:
    entries = {p: replace(e, mtime_ns=e.mtime_ns // _SECOND * _SECOND) for p, e in manifest.entries.items()}
    return replace(manifest, entries=entries)


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
