"""A tree of files that is hard to see and to restore exactly; built with what the user may do."""

import ctypes
import os
import pickle
import socket
import stat
import struct
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

T = TypeVar("T")

NAMES = (b"plain", b"new\nline", b"tab\t", b"\xff\xfe-not-utf8", b"-rf", b"$(x)", b"a: b", b" sp ", b"b\\s", b"'q\"")
TARGETS = {"dangling": b"nowhere", "loop": b"loop", "up": b"../../..", "bytes": b"\xff\n", "long": b"t" * 4000}
TIMES = (0, 1, -1_750_000_000, -5, 2**33 * 10**9 + 7, 1_700_000_000_100_000_000)
NOBODY = 65534
_ANY = 0xFFFFFFFF


def acl(*entries: tuple[int, int, int]) -> bytes:
    """Return a POSIX ACL as an extended attribute holds it, from (tag, permissions, id) in their order."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)


ACCESS = acl((1, 6, _ANY), (2, 7, 1), (2, 4, 54321), (4, 4, _ANY), (8, 1, 29), (16, 7, _ANY), (32, 4, _ANY))
DEFAULT = acl((1, 7, _ANY), (2, 7, 33), (4, 5, _ANY), (16, 7, _ANY), (32, 0, _ANY))


def build_hard_tree(root: Path) -> None:
    """Fill ``root`` with home, etc and var; devices, foreign owners and trusted attributes only as root."""
    home = root / "home/user"
    for folder in (home, root / "etc", root / "var/lib/deep/er"):
        folder.mkdir(parents=True)
    for number, name in enumerate((*NAMES, b"n" * 255)):
        (home / os.fsdecode(name)).write_bytes(b"content %d\n" % number)
    _links(home)
    _modes_and_times(home)
    _special_files(home)
    _attributes(home)
    _sparse(root / "var/lib/sparse")
    (root / "etc/passwd").write_bytes(b"root:x:0:0::/root:/bin/sh\n")
    if os.geteuid() == 0:
        _only_root(home)


def _links(home: Path) -> None:
    links = home / "links"
    links.mkdir()
    for name, target in TARGETS.items():
        (links / name).symlink_to(os.fsdecode(target))
    (links / "hard").hardlink_to(home / "plain")
    (home / "a-hard-link-that-sorts-first").hardlink_to(home / "plain")
    os.link(links / "dangling", links / "hard-symlink", follow_symlinks=False)


def _modes_and_times(home: Path) -> None:
    for mode in (0o4755, 0o2711, 0o1600, 0o600):
        path = home / f"mode-{mode:o}"
        path.touch()
        path.chmod(mode)
    (home / "read-only").mkdir()
    (home / "read-only/file").write_bytes(b"inside")
    (home / "read-only").chmod(0o500)
    for number, nanoseconds in enumerate(TIMES):
        path = home / f"time-{number}"
        path.touch()
        os.utime(path, ns=(nanoseconds, nanoseconds))
    os.utime(home / "links/dangling", ns=(3, 1_234_567_890_123_456_789), follow_symlinks=False)
    os.utime(home / "links", ns=(3, 1_111_111_111_111_111_111))


def _special_files(home: Path) -> None:
    os.mkfifo(home / "fifo", 0o640)
    here = Path.cwd()
    os.chdir(home)  # the address of a socket may have 107 bytes only
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("socket")
    finally:
        os.chdir(here)


def _attributes(home: Path) -> None:
    path = home / "attributes"
    path.write_bytes(b"x")
    for name, value in ((b"user.empty", b""), (b"user.binary", bytes(range(256))), (b"user.a=b%3D \\ \n\xff", b"odd")):
        os.setxattr(path, name, value)
    os.setxattr(path, b"system.posix_acl_access", ACCESS)
    (home / "acl").mkdir()
    (home / "acl/without").write_bytes(b"made before the default was set")
    os.setxattr(home / "acl", b"system.posix_acl_default", DEFAULT)
    os.setxattr(home / "acl", b"user.directory", b"\0")


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        for number in range(40):
            file.seek(number * 500_000)
            file.write(b"data %d" % number)
        file.truncate(30_000_000)
    with path.with_name("hole").open("wb") as file:
        file.truncate(1_000_001)


def _only_root(home: Path) -> None:
    os.mknod(home / "block", stat.S_IFBLK | 0o660, os.makedev(7, 70000))
    os.mknod(home / "whiteout", stat.S_IFCHR | 0o600, os.makedev(0, 0))
    os.chown(home / "links/up", 12, 34, follow_symlinks=False)
    os.setxattr(home / "links/up", b"trusted.link", b"\1\0", follow_symlinks=False)
    owned = home / "owned"
    owned.write_bytes(b"by nobody known")
    os.chown(owned, 4_000_000_000, 2**32 - 2)
    os.setxattr(owned, b"trusted.file", b"")
    os.setxattr(owned, b"security.selinux", b"system_u:object_r:etc_t:s0")
    os.setxattr(owned, b"security.capability", bytes.fromhex("0100000200200000" + "00" * 12))
    (home / "mode-0").write_bytes(b"secret")
    (home / "mode-0").chmod(0)


@contextmanager
def nobodys_folder() -> Iterator[Path]:
    """Yield a folder that a user without privileges owns and can reach."""
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            os.chown(name, NOBODY, NOBODY)
        yield Path(name)


def as_nobody(function: Callable[[], T]) -> T:
    """Return what ``function`` returns in a process without privileges; what it raises is raised here."""
    return function() if os.geteuid() != 0 else in_child(_drop_privileges, function)


def with_own_mounts(function: Callable[[], T]) -> T:
    """Return what ``function`` returns in a process whose mounts nobody else sees and that end with it; needs root."""
    return in_child(_leave_mounts, function)


def mount_tmpfs(path: Path, options: str = "rw") -> None:
    """Mount an empty file system."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "volume", str(path)], check=True)


def _drop_privileges() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _leave_mounts() -> None:
    new_mounts = 0x00020000  # CLONE_NEWNS of sched.h
    if ctypes.CDLL(None, use_errno=True).unshare(new_mounts) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)


def in_child(prepare: Callable[[], None], function: Callable[[], T]) -> T:
    reader, writer = os.pipe()
    if (child := os.fork()) == 0:
        answer: tuple[bool, object]
        try:
            prepare()
            answer = (True, function())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the parent
            answer = (False, error)
        with os.fdopen(writer, "wb") as file:
            pickle.dump(answer, file)
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        is_good, value = pickle.load(file)  # noqa: S301 - our own child wrote it
    os.waitpid(child, 0)
    if not is_good:
        raise value
    return cast(T, value)
