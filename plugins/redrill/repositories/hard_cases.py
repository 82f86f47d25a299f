"""What a file system can hold and a backup may lose, each as a small folder of its own."""

import os
import socket
import stat
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redrill.machine.flags import set_flags

_ANYBODY = 0xFFFFFFFF
_FAR_TIMES = (-1_750_000_000_123_456_789, -5, 2**33 * 10**9 + 7)
"""In nanoseconds: 1914, just before 1970, and 2242."""


@dataclass(frozen=True, slots=True)
class HardCase:
    """A thing that a tree can hold; ``make`` puts it into an empty folder, OSError where that cannot be done."""

    name: str
    make: Callable[[Path], None]


def _permissions(folder: Path) -> None:
    for mode in (0o4755, 0o2711, 0o1600, 0o640):
        path = folder / f"{mode:o}"
        path.write_bytes(b"content")
        path.chmod(mode)
    (folder / "closed").mkdir()
    (folder / "closed/inside").touch()
    (folder / "closed").chmod(0o500)


def _unreadable(folder: Path) -> None:
    (folder / "file").write_bytes(b"content")
    (folder / "file").chmod(0)


def _owners(folder: Path) -> None:
    (folder / "file").touch()
    os.chown(folder / "file", 54321, 2**32 - 2)
    (folder / "link").symlink_to("file")
    os.chown(folder / "link", 12, 34, follow_symlinks=False)


def _times(folder: Path) -> None:
    (folder / "file").touch()
    os.utime(folder / "file", ns=(0, 1_700_000_000_123_456_789))
    (folder / "folder").mkdir()
    os.utime(folder / "folder", ns=(0, 1_600_000_000_987_654_321))


def _times_of_links(folder: Path) -> None:
    (folder / "link").symlink_to("nowhere")
    os.utime(folder / "link", ns=(3, 1_234_567_890_123_456_789), follow_symlinks=False)


def _far_times(folder: Path) -> None:
    for number, nanoseconds in enumerate(_FAR_TIMES):
        (folder / str(number)).touch()
        os.utime(folder / str(number), ns=(0, nanoseconds))


def _attributes(*names: bytes, link: bool = False) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        path = folder / "file"
        path.symlink_to("nowhere") if link else path.write_bytes(b"content")
        for number, name in enumerate(names):
            os.setxattr(path, name, bytes(range(256))[: 256 * number], follow_symlinks=False)

    return make


def _attribute(name: str, value: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "file").write_bytes(b"content")
        os.setxattr(folder / "file", name, value)

    return make


def _default_access_lists(folder: Path) -> None:
    os.setxattr(folder, "system.posix_acl_default", _acl((1, 7, _ANYBODY), (2, 7, 33), (4, 5, _ANYBODY)))


def _acl(*entries: tuple[int, int, int]) -> bytes:
    """Return an access list as the kernel stores it: (tag, permissions, id), then a mask and what others may do."""
    whole = (*entries, (16, 7, _ANYBODY), (32, 4, _ANYBODY))
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in whole)


_ACCESS = _acl((1, 6, _ANYBODY), (2, 7, 54321), (4, 4, _ANYBODY), (8, 1, 29))
_CAPABILITY = bytes.fromhex("0100000200200000" + "00" * 12)


def _hard_links(make_first: Callable[[Path], None]) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        make_first(folder / "first")
        os.link(folder / "first", folder / "second", follow_symlinks=False)

    return make


def _socket(folder: Path) -> None:
    with _inside(folder), socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket")


def _devices(folder: Path) -> None:
    os.mknod(folder / "block", stat.S_IFBLK | 0o660, os.makedev(7, 70000))
    os.mknod(folder / "whiteout", stat.S_IFCHR | 0o600, os.makedev(0, 0))


def _sparse(folder: Path) -> None:
    with (folder / "file").open("wb") as file:
        for number in range(20):
            file.seek(number * 1_000_000)
            file.write(b"data %d" % number)
        file.truncate(30_000_000)


def _names(*names: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        for number, name in enumerate(names):
            (folder / os.fsdecode(name)).write_bytes(b"content %d" % number)

    return make


def _long_path(folder: Path) -> None:
    with _inside(folder):
        for _ in range(14):
            Path("d" * 240).mkdir()
            os.chdir("d" * 240)
        Path("deep").touch()


def _targets(folder: Path) -> None:
    for name, target in (("bytes", b"\xff\n"), ("long", b"t" * 4000), ("up", b"../../.."), ("loop", b"loop")):
        (folder / name).symlink_to(os.fsdecode(target))


def _flags(letters: str) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        (folder / "file").write_bytes(b"content")
        set_flags(os.fsencode(folder / "file"), add=letters)

    return make


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    here = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(here)


HARD_CASES = (
    HardCase("permissions, setuid, setgid", _permissions),
    HardCase("files that nobody may read", _unreadable),
    HardCase("owners by number", _owners),
    HardCase("times to the nanosecond", _times),
    HardCase("times of symbolic links", _times_of_links),
    HardCase("times before 1970, after 2106", _far_times),
    HardCase("attributes user.*", _attributes(b"user.empty", b"user.binary")),
    HardCase("attribute names that are no text", _attributes(b"user.a=b%3D \\ \n\xff")),
    HardCase("attributes trusted.*", _attributes(b"trusted.empty", b"trusted.binary")),
    HardCase("attributes of symbolic links", _attributes(b"trusted.empty", b"trusted.binary", link=True)),
    HardCase("capabilities", _attribute("security.capability", _CAPABILITY)),
    HardCase("labels of SELinux", _attribute("security.selinux", b"system_u:object_r:etc_t:s0")),
    HardCase("access lists", _attribute("system.posix_acl_access", _ACCESS)),
    HardCase("default access lists", _default_access_lists),
    HardCase("hard links", _hard_links(Path.touch)),
    HardCase("hard links of symbolic links", _hard_links(lambda path: path.symlink_to("nowhere"))),
    HardCase("hard links of FIFOs", _hard_links(os.mkfifo)),
    HardCase("FIFOs", lambda folder: os.mkfifo(folder / "fifo", 0o640)),
    HardCase("sockets", _socket),
    HardCase("devices", _devices),
    HardCase("holes of sparse files", _sparse),
    HardCase("names that are no text", _names(b"\xff\xfe-not-utf8")),
    HardCase("names with line ends, quotes, …", _names(b"new\nline", b"-rf", b"$(x)", b"'q\"", b"b\\s", b" sp ")),
    HardCase("names that look the same", _names("é".encode(), "e\N{COMBINING ACUTE ACCENT}".encode())),
    HardCase("names of 255 bytes", _names(b"n" * 255)),
    HardCase("paths of 3000 bytes", _long_path),
    HardCase("odd targets of symbolic links", _targets),
    HardCase("flags of chattr: d, A, S", _flags("dAS")),
    HardCase("flags of chattr: immutable", _flags("i")),
)
