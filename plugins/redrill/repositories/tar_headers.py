"""The blocks of a tar archive in the POSIX (pax) format as GNU tar writes it; anything else is refused."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from redrill.errors import BackupError

BLOCK = 512
MAX_PAX = 1 << 28

_MAGIC = b"ustar\x0000"
_TYPES = b"0123456x"
_XATTR = b"SCHILY.xattr."
_PLAIN_KEYS = frozenset(
    b"path linkpath size uid gid mtime atime ctime uname gname GNU.dumpdir "
    b"GNU.sparse.major GNU.sparse.minor GNU.sparse.name GNU.sparse.realsize".split()
)
_NAMESPACES = (b"user.", b"trusted.", b"security.", b"btrfs.", b"system.posix_acl_access", b"system.posix_acl_default")
_LARGEST_ID = 2**32 - 2  # the one above means 'leave it as it is'
_LATEST = 1 << 40  # seconds; no clock is there for 35,000 years
_TIME = re.compile(rb"(-?)(\d{1,19})(?:\.(\d{1,9})\d*)?")


@dataclass(frozen=True, slots=True)
class Header:
    """One header block with the pax records that belong to it; names are bytes, ``size`` is what is stored."""

    block: bytes
    pax: dict[bytes, bytes]

    @property
    def type(self) -> bytes:
        """The type flag."""
        return self.block[156:157]

    @property
    def name(self) -> bytes:
        """The member's name as it will be on disk."""
        stated = self.pax.get(b"GNU.sparse.name") or self.pax.get(b"path")
        if stated is not None:
            return stated
        prefix = _text(self.block[345:500])
        return (prefix + b"/" if prefix else b"") + _text(self.block[:100])

    @property
    def target(self) -> bytes:
        """What a link points to."""
        return self.pax.get(b"linkpath", _text(self.block[157:257]))

    @property
    def mode(self) -> int:
        """The permission bits."""
        return _octal(self.block[100:108]) & 0o7777

    @property
    def size(self) -> int:
        """How many bytes of data follow, without the padding."""
        return self._number(b"size", 124, 136)

    @property
    def owner(self) -> tuple[int, int]:
        """The numeric owner and group."""
        owner = self._number(b"uid", 108, 116), self._number(b"gid", 116, 124)
        if max(owner) > _LARGEST_ID:
            raise BackupError(f"The archive holds {self.name[:200]!r} with the owner {owner}, which no system has.")
        return owner

    @property
    def mtime_ns(self) -> int:
        """The modification time in nanoseconds, never by way of a float."""
        stated = self.pax.get(b"mtime")
        return _octal(self.block[136:148]) * 10**9 if stated is None else _nanoseconds(stated)

    @property
    def device(self) -> str:
        """The device number as 'major:minor'."""
        return f"{_octal(self.block[329:337])}:{_octal(self.block[337:345])}"

    @property
    def real_size(self) -> int | None:
        """The size of a sparse file with its holes; None for any other."""
        if (stated := self.pax.get(b"GNU.sparse.realsize")) is None:
            return None
        if (self.pax.get(b"GNU.sparse.major"), self.pax.get(b"GNU.sparse.minor")) != (b"1", b"0"):
            raise BackupError("The archive holds a sparse file in another format than 1.0.")
        return decimal(stated)

    @property
    def xattrs(self) -> Iterator[tuple[bytes, bytes]]:
        """The extended attributes, names unescaped; BackupError for one of a namespace that Linux does not have."""
        for key, value in self.pax.items():
            if key.startswith(_XATTR):
                name = key.removeprefix(_XATTR).replace(b"%3D", b"=").replace(b"%25", b"%")
                if not name.startswith(_NAMESPACES):
                    raise BackupError(f"The archive holds {self.name[:200]!r} with the unknown attribute {name!r}.")
                yield name, value

    def _number(self, key: bytes, start: int, end: int) -> int:
        stated = self.pax.get(key)
        return _octal(self.block[start:end]) if stated is None else decimal(stated)


def check_block(block: bytes) -> None:
    """Raise BackupError unless the block is a sound ustar header of a type that such an archive holds."""
    stated = _octal(block[148:156])
    actual = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if stated != actual:
        raise BackupError(f"The archive is damaged: a header's checksum is {actual}, but it says {stated}.")
    if block[257:265] != _MAGIC:
        raise BackupError(f"The archive is not in the POSIX format: a header's magic is {block[257:265]!r}.")
    if block[156] not in _TYPES:
        raise BackupError(f"The archive holds a member of the unknown type {block[156:157]!r}.")


def parse_pax(data: bytes) -> dict[bytes, bytes]:
    """Return the records of an extended header; BackupError when they are malformed, unknown or there twice."""
    records: dict[bytes, bytes] = {}
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + 20)
        end = start + decimal(data[start:space]) if space > 0 else 0
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        if not equals or end > len(data) or data[end - 1 : end] != b"\n" or key in records:
            raise BackupError(
                f"The archive is damaged: an extended header is malformed at {data[start : start + 60]!r}."
            )
        if key not in _PLAIN_KEYS and not key.startswith(_XATTR):
            raise BackupError(f"The archive holds the extended header {key!r}, which nobody here can check.")
        records[key] = value
        start = end
    return records


def decimal(digits: bytes) -> int:
    """Return a decimal number; BackupError when it is none."""
    if not digits.isdigit() or len(digits) > 20:
        raise BackupError(f"The archive is damaged: {digits[:40]!r} is not a number.")
    return int(digits)


def _octal(field: bytes) -> int:
    digits = field.rstrip(b" \0")
    if not re.fullmatch(rb"[0-7]+", digits):
        raise BackupError(f"The archive is damaged: {field!r} is not an octal number.")
    return int(digits, 8)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0]


def _nanoseconds(text: bytes) -> int:
    found = _TIME.fullmatch(text)
    if found is None:
        raise BackupError(f"The archive is damaged: {text[:40]!r} is not a time.")
    sign, seconds, fraction = found.groups()
    if int(seconds) > _LATEST:
        raise BackupError(f"The archive holds a file of the time {text[:40]!r}, which no file system could keep.")
    value = int(seconds) * 10**9 + int((fraction or b"").ljust(9, b"0"))
    return -value if sign else value
