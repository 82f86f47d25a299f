"""The flags of chattr(1) on files of this machine, as letters; see ioctl_iflags(2)."""

import array
import errno
import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress

_GET, _SET = 0x80086601, 0x40086602  # FS_IOC_GETFLAGS and FS_IOC_SETFLAGS of linux/fs.h, where a long has 8 bytes
_BITS = {
    "s": 0x00000001,
    "u": 0x00000002,
    "c": 0x00000004,
    "S": 0x00000008,
    "i": 0x00000010,
    "a": 0x00000020,
    "d": 0x00000040,
    "A": 0x00000080,
    "m": 0x00000400,
    "j": 0x00004000,
    "t": 0x00008000,
    "D": 0x00010000,
    "T": 0x00020000,
    "C": 0x00800000,
}
_ALL = sum(_BITS.values())
KEPT = "".join(_BITS)
"""What a backup keeps; of the others some say only how a file system stores a file, and some cannot be set again."""

_UNSUPPORTED = (errno.ENOTTY, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EACCES, errno.EPERM)


def get_flags(path: bytes) -> str:
    """Return the letters of a regular file or directory, '' where the file system has no flags; OSError otherwise."""
    with _opened(path) as handle:
        return get_open_flags(handle)


def get_open_flags(handle: int) -> str:
    """Return the letters of an open file, as ``get_flags``."""
    try:
        value = _read(handle) & _ALL
    except OSError as error:
        if error.errno in _UNSUPPORTED:
            return ""
        raise
    return "".join(letter for letter, bit in _BITS.items() if value & bit) if value else ""


def only_kept(letters: str) -> str:
    """Return those of the letters that a backup keeps, in their order."""
    return "".join(letter for letter in KEPT if letter in letters)


def set_flags(path: bytes, add: str = "", drop: str = "") -> None:
    """Set letters of a regular file or directory, and clear others; OSError when it cannot be."""
    with _opened(path) as handle:
        value = (_read(handle) | _mask(add)) & ~_mask(drop)
        fcntl.ioctl(handle, _SET, array.array("l", [value]))


def unlock_tree(root: bytes) -> None:
    """Clear what keeps the files of a tree from being removed; what cannot be cleared is left as it is."""
    for folder, _, files in os.walk(root):
        for path in (folder, *(os.path.join(folder, name) for name in files)):  # noqa: PTH118 - the paths are bytes
            with suppress(OSError):
                if set(get_flags(path)) & set("ia"):
                    set_flags(path, drop="ia")


def _mask(letters: Iterable[str]) -> int:
    return sum(_BITS[letter] for letter in letters)


def _read(handle: int) -> int:
    value = array.array("l", [0])
    fcntl.ioctl(handle, _GET, value)
    return value[0]


@contextmanager
def _opened(path: bytes) -> Iterator[int]:
    handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        yield handle
    finally:
        os.close(handle)
