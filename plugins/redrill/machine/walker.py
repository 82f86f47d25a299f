"""Reads the manifest of a directory on this machine; what ``probes.files`` does over a wire, without one."""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from redrill.machine.flags import get_flags, get_open_flags
from redrill.model.manifest import Entry, EntryKind, Manifest

KINDS = {
    stat.S_IFREG: EntryKind.FILE,
    stat.S_IFDIR: EntryKind.DIRECTORY,
    stat.S_IFLNK: EntryKind.SYMLINK,
    stat.S_IFIFO: EntryKind.FIFO,
    stat.S_IFSOCK: EntryKind.SOCKET,
    stat.S_IFBLK: EntryKind.BLOCK,
    stat.S_IFCHR: EntryKind.CHARACTER,
}
"""Entry kinds by the file type bits of a mode."""

_GONE = (errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.ENODATA)
_NO_XATTRS = (errno.ENOTSUP, errno.ENOSYS)
_BATCH = 64


def walk(root: Path, paths: Sequence[str], skip: Sequence[str] = (), workers: int = 2) -> Manifest:
    """Return the manifest of ``paths``, absolute as seen from ``root``, without the subtrees in ``skip``.

    Other file systems are not entered, but for those that a path of ``paths`` names. What vanishes meanwhile, or is not
    there at all, has no entry; what cannot be read is named in ``unreadable``.
    """
    walker = _Walker(os.fsencode(root).rstrip(b"/"), {encode(path).rstrip(b"/") for path in skip})
    for path in paths:
        walker.scan(encode(path).rstrip(b"/"))
    walker.read_files(workers)
    entries = with_link_groups(walker.entries, walker.links.values())
    return Manifest(entries, tuple(sorted(map(decode, walker.unreadable))))


def decode(path: bytes) -> str:
    """Return bytes of a name as a str that ``encode`` takes back exactly."""
    return path.decode("utf-8", "surrogateescape")


def encode(path: str) -> bytes:
    """Return the bytes behind a str of ``decode``."""
    return path.encode("utf-8", "surrogateescape")


def with_link_groups(entries: Mapping[str, Entry], groups: Iterable[Sequence[str]]) -> dict[str, Entry]:
    """Return the entries with ``link_group`` set for each group of paths that share an inode and are still entries."""
    linked = dict(entries)
    for group in groups:
        names = sorted((path for path in group if path in linked), key=encode)
        for name in names if len(names) > 1 else ():
            linked[name] = replace(linked[name], link_group=names[0])
    return linked


class _Walker:
    """Collects entries; paths are bytes without ``root`` and without a slash at the end (so '/' is b'')."""

    def __init__(self, root: bytes, skip: set[bytes]) -> None:
        self.root = root
        self.skip = skip
        self.entries: dict[str, Entry] = {}
        self.unreadable: set[bytes] = set()
        self.links: dict[tuple[int, int], list[str]] = {}
        self.files: list[bytes] = []

    def scan(self, start: bytes) -> None:
        """Add everything from ``start`` on, contents excepted."""
        if start in self.skip:
            return
        try:
            info = os.lstat(self._real(start))
        except OSError as error:
            self._note(start, error)
            return
        self._add(start, info)
        pending = [start] if stat.S_ISDIR(info.st_mode) else []
        while pending:
            pending.extend(self._scan_directory(pending.pop(), info.st_dev))

    def read_files(self, workers: int) -> None:
        """Read contents and flags of all regular files that ``scan`` found."""
        batches = [self.files[start : start + _BATCH] for start in range(0, len(self.files), _BATCH)]
        with ThreadPoolExecutor(workers, "walk") as pool:
            for batch, found in zip(batches, pool.map(self._read_batch, batches), strict=True):
                for path, content in zip(batch, found, strict=True):
                    self._set_content(path, content)

    def _scan_directory(self, directory: bytes, device: int) -> Iterator[bytes]:
        try:
            with os.scandir(self._real(directory)) as found:
                children = list(found)
        except OSError as error:
            self._note(directory, error)
            return
        for child in children:
            path = directory + b"/" + child.name
            if path in self.skip:
                continue
            try:
                info = child.stat(follow_symlinks=False)
            except OSError as error:
                self._note(path, error)
                continue
            self._add(path, info)
            if stat.S_ISDIR(info.st_mode) and info.st_dev == device:
                yield path

    def _add(self, path: bytes, info: os.stat_result) -> None:
        kind = KINDS[stat.S_IFMT(info.st_mode)]
        name = decode(path or b"/")
        is_new = name not in self.entries
        try:
            self.entries[name] = self._entry(path, name, kind, info)
        except OSError as error:
            self._note(path, error)
            return
        if is_new and kind is EntryKind.FILE:
            self.files.append(path)
        if is_new and kind is not EntryKind.DIRECTORY and info.st_nlink > 1:
            self.links.setdefault((info.st_dev, info.st_ino), []).append(name)

    def _entry(self, path: bytes, name: str, kind: EntryKind, info: os.stat_result) -> Entry:
        is_link = kind is EntryKind.SYMLINK
        is_device = kind in (EntryKind.BLOCK, EntryKind.CHARACTER)
        return Entry(
            path=name,
            kind=kind,
            mode=0o777 if is_link else stat.S_IMODE(info.st_mode),
            uid=info.st_uid,
            gid=info.st_gid,
            size=info.st_size if kind is EntryKind.FILE else 0,
            mtime_ns=info.st_mtime_ns,
            target=decode(os.readlink(self._real(path))) if is_link else None,  # noqa: PTH115 - the path is bytes
            device=f"{os.major(info.st_rdev)}:{os.minor(info.st_rdev)}" if is_device else None,
            xattrs=self._xattrs(path),
            flags=self._directory_flags(path) if kind is EntryKind.DIRECTORY else "",
        )

    def _xattrs(self, path: bytes) -> tuple[tuple[str, str], ...]:
        real = self._real(path)
        try:
            names = os.listxattr(real, follow_symlinks=False)
            return tuple(sorted((name, os.getxattr(real, name, follow_symlinks=False).hex()) for name in names))
        except OSError as error:
            if error.errno not in _NO_XATTRS:
                self._note(path, error)
            return ()

    def _directory_flags(self, path: bytes) -> str:
        try:
            return get_flags(self._real(path))
        except OSError:
            return ""  # that it cannot be read is noted when it is listed

    def _read_batch(self, paths: list[bytes]) -> list["_Read | OSError"]:
        return [_read_file(self._real(path)) for path in paths]

    def _set_content(self, path: bytes, found: "_Read | OSError") -> None:
        name = decode(path)
        if isinstance(found, _Read):
            self.entries[name] = replace(self.entries[name], sha256=found.sha256, flags=found.flags)
            return
        self._note(path, found)
        if found.errno in _GONE:
            del self.entries[name]

    def _note(self, path: bytes, error: OSError) -> None:
        if error.errno not in _GONE:
            self.unreadable.add(path or b"/")

    def _real(self, path: bytes) -> bytes:
        return self.root + path or b"/"


class _Read(NamedTuple):
    sha256: str
    flags: str


def _read_file(path: bytes) -> _Read | OSError:
    # O_NONBLOCK: a file that became a FIFO meanwhile must not hang the walk.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(handle, "rb") as file:
            return _Read(hashlib.file_digest(file, "sha256").hexdigest(), get_open_flags(handle))
    except OSError as error:
        return error
