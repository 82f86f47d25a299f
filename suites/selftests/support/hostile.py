"""Archives that nobody should ever unpack, byte by byte, and a store that holds them as if they were backups."""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, repeat
from pathlib import Path

import zstandard

from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import Snapshot
from redrill.repositories.snapshot_folder import Marker, write_marker
from redrill.repositories.tar_stream import read_archive

FILE, HARD, SYMLINK, CHARACTER, BLOCK, DIRECTORY, FIFO, LONG = b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"L"
END = bytes(1024)
CONTENT = b"the content of a file\n" * 40
CAPABILITY = bytes.fromhex("0100000200200000" + "00" * 12)


def member(
    name: bytes,
    kind: bytes = FILE,
    *,
    data: bytes = b"",
    target: bytes = b"",
    mode: int = 0o644,
    size: int | None = None,
    pax: dict[bytes, bytes] | None = None,
    owner: bytes = b"0000000\0",
) -> bytes:
    """Return the blocks of one member; ``size`` is what the header claims, ``data`` what follows."""
    claimed = len(data) if size is None else size
    number = b"%011o\0" % claimed if claimed < 8**11 else b"\x80" + claimed.to_bytes(11, "big")
    header = bytearray(512)
    header[0 : min(len(name), 100)] = name[:100]
    header[100:108] = b"%07o\0" % mode
    header[108:116] = header[116:124] = owner
    header[124:136] = number
    header[136:148] = b"%011o\0" % 1_700_000_000
    header[148:156] = b" " * 8
    header[156:157] = kind
    header[157 : 157 + min(len(target), 100)] = target[:100]
    header[257:265] = b"ustar\x0000"
    header[329:337] = header[337:345] = b"0000001\0"
    header[148:156] = b"%06o\0 " % sum(header)
    extended = b"".join(record(key, value) for key, value in (pax or {}).items())
    before = member(b"pax", b"x", data=extended) if extended else b""
    return before + bytes(header) + data + bytes(-len(data) % 512)


def record(key: bytes, value: bytes) -> bytes:
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, key, value)


def folder(name: bytes, mode: int = 0o755) -> bytes:
    return member(name, DIRECTORY, mode=mode)


BASE = (
    folder(b"home/")
    + member(b"home/file", data=CONTENT)
    + folder(b"etc/")
    + member(b"etc/file", data=CONTENT)
    + folder(b"var/")
    + member(b"var/file", data=CONTENT)
)


def listing() -> Manifest:
    """Return the manifest of the sound archive."""
    return read_archive(iter([BASE + END]), Deadline.after(10))


@dataclass(frozen=True)
class Hostile:
    """A bad archive: what verify says of it, and whether it is the listing alone that gives it away."""

    number: int
    name: str
    archive: Callable[[], bytes]
    words: str
    needs_listing: bool = False

    def __str__(self) -> str:
        return f"{self.number} {self.name}"

    def packed(self) -> bytes:
        """Return the archive as a repository stores it."""
        return pack(self.archive())


@dataclass(frozen=True)
class BadFile:
    """A stored file that is bad as such, whatever archive it should hold."""

    number: int
    name: str
    packed: Callable[[], bytes]
    words: str

    def __str__(self) -> str:
        return f"{self.number} {self.name}"


def flip(archive: bytes, position: int) -> bytes:
    return archive[:position] + bytes([archive[position] ^ 1]) + archive[position + 1 :]


def with_member(*members: bytes) -> Callable[[], bytes]:
    return lambda: BASE + b"".join(members) + END


def _overflow() -> bytes:
    """Build what CVE-2025-4517 needs: links that grow beyond PATH_MAX when they are resolved, then a way out."""
    parts, path = b"", b"var"
    for letter in b"abcdefghijklmnop":
        parts += folder(path + b"/" + b"d" * 247 + b"/")
        parts += member(path + b"/" + bytes([letter]), SYMLINK, target=b"d" * 99)
        path += b"/" + bytes([letter])
    return BASE + parts + member(path + b"/out", SYMLINK, target=b"../" * 16) + member(path + b"/out/pwn") + END


def _sparse(size: int) -> bytes:
    pax = {b"GNU.sparse.major": b"1", b"GNU.sparse.minor": b"0", b"GNU.sparse.name": b"var/file"}
    return member(b"var/sparse", data=b"0\n".ljust(512, b"\0"), pax={**pax, b"GNU.sparse.realsize": b"%d" % size})


_LONG_NAME = member(b"././@LongLink", LONG, data=b"etc/" + b"../" * 60 + b"pwn\0") + member(b"etc/x")
_UNLISTED = "which the manifest of the backup does not list"
_PLAIN = "which is not a plain name inside the state paths"
_UP = b"../" * 12

HOSTILE = (
    Hostile(33, "empty", lambda: b"", "cut off"),
    Hostile(34, "zeros only", lambda: bytes(10240), "does not hold"),
    Hostile(35, "noise", lambda: os.urandom(20480), "damaged|not an octal|POSIX"),
    Hostile(36, "cut in a member", lambda: BASE[:-700], "cut off"),
    Hostile(
        37,
        "cut at the border of a member",
        lambda: BASE[: len(BASE) - 512 - 1024] + END,
        "does not hold '/var/file'",
        True,
    ),
    Hostile(38, "flipped data bit", lambda: flip(BASE + END, len(BASE) - 1024 + 5), "/var/file: sha256", True),
    Hostile(39, "flipped header bit", lambda: flip(BASE + END, 512 + 3), "checksum"),
    Hostile(40, "junk after the first member", lambda: BASE[:512] + b"junk" * 128 + BASE[512:] + END, "damaged|octal"),
    Hostile(43, "up", with_member(member(b"../x")), _PLAIN),
    Hostile(43, "up inside", with_member(member(b"etc/../../x")), _PLAIN),
    Hostile(44, "absolute", with_member(member(b"/etc/x")), _PLAIN),
    Hostile(45, "two slashes", with_member(member(b"//etc/x")), _PLAIN),
    Hostile(46, "up in a pax path", with_member(member(b"etc/x", pax={b"path": b"../../x"})), _PLAIN),
    Hostile(47, "up in a GNU long name", with_member(_LONG_NAME), "unknown type b'L'"),
    Hostile(
        48,
        "through a link",
        with_member(member(b"etc/a", SYMLINK, target=b"/"), member(b"etc/a/pwn")),
        "but not the directory that it lies in|does not list",
    ),
    Hostile(
        49,
        "through a chain of links",
        with_member(
            member(b"var/a", SYMLINK, target=b"."), member(b"var/b", SYMLINK, target=b"a/../.."), member(b"var/b/pwn")
        ),
        "but not the directory that it lies in|does not list",
    ),
    Hostile(
        50,
        "hard link to outside, then data",
        with_member(member(b"etc/x", HARD, target=b"/etc/passwd"), member(b"etc/x", data=b"pwned")),
        _PLAIN,
    ),
    Hostile(50, "hard link up", with_member(member(b"etc/x", HARD, target=_UP + b"etc/passwd")), _PLAIN),
    Hostile(
        51,
        "hard link to outside with mode 4777",
        with_member(member(b"etc/x", HARD, target=b"usr/bin/sh", mode=0o4777)),
        _PLAIN,
    ),
    Hostile(
        52,
        "two archives, a link and what goes through it",
        lambda: BASE + member(b"etc/a", SYMLINK, target=b"/") + END + BASE + member(b"etc/a/pwn") + END,
        "something follows its end|does not list",
    ),
    Hostile(53, "links that resolve beyond PATH_MAX", _overflow, "but not the directory that it lies in|does not list"),
    Hostile(54, "device", with_member(member(b"etc/disk", BLOCK)), _UNLISTED, True),
    Hostile(54, "character device", with_member(member(b"etc/mem", CHARACTER)), _UNLISTED, True),
    Hostile(54, "FIFO", with_member(member(b"etc/pipe", FIFO)), _UNLISTED, True),
    Hostile(
        54,
        "a listed file is setuid",
        lambda: (BASE + END).replace(member(b"etc/file", data=CONTENT), member(b"etc/file", data=CONTENT, mode=0o4755)),
        "/etc/file: mode is 4755, expected 0644",
        True,
    ),
    Hostile(
        54,
        "a listed file has a capability",
        lambda: (BASE + END).replace(
            member(b"etc/file", data=CONTENT),
            member(b"etc/file", data=CONTENT, pax={b"SCHILY.xattr.security.capability": CAPABILITY}),
        ),
        "/etc/file: xattrs: security.capability is",
        True,
    ),
    Hostile(
        54,
        "a listed file is a device",
        lambda: (BASE + END).replace(member(b"etc/file", data=CONTENT), member(b"etc/file", CHARACTER)),
        "/etc/file: kind is",
        True,
    ),
    Hostile(54, "a file that is not listed", with_member(member(b"etc/cron", data=b"x")), _UNLISTED, True),
    Hostile(55, "twice", with_member(member(b"etc/file")), "holds '/etc/file' twice"),
    Hostile(55, "file, then directory", with_member(folder(b"etc/file/")), "holds '/etc/file' twice"),
    Hostile(55, "directory, then file", with_member(member(b"etc")), "holds '/etc' twice"),
    Hostile(56, "NUL in a pax path", with_member(member(b"etc/x", pax={b"path": b"etc/x\0y"})), _PLAIN),
    Hostile(
        57,
        "name of 256 bytes",
        with_member(member(b"etc/x", pax={b"path": b"etc/" + b"n" * 256})),
        "longer than a path",
    ),
    Hostile(
        57,
        "path of 5000 bytes",
        with_member(member(b"etc/x", pax={b"path": b"etc" + b"/n" * 2498})),
        "longer than a path",
    ),
    Hostile(58, "owner -1", with_member(member(b"etc/x", pax={b"uid": b"-1"})), "is not a number"),
    Hostile(58, "owner 2^32-1", with_member(member(b"etc/x", pax={b"uid": b"4294967295"})), "which no system has"),
    Hostile(58, "owner 2^40", with_member(member(b"etc/x", pax={b"gid": b"1099511627776"})), "which no system has"),
    Hostile(58, "owner in base 256", with_member(member(b"etc/x", owner=b"\x80" + b"\xff" * 7)), "octal"),
    Hostile(
        58,
        "time 2^62",
        with_member(member(b"etc/x", pax={b"mtime": b"4611686018427387904"})),
        "which no file system could keep",
    ),
    Hostile(58, "time NaN", with_member(member(b"etc/x", pax={b"mtime": b"NaN"})), "is not a time"),
    Hostile(
        59,
        "claim of 1 TiB",
        with_member(member(b"etc/x", size=2**40, pax={b"size": b"1099511627776"})),
        "cut off|does not list",
    ),
    Hostile(
        59,
        "claim of 1 TiB by a listed file",
        lambda: BASE[:-1536] + member(b"var/file", size=2**40, pax={b"size": b"1099511627776"}) + END,
        "cut off|/var/file: size is 1099511627776",
    ),
    Hostile(59, "size in base 256", with_member(member(b"etc/x", size=2**40)), "octal"),
    Hostile(59, "sparse file of 4 EiB", lambda: BASE[:-1536] + _sparse(2**62) + END, "no file system could hold"),
    Hostile(
        59,
        "sparse file of 8 TiB by a listed file",
        lambda: BASE[:-1536] + _sparse(2**43) + END,
        "/var/file: size is",
        True,
    ),
    Hostile(
        59,
        "100,000 entries",
        lambda: BASE + b"".join(member(b"var/%d" % n) for n in range(100_000)) + END,
        _UNLISTED,
        True,
    ),
    Hostile(59, "extended header of 300 MB", with_member(member(b"pax", b"x", size=300_000_000)), "far too big"),
    Hostile(
        60,
        "unknown namespace",
        with_member(member(b"etc/x", pax={b"SCHILY.xattr.evil.name": b"x"})),
        "unknown attribute",
    ),
    Hostile(
        60, "unknown keyword", with_member(member(b"etc/x", pax={b"LIBARCHIVE.xattr.a": b"x"})), "nobody here can check"
    ),
)


def bomb(size: int) -> bytes:
    """Return a frame of some kilobytes that unpacks to the sound archive and ``size`` zeros after it."""
    compressor = zstandard.ZstdCompressor(level=1, write_checksum=True).compressobj()
    zeros = bytes(1 << 24)
    return b"".join(map(compressor.compress, chain([BASE], repeat(zeros, size // len(zeros))))) + compressor.flush()


BAD_FILES = (
    BadFile(33, "nothing stored", lambda: b"", "cut off"),
    BadFile(34, "zeros stored", lambda: bytes(10240), "damaged"),
    BadFile(35, "noise stored", lambda: b"\x01" + os.urandom(20480), "damaged"),
    BadFile(36, "stored file cut off", lambda: pack(BASE + END)[:-20], "cut off|damaged"),
    BadFile(40, "junk after the stored frame", lambda: pack(BASE + END) + b"junk", "damaged"),
    BadFile(41, "wrong checksum", lambda: flip(pack(BASE + END), len(pack(BASE + END)) - 1), "damaged"),
    BadFile(42, "two frames with members", lambda: 2 * pack(BASE + END), "something follows its end"),
    BadFile(59, "bomb of 4 GiB", lambda: bomb(1 << 32), "something follows its end"),
)


def store(home: Path, packed: bytes, manifest: Manifest | bytes, **facts: object) -> Snapshot:
    """Keep a packed archive as a snapshot whose digests are all right; return what a drill remembers of it."""
    place = home / "20261122T120000Z-run"
    place.mkdir(parents=True, mode=0o700)
    return fill(place, packed, manifest, **facts)


def fill(place: Path, packed: bytes, manifest: Manifest | bytes, **facts: object) -> Snapshot:
    """Make a folder a snapshot of a packed archive whose digests are all right, whatever it was before."""
    listed = manifest if isinstance(manifest, bytes) else "".join(f"{line}\n" for line in manifest.dump()).encode()
    (place / "archive.tar.zst").write_bytes(packed)
    (place / "manifest.jsonl").write_bytes(listed)
    values = {
        "id": place.name,
        "endpoint": place.parent.name,
        "created": datetime.now(UTC),
        "paths": STATE_PATHS,
        "entries": 6,
        "size": 0,
        "stored_size": len(packed),
        "sha256": hashlib.sha256(packed).hexdigest(),
    }
    snapshot = Snapshot.model_validate({**values, **facts})
    write_marker(place, Marker(snapshot=snapshot, manifest_sha256=hashlib.sha256(listed).hexdigest()))
    return snapshot


def pack(archive: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(archive)
