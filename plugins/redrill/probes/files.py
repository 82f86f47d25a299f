"""Reads the manifest of a machine's files in one round trip, by one shell program that only reads."""

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import zstandard

from redrill.errors import MachineError
from redrill.machine.protocol import Machine
from redrill.machine.walker import decode, encode, walk, with_link_groups
from redrill.model.deadline import Deadline
from redrill.model.manifest import Entry, EntryKind, Manifest

_KINDS = {
    b"f": EntryKind.FILE,
    b"d": EntryKind.DIRECTORY,
    b"l": EntryKind.SYMLINK,
    b"p": EntryKind.FIFO,
    b"s": EntryKind.SOCKET,
    b"b": EntryKind.BLOCK,
    b"c": EntryKind.CHARACTER,
}
_GONE = "No such file or directory"

# Every name travels between NULs; an empty name ends a section. Two writers into one pipe tear each other's records and
# complaints, so the first slot of xargs owns the output and the second goes through sort, which prints nothing before
# both ended; complaints (records with '!') go the same ways. The attributes wait in their pipe for the digests.
_PROGRAM = r"""
export LC_ALL=C
for tool in find xargs sha256sum sort stat; do
  command -v $tool >/dev/null || { echo "A manifest needs '$tool', which is missing." >&2; exit 127; }
done
cd "${ROOT-}/" || exit
set --
for path in @STARTS@; do
  if [ -e "$path" ] || [ -h "$path" ]; then set -- "$@" "$path"; fi
done
[ $# -gt 0 ] || set -- ./ -maxdepth 0 ! -path ./
attributes() {
  command -v getfattr >/dev/null || { printf '\0'; return; }
  printf 'has_xattrs\n'
  words=$({ find "$@" -xdev @PRUNE@ -print0 2>/dev/null |
    xargs -0 -r -n 1000 getfattr -h -d -m - -e hex --absolute-names -- >&8; } 2>&1)
  printf '\0%s' "$words"
}
digest='words=$(sha256sum -z -- "$@" 2>&1 >&$((4 + SLOT))); [ -z "$words" ] || printf "!%s\\0" "$words" >&$((4 + SLOT))'
digests() {
  find "$@" -xdev @PRUNE@ -type f -print0 2>/dev/null |
    xargs -0 -r -P 2 -n 128 --process-slot-var=SLOT sh -c "$digest" sh
}
sections() {
  find "$@" -xdev @PRUNE@ -printf '%p\0%y %m %U %G %s %T@ %n %D:%i\0%l\0'
  printf '\0'
  find "$@" -xdev @PRUNE@ '(' -type b -o -type c ')' -exec stat --printf '%n\0%t:%T\0' '{}' +
  printf '\0'
  attributes "$@" 8>&1 | {
    { digests "$@" 4>&1 5>&3 3>&-; } 3>&1 >&6 6>&- | sort -z
    printf '\0'
    cat
  } 6>&1
  printf '\0'
}
produce() {
  words=$({ sections "$@" >&7; } 2>&1)
  printf '%s\0END\0' "$words"
}
if command -v zstd >/dev/null; then produce "$@" 7>&1 | zstd -q -1 -c; else produce "$@" 7>&1; fi
"""


_PIECE = 1 << 16


def read_manifest(machine: Machine, paths: Sequence[str], skip: Sequence[str], deadline: Deadline) -> Manifest:
    """Return the manifest of ``paths`` without the subtrees in ``skip``, both absolute; see ``walker.walk``."""
    if machine.root and not machine.has_init:
        return walk(Path(machine.root), paths, skip)
    return receive_manifest(machine, paths, skip, deadline)


def receive_manifest(machine: Machine, paths: Sequence[str], skip: Sequence[str], deadline: Deadline) -> Manifest:
    """Return what ``manifest_command`` printed on the machine; MachineError when its output is cut off."""
    with machine.receive(manifest_command(paths, skip), deadline) as chunks:
        manifest = _parse(_tokens(_decompress(chunks)))
    if manifest is None:
        raise MachineError(f"The manifest of '{machine.name}' ended early; nothing can be said about its files.")
    return manifest


def manifest_command(paths: Sequence[str], skip: Sequence[str] = ()) -> str:
    """Return the shell program that prints the manifest of ``paths``, zstd-compressed where the machine can."""
    starts = " ".join(shlex.quote("." + path) for path in paths)
    patterns = (shlex.quote("." + re.sub(r"([*?\[\\])", r"\\\1", path.rstrip("/"))) for path in skip)
    prune = " ".join(f"-path {pattern} -prune -o" for pattern in patterns)
    return _PROGRAM.replace("@STARTS@", starts).replace("@PRUNE@", prune)


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


class _Row(NamedTuple):
    facts: bytes
    target: bytes


def _parse(tokens: Iterator[bytes]) -> Manifest | None:
    """Return the manifest; None when something is missing at its end."""
    try:
        rows = {name: _Row(next(tokens), next(tokens)) for name in iter(tokens.__next__, b"")}
        devices = {name: _device(next(tokens)) for name in iter(tokens.__next__, b"")}
        complaints: list[bytes] = []
        digests = dict(_parse_digests(iter(tokens.__next__, b""), complaints))
        flag, _, listing = next(tokens).partition(b"\n")
        complaints += [next(tokens), next(tokens)]
        is_whole = [next(tokens), *tokens] == [b"END"]
    except StopIteration:
        return None
    if not is_whole:
        return None
    lines = [decode(line) for words in complaints for line in words.split(b"\n") if line]
    builder = _Builder(rows, devices, digests, dict(_parse_xattrs(listing)), lines)
    return Manifest(builder.entries, tuple(sorted(builder.unreadable, key=encode)), flag == b"has_xattrs")


class _Builder:
    """Makes entries of rows; consumes them, so that a big tree is not held twice."""

    def __init__(
        self,
        rows: dict[bytes, _Row],
        devices: dict[bytes, str],
        digests: dict[bytes, str],
        xattrs: dict[bytes, tuple[tuple[str, str], ...]],
        words: list[str],
    ) -> None:
        self._devices, self._digests, self._xattrs = devices, digests, xattrs
        self._words = frozenset(words)
        self._links: dict[bytes, list[str]] = {}
        self.unreadable = set(_parse_complaints(words))
        entries: dict[str, Entry] = {}
        while rows:
            name, row = rows.popitem()
            if (entry := self._entry(name, row)) is not None:
                entries[entry.path] = entry
        self.entries = with_link_groups(entries, self._links.values())

    def _entry(self, name: bytes, row: _Row) -> Entry | None:
        kind_letter, mode, uid, gid, size, mtime, links, inode = row.facts.split(b" ")
        kind, path = _KINDS[kind_letter], _path(name)
        digest = self._digests.pop(name, None)
        if kind is EntryKind.FILE and digest is None:
            if self._has_vanished(name):
                return None
            self.unreadable.add(path)
        if kind is not EntryKind.DIRECTORY and int(links) > 1:
            self._links.setdefault(inode, []).append(path)
        return Entry(
            path=path,
            kind=kind,
            mode=int(mode, 8),
            uid=int(uid),
            gid=int(gid),
            size=int(size) if kind is EntryKind.FILE else 0,
            mtime_ns=_nanoseconds(mtime),
            sha256=digest,
            target=decode(row.target) if kind is EntryKind.SYMLINK else None,
            device=self._devices.get(name),
            xattrs=self._xattrs.pop(name, ()),
        )

    def _has_vanished(self, name: bytes) -> bool:
        text = decode(name)
        return any(f"sha256sum: {shown}: {_GONE}" in self._words for shown in (text, f"'{text}'"))


def _parse_digests(tokens: Iterator[bytes], complaints: list[bytes]) -> Iterator[tuple[bytes, str]]:
    """Yield names with their digests; what is no digest is added to ``complaints``."""
    for token in tokens:
        if token.startswith(b"!"):
            complaints.append(token[1:])
        else:
            yield token[66:], token[:64].decode("ascii")


def _path(name: bytes) -> str:
    return decode(name[1:])


def _device(numbers: bytes) -> str:
    return ":".join(str(int(number, 16)) for number in numbers.split(b":"))


def _nanoseconds(mtime: bytes) -> int:
    # find prints whole seconds rounded down and then the part that is added to them, so -2.25 is 1.75 s before 1970.
    seconds, _, fraction = mtime.partition(b".")
    return int(seconds) * 10**9 + int(fraction[:9])


def _parse_xattrs(listing: bytes) -> Iterator[tuple[bytes, tuple[tuple[str, str], ...]]]:
    for block in listing.split(b"\n\n"):
        first, *lines = block.strip(b"\n").split(b"\n")
        if first.startswith(b"# file: "):
            yield _unescape(first.removeprefix(b"# file: ")), tuple(sorted(map(_parse_xattr, lines)))


def _parse_xattr(line: bytes) -> tuple[str, str]:
    name, _, value = line.partition(b"=")
    return decode(_unescape(name)), value.removeprefix(b"0x").decode("ascii")


def _unescape(text: bytes) -> bytes:
    return re.sub(rb"\\([0-7]{3})", lambda found: bytes([int(found[1], 8)]), text)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def _parse_complaints(words: list[str]) -> Iterator[str]:
    """Yield the paths that find and getfattr could not read, and every line that cannot be attributed, as it is."""
    for line in words:
        if line.startswith("sha256sum: ") or line.endswith((f": {_GONE}", ": No data available")):
            continue  # a digest that is missing already tells the first
        if found := re.fullmatch(r"find: '(\..*)': [^:]*", line):
            yield _path(encode(re.sub(r"\\([0-7]{3}|.)", _expand, found[1])))
        elif found := re.fullmatch(r"getfattr: (\./.*?): (?:.*: )?[^:]*", line):
            yield _path(_unescape(encode(found[1])))
        else:
            yield line


def _expand(found: re.Match[str]) -> str:
    code = found[1]
    return decode(bytes([int(code, 8)])) if len(code) == 3 else _ESCAPES.get(code, code)
