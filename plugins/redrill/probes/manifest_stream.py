"""Reads what the manifest program prints: parses it while it comes, and makes the lines of a manifest of it."""

import re
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import zstandard

from redrill.machine.flags import only_kept
from redrill.machine.walker import KINDS, decode, encode
from redrill.model.manifest import EntryKind, front_of_line, middle_of_line, rest_of_line

_TYPES = {
    b"f": EntryKind.FILE,
    b"d": EntryKind.DIRECTORY,
    b"l": EntryKind.SYMLINK,
    b"p": EntryKind.FIFO,
    b"s": EntryKind.SOCKET,
    b"b": EntryKind.BLOCK,
    b"c": EntryKind.CHARACTER,
}
_DEVICES = (EntryKind.BLOCK, EntryKind.CHARACTER)
"""Their numbers are a record of their own, which does not change with their owners: they are read again each time."""

YOUNG_SECONDS = 60
"""A change leaves no trace in ctime within the same tick of the clock, and one through a mapping until it is written to
the disk (35 s by default): what changed so shortly before it was read is read again next time."""

_GONE = "No such file or directory"
_PIECE = 1 << 16

Xattrs = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class Record:
    """A record as it came, and what it says but for its name: the ``middle`` of its line, and what ends it.

    ``inode`` is 'device:inode' where it has more names.

    ``is_young`` says that it changed so lately that a further change might not show.
    """

    raw: bytes
    kind: EntryKind
    middle: str
    inode: str
    target: str | None
    is_young: bool
    digest: str | None = None


class Made(NamedTuple):
    """A raw record, whether it may be believed the next time, and its line in the manifest."""

    raw: bytes
    is_sure: bool
    line: str


@dataclass(slots=True)
class Listing:
    """All that the program said; names are bytes as find gives them, ``gone`` are raw records that are no more.

    ``is_change`` says that only what changed since what was known is in it, ``can_be_known`` that this is possible;
    ``offered`` is how many known records the machine has read.
    """

    identity: bytes = b""
    is_change: bool = False
    can_be_known: bool = False
    began: int = 0
    has_nanoseconds: bool = True
    gone: set[bytes] = field(default_factory=set)
    offered: int = 0
    records: dict[bytes, Record] = field(default_factory=dict)
    devices: dict[bytes, str] = field(default_factory=dict)
    device_records: dict[bytes, bytes] = field(default_factory=dict)
    xattrs: dict[bytes, Xattrs] = field(default_factory=dict)
    flags: dict[bytes, str] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)

    @property
    def has_xattrs(self) -> bool:
        """Whether the machine could read attributes."""
        return b"getfattr" in self.identity.split(b" ")

    @property
    def has_flags(self) -> bool:
        """Whether the machine could read flags."""
        return b"lsattr" in self.identity.split(b" ")


def read_listing(chunks: Iterator[bytes]) -> Listing | None:
    """Return what the program printed; None when something is missing at its end."""
    tokens = _tokens(_decompress(chunks))
    listing = Listing()
    try:
        listing.identity, way, clock = next(tokens), next(tokens), next(tokens)
        listing.began = int(clock)
        listing.is_change = way.endswith(b" changes")
        listing.can_be_known = way.startswith(b"gnu") and all(listing.identity.split(b" ")[:3])
        _read_records(iter(tokens.__next__, b""), listing, is_posix=way.startswith(b"posix"))
        _read_digests(iter(tokens.__next__, b""), listing)
        listing.xattrs.update(_parse_xattrs(next(tokens)[1:]))
        listing.flags.update(_parse_flags(next(tokens)[1:]))
        words = (next(tokens)[1:], next(tokens))
        is_whole = [next(tokens), *tokens] == [b"END"]
    except StopIteration:
        return None
    listing.complaints += [decode(line) for text in words for line in text.split(b"\n") if line]
    return listing if is_whole else None


def _decompress(chunks: Iterator[bytes]) -> Iterator[bytes]:
    first = next(chunks, b"")
    while len(first) < len(zstandard.FRAME_HEADER) and (more := next(chunks, b"")):
        first += more
    if not first.startswith(zstandard.FRAME_HEADER):
        yield first
        yield from chunks
        return
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    yield decompressor.decompress(first)
    for chunk in chunks:
        # In small pieces: a listing shrinks to a tenth, and a megabyte of it would come out as ten at once.
        yield from (decompressor.decompress(chunk[i : i + _PIECE]) for i in range(0, len(chunk), _PIECE))


def _tokens(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield what stands before each NUL; what follows the last one is thrown away, for it was cut off."""
    pending: list[bytes] = []
    for chunk in chunks:
        first, *rest = chunk.split(b"\0")
        pending.append(first)
        if rest:
            yield b"".join(pending)
            pending = [rest.pop()]
            yield from rest


def _read_records(tokens: Iterator[bytes], listing: Listing, *, is_posix: bool) -> None:
    parse = _parse_posix if is_posix else _parse_gnu
    for token in tokens:
        if not token.startswith(b"\t"):
            if total := _TOTAL.fullmatch(token):
                listing.offered = int(total[1]) + int(total[2])
            else:
                listing.gone.add(token)
            continue
        raw = token[1:]
        head, _, facts = raw.partition(b"//")
        name = head[1:]
        if head.startswith(b"r"):
            listing.devices[name] = ":".join(str(int(number, 16)) for number in facts.split(b":"))
            listing.device_records[name] = raw
        elif record := parse(raw, facts, listing.began):
            listing.records[name] = record
            listing.has_nanoseconds &= not is_posix or _FRACTION.search(facts) is not None


def _parse_gnu(raw: bytes, facts: bytes, began: int) -> Record:
    mode, uid, gid, size, mtime, links, inode, ctime, target = facts.decode("utf-8", "surrogateescape").split(" ", 8)
    seconds, _, fraction = mtime.partition(".")
    # find prints whole seconds rounded down and then the part that is added to them, so -2.25 is 1.75 s before 1970.
    times = int(seconds) * 10**9 + int(fraction[:9])
    kind = _TYPES[raw[:1]]
    middle = _middle(kind, (int(mode, 8), int(uid), int(gid), int(size), times))
    is_young = int(ctime.partition(".")[0]) > began - YOUNG_SECONDS
    return Record(
        raw, kind, middle, _shared(kind, links, inode), target if kind is EntryKind.SYMLINK else None, is_young
    )


_TOTAL = re.compile(rb"([0-9]+)\t[0-9]+\t([0-9]+)\ttotal")
_FRACTION = re.compile(rb"\.([0-9]{9}) ")


def _parse_posix(raw: bytes, facts: bytes, _began: int) -> Record | None:
    """Parse the record of a machine whose stat prints seconds, and what is below one where it shows the date."""
    fields = facts.decode("utf-8", "surrogateescape").split(" ", 11)
    if len(fields) < 12:
        return None  # the file vanished while it was looked at
    mode, uid, gid, size, seconds, links, inode, _ctime, _day, clock, _zone, target = fields
    bits, fraction = int(mode, 16), clock.partition(".")[2]
    times = int(seconds) * 10**9 + int(fraction or 0)
    kind = KINDS[stat.S_IFMT(bits)]
    middle = _middle(kind, (stat.S_IMODE(bits), int(uid), int(gid), int(size), times))
    return Record(raw, kind, middle, _shared(kind, links, inode), target if kind is EntryKind.SYMLINK else None, True)


def _middle(kind: EntryKind, numbers: tuple[int, int, int, int, int]) -> str:
    if kind is not EntryKind.FILE:
        numbers = (*numbers[:3], 0, numbers[4])
    return middle_of_line(kind, numbers)


def _shared(kind: EntryKind, links: str, inode: str) -> str:
    return inode if links != "1" and kind is not EntryKind.DIRECTORY else ""


def _read_digests(tokens: Iterator[bytes], listing: Listing) -> None:
    """Note the digests: of openssl many lines and a dot at once, of sha256sum one behind what it could not read."""
    for token in tokens:
        # A name may hold lines that look like those of openssl, but never where openssl would begin.
        if token == b"." or _OPENSSL.match(token):
            for found in _OPENSSL.finditer(token):
                _note_digest(listing, found[2], found[1])
            continue
        digest = _SHA256SUM.search(token)
        if digest:
            _note_digest(listing, token[digest.end() :], digest[1])
        words = token[: digest.start()] if digest else token
        listing.complaints += [decode(line) for line in words.split(b"\n") if line]


def _note_digest(listing: Listing, name: bytes, digest: bytes) -> None:
    record = listing.records.get(name)
    if record is not None and record.kind is EntryKind.FILE:
        record.digest = digest.decode("ascii")


_OPENSSL = re.compile(rb"^([0-9a-f]{64}) \*(.*)$", re.MULTILINE)
_SHA256SUM = re.compile(rb"^([0-9a-f]{64})  ", re.MULTILINE)


def path_of(name: bytes) -> str:
    """Return the absolute path of a name as find gives it."""
    return decode(name[1:]) or "/"


def _name_of(path: str) -> bytes:
    return encode(f".{path}" if path != "/" else ".")


def _parse_xattrs(listing: bytes) -> Iterator[tuple[bytes, Xattrs]]:
    for block in listing.split(b"\n\n"):
        first, *lines = block.strip(b"\n").split(b"\n")
        if first.startswith(b"# file: "):
            yield _unescape(first.removeprefix(b"# file: ")), tuple(sorted(map(_parse_xattr, lines)))


def _parse_xattr(line: bytes) -> tuple[str, str]:
    name, _, value = line.partition(b"=")
    return decode(_unescape(name)), value.removeprefix(b"0x").decode("ascii")


def _unescape(text: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), text)


def _parse_flags(listing: bytes) -> Iterator[tuple[bytes, str]]:
    """Yield letters by name, or by '#device:inode' where the name could not be printed in one line."""
    for line in listing.split(b"\n"):
        letters, _, name = line.partition(b" ")
        if name:
            yield name, only_kept(letters.decode("ascii", "replace"))


class LineMaker:
    """Makes the lines of a manifest of a listing; consumes it, so that a big tree is not held twice.

    ``unreadable`` are paths, and what was said that is about none. Link groups stay within what ``area_of`` gives for
    a path.
    """

    def __init__(self, listing: Listing, area_of: Callable[[str], int]) -> None:
        self._listing = listing
        self._area_of = area_of
        self._words = frozenset(listing.complaints)
        self.unreadable = set(_parse_complaints(listing.complaints))

    def make(self) -> Iterator[Made]:
        """Yield each record with its line; files that vanished meanwhile have none."""
        records = self._listing.records
        for name in [name for name, record in records.items() if record.kind is EntryKind.FILE and not record.digest]:
            if self._has_vanished(name):
                del records[name]
            else:
                self.unreadable.add(path_of(name))
        hidden = {name for name in map(_name_of, self.unreadable) if name in records}
        # The names of one inode are read again together, for what groups them is no part of their records.
        inodes = {inode for name in hidden if (inode := records[name].inode)}
        groups = self._groups()
        while records:
            name, record = records.popitem()
            is_sure = not (record.is_young or record.kind in _DEVICES or name in hidden or record.inode in inodes)
            yield Made(record.raw, is_sure, self._line(name, record, groups.get(name)))

    def _line(self, name: bytes, record: Record, group: str | None) -> str:
        device = self._listing.devices.get(name) if record.kind in _DEVICES else None
        texts = (record.digest, record.target, device, group)
        rest = rest_of_line(texts, self._listing.xattrs.pop(name, ()), self._flags_of(name, record))
        return front_of_line(path_of(name)) + record.middle + rest

    def _groups(self) -> dict[bytes, str]:
        """Return the first path of each group of names of one inode, for every name in it."""
        names: dict[tuple[int, str], list[bytes]] = {}
        for name, record in self._listing.records.items():
            if record.inode:
                names.setdefault((self._area_of(path_of(name)), record.inode), []).append(name)
        return {name: path_of(min(group)) for group in names.values() if len(group) > 1 for name in group}

    def _flags_of(self, name: bytes, record: Record) -> str:
        flags = self._listing.flags
        if not flags or record.kind not in (EntryKind.FILE, EntryKind.DIRECTORY):
            return ""
        inode = record.raw.partition(b"//")[2].split(b" ", 7)[6]
        return flags.get(b"#" + inode if b"\n" in name else name, "")

    def _has_vanished(self, name: bytes) -> bool:
        text = decode(name)
        shown = (text, f"'{text}'", f"can't open '{text}'")
        return any(f"sha256sum: {form}: {_GONE}" in self._words for form in shown)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _parse_complaints(words: list[str]) -> Iterator[str]:
    """Yield the paths that find and getfattr could not read, and every line that cannot be attributed, as it is."""
    for line in words:
        if line.startswith("sha256sum: ") or line.endswith((f": {_GONE}", ": No data available")):
            continue  # a digest that is missing already tells the first
        if found := re.fullmatch(r"find: '(\..*)': [^:]*", line):
            yield path_of(encode(re.sub(r"\\([0-7]{3}|.)", _expand, found[1])))
        elif found := re.fullmatch(r"find: (\./.*): [^:]*", line):
            yield path_of(encode(found[1]))
        elif found := re.fullmatch(r"getfattr: (\./.*?): (?:.*: )?[^:]*", line):
            yield path_of(_unescape(encode(found[1])))
        else:
            yield line


def _expand(found: re.Match[str]) -> str:
    code = found[1]
    return decode(bytes([int(code, 8)])) if len(code) == 3 else _ESCAPES.get(code, code)
