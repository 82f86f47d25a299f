"""Writes small archives in the POSIX format that ``tar_stream`` reads, of entries without content."""

from collections.abc import Iterable, Mapping

from redrill.machine.walker import encode
from redrill.model.manifest import Entry, EntryKind
from redrill.repositories.tar_headers import BLOCK

_TYPES = {
    EntryKind.FILE: b"0",
    EntryKind.SYMLINK: b"2",
    EntryKind.CHARACTER: b"3",
    EntryKind.BLOCK: b"4",
    EntryKind.DIRECTORY: b"5",
    EntryKind.FIFO: b"6",
}


def write_archive(entries: Iterable[Entry]) -> bytes:
    """Return an archive of the entries, in their order; every file in it is empty."""
    return b"".join(map(_member, entries)) + bytes(2 * BLOCK)


def _member(entry: Entry) -> bytes:
    slash = b"/" if entry.kind is EntryKind.DIRECTORY else b""
    pax = {
        b"path": encode(entry.path[1:]) + slash,
        b"uid": b"%d" % entry.uid,
        b"gid": b"%d" % entry.gid,
        b"mtime": _time(entry.mtime_ns),
    }
    if entry.target is not None:
        pax[b"linkpath"] = encode(entry.target)
    for name, value in entry.xattrs:
        pax[b"SCHILY.xattr." + encode(name).replace(b"%", b"%25").replace(b"=", b"%3D")] = bytes.fromhex(value)
    return extended_header(pax) + _header(_TYPES[entry.kind], mode=entry.mode, device=entry.device)


def extended_header(pax: Mapping[bytes, bytes]) -> bytes:
    """Return what precedes the header of a member, so that these records hold for it; b'' for none."""
    if not pax:
        return b""
    records = b"".join(_record(key, value) for key, value in pax.items())
    return _header(b"x", size=len(records)) + records + bytes(-len(records) % BLOCK)


def _record(key: bytes, value: bytes) -> bytes:
    """Return 'LENGTH key=value' and a newline, where the length counts its own digits."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def _time(nanoseconds: int) -> bytes:
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    return b"%s%d.%09d" % (b"-" if nanoseconds < 0 else b"", seconds, fraction)


def _header(kind: bytes, *, mode: int = 0, size: int = 0, device: str | None = None) -> bytes:
    major, _, minor = (device or "0:0").partition(":")
    block = b"".join(
        (
            b"redrill".ljust(100, b"\0"),
            b"%07o\0" % mode,
            b"%07o\0" % 0,
            b"%07o\0" % 0,
            b"%011o\0" % size,
            b"%011o\0" % 0,
            b" " * 8,
            kind,
            bytes(100),
            b"ustar\x0000",
            bytes(64),
            b"%07o\0" % int(major),
            b"%07o\0" % int(minor),
        )
    ).ljust(BLOCK, b"\0")
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]
