"""Reads a tar archive of the state paths as it goes by and says what it holds; it writes nothing anywhere."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from typing import Protocol

from redrill.errors import BackupError
from redrill.machine.walker import decode, with_link_groups
from redrill.model.deadline import Deadline
from redrill.model.manifest import ATTRIBUTES, Difference, Entry, EntryKind, Manifest
from redrill.model.values import STATE_PATHS
from redrill.repositories.tar_headers import BLOCK, MAX_PAX, Header, check_block, decimal, parse_pax

LONGEST_NAME, LONGEST_PATH = 255, 4095
"""Bytes; no tool restores what has longer names than the kernel takes."""

LARGEST_FILE = 1 << 44
"""Bytes; what ext4 can hold. A sparse file may claim more in a few bytes, and reading it would never end."""

MOST_PADDING = 1 << 20
"""Zeros after the end of an archive; GNU tar writes 10 KiB at most."""

KINDS = {
    b"0": EntryKind.FILE,
    b"2": EntryKind.SYMLINK,
    b"3": EntryKind.CHARACTER,
    b"4": EntryKind.BLOCK,
    b"5": EntryKind.DIRECTORY,
    b"6": EntryKind.FIFO,
}
_TOPS = tuple(path.strip("/").encode() for path in STATE_PATHS)
_ZEROS = bytes(1 << 20)
_STATED = tuple(name for name in ATTRIBUTES if name not in ("sha256", "link_group", "flags"))
"""What is known of a member before its data is read."""


class _Hash(Protocol):
    def update(self, data: bytes, /) -> None: ...

    def hexdigest(self) -> str: ...


def read_archive(
    chunks: Iterator[bytes], deadline: Deadline, listed: Manifest | None = None, *, with_hashes: bool = True
) -> Manifest:
    """Return the exact manifest of an uncompressed archive that GNU tar wrote in the POSIX format.

    Raises BackupError when it is cut off or damaged, and for every member that could not be restored safely: outside
    the state paths, below something that is no directory, there twice, of an unknown type; also after the deadline.
    With ``listed``, the manifest of the verified backup, every member must be in it as it is, before its data is read.
    Without ``with_hashes`` the contents are passed over.
    """
    reader = ArchiveReader(chunks, deadline)
    archive = _Archive(listed, with_hashes=with_hashes)
    pax: dict[bytes, bytes] = {}
    most_pax = _most_pax(listed)
    while (block := reader.read(BLOCK)).strip(b"\0"):
        check_block(block)
        header = Header(block, pax)
        if header.type == b"x":
            if pax or header.size > most_pax:
                raise BackupError("The archive is damaged: an extended header is doubled or far too big.")
            pax = parse_pax(reader.read_padded(header.size))
            continue
        archive.add(header, reader)
        pax = {}
    if pax or reader.read(BLOCK).strip(b"\0"):
        raise BackupError("The archive is damaged: its end is not where it should be.")
    reader.finish()
    return archive.manifest()


def _most_pax(listed: Manifest | None) -> int:
    """Return how large one extended header may be: the names in a directory and the attributes all stand in it."""
    if listed is None:
        return MAX_PAX
    names = sum(4 * len(path) for path in listed.entries)
    values = sum(len(value) for entry in listed.entries.values() for _, value in entry.xattrs)
    return min(MAX_PAX, (1 << 20) + names + values)


class ArchiveReader:
    """Exact reads from a stream of chunks."""

    def __init__(self, chunks: Iterator[bytes], deadline: Deadline) -> None:
        self._chunks = chunks
        self._deadline = deadline
        self._buffer = b""
        self._start = 0

    def read(self, size: int) -> bytes:
        """Return exactly ``size`` bytes; BackupError when the archive ends before."""
        if self._start + size <= len(self._buffer):
            self._start += size
            return self._buffer[self._start - size : self._start]
        return b"".join(self.pieces(size))

    def read_padded(self, size: int) -> bytes:
        """Return ``size`` bytes and skip what pads them to a whole block."""
        data = self.read(size)
        self.skip_padding(size)
        return data

    def skip_padding(self, size: int) -> None:
        """Skip what follows ``size`` bytes in their last block."""
        self.read(-size % BLOCK)

    def pieces(self, size: int) -> Iterator[bytes]:
        """Yield exactly ``size`` bytes piecewise."""
        while size:
            if self._start == len(self._buffer):
                self._fill()
            piece = self._buffer[self._start : self._start + size]
            self._start += len(piece)
            size -= len(piece)
            yield piece

    def hash_into(self, digest: _Hash | None, size: int) -> None:
        """Feed ``size`` bytes of the archive to a digest, or pass over them."""
        for piece in self.pieces(size):
            if digest:
                digest.update(piece)

    def hash_hole(self, digest: _Hash | None, size: int) -> None:
        """Feed ``size`` zeros, which are not in the archive, to a digest."""
        while digest and size:
            self._check_time()
            digest.update(_ZEROS[:size])
            size -= min(size, len(_ZEROS))

    def finish(self) -> None:
        """Read to the end of the stream; BackupError when anything but padding follows."""
        padding = 0
        for chunk in chain([self._buffer[self._start :]], self._chunks):
            self._check_time()
            padding += len(chunk)
            if chunk.strip(b"\0") or padding > MOST_PADDING:
                raise BackupError("The archive is damaged: something follows its end.")

    def _fill(self) -> None:
        self._check_time()
        self._start = 0
        self._buffer = next((chunk for chunk in self._chunks if chunk), b"")
        if not self._buffer:
            raise BackupError("The archive is cut off: it ends before its end marker.")

    def _check_time(self) -> None:
        if self._deadline.is_over:
            raise BackupError(f"The archive could not be read within {self._deadline.budget:g} s.")


class _Archive:
    """The entries of an archive, each checked against those before it and against what is listed, if anything is."""

    def __init__(self, listed: Manifest | None, *, with_hashes: bool) -> None:
        self._listed = listed
        self._with_hashes = with_hashes
        self._entries: dict[str, Entry] = {}
        self._links: dict[str, list[str]] = {}
        self._roots: dict[str, str] = {}

    def add(self, header: Header, reader: ArchiveReader) -> None:
        """Add the member of a header and read its data."""
        path = _check_name(header.name)
        if path in self._entries:
            raise BackupError(f"The archive holds {path!r} twice.")
        parent = self._entries.get(path.rpartition("/")[0])
        if path not in STATE_PATHS and (parent is None or parent.kind is not EntryKind.DIRECTORY):
            raise BackupError(f"The archive holds {path!r}, but not the directory that it lies in before it.")
        entry = self._link(path, header) if header.type == b"1" else _read_entry(path, header)
        self._check_listed(entry)
        if header.type == b"0":
            digest = _read_content(header, reader, with_hashes=self._with_hashes)
            entry = replace(entry, sha256=digest)
        self._entries[path] = entry

    def manifest(self) -> Manifest:
        """Return all entries, with their link groups."""
        wanted = self._listed.entries if self._listed else STATE_PATHS
        missing = [path for path in wanted if path not in self._entries]
        if missing:
            shown = ", ".join(map(repr, missing[:10])) + (f" and {len(missing) - 10} more" if missing[10:] else "")
            raise BackupError(f"The archive does not hold {shown}.")
        groups = ([first, *others] for first, others in self._links.items())
        return Manifest(with_link_groups(self._entries, groups), has_flags=False)

    def _check_listed(self, entry: Entry) -> None:
        if self._listed is None:
            return
        listed = self._listed.entries.get(entry.path)
        if listed is None:
            raise BackupError(f"The archive holds {entry.path!r}, which the manifest of the backup does not list.")
        pairs = [(name, getattr(listed, name), getattr(entry, name)) for name in _STATED]
        unlike = [Difference(entry.path, name, there, here) for name, there, here in pairs if there != here]
        if unlike:
            raise BackupError(f"The archive is not what the manifest of the backup says: {'; '.join(map(str, unlike))}")

    def _link(self, path: str, header: Header) -> Entry:
        first = _check_name(header.target)
        entry = self._entries.get(first)
        if entry is None or entry.kind is EntryKind.DIRECTORY or header.size:
            raise BackupError(f"The archive holds {path!r} as a hard link to {first!r}, which is no file before it.")
        root = self._roots[path] = self._roots.get(first, first)  # a link to a link is one to what that stands for
        self._links.setdefault(root, []).append(path)
        return replace(entry, path=path)


def _check_name(name: bytes) -> str:
    stem = name.removesuffix(b"/")
    parts = stem.split(b"/")
    if b"\0" in name or not all(parts) or b"." in parts or b".." in parts or parts[0] not in _TOPS:
        raise BackupError(f"The archive holds {_shown(name)}, which is not a plain name inside the state paths.")
    if len(stem) >= LONGEST_PATH or max(map(len, parts)) > LONGEST_NAME:
        raise BackupError(
            f"The archive holds {_shown(name)} of {len(name)} bytes: longer than a path ({LONGEST_PATH}) or a name "
            f"({LONGEST_NAME}) can be, so nothing could restore it."
        )
    return "/" + decode(stem)


def _shown(name: bytes) -> str:
    return repr(decode(name[:200])) + ("…" if len(name) > 200 else "")


def _read_entry(path: str, header: Header) -> Entry:
    """Return what the header alone says: an entry without the digest of its content."""
    kind = KINDS[header.type]
    is_file = kind is EntryKind.FILE
    is_link = kind is EntryKind.SYMLINK
    if header.size and not is_file:
        raise BackupError(f"The archive holds data for {path!r}, which is a {kind.value}.")
    if is_link and (not header.target or b"\0" in header.target):
        raise BackupError(f"The archive holds the link {path!r} with the target {header.target!r}.")
    size = header.size if header.real_size is None else header.real_size
    if size > LARGEST_FILE:
        raise BackupError(f"The archive claims that {path!r} has {size} bytes, which no file system could hold.")
    uid, gid = header.owner
    return Entry(
        path=path,
        kind=kind,
        mode=0o777 if is_link else header.mode,
        uid=uid,
        gid=gid,
        size=size,
        mtime_ns=header.mtime_ns,
        target=decode(header.target) if is_link else None,
        device=header.device if kind in (EntryKind.BLOCK, EntryKind.CHARACTER) else None,
        xattrs=tuple(sorted((decode(name), value.hex()) for name, value in header.xattrs)),
    )


def _read_content(header: Header, reader: ArchiveReader, *, with_hashes: bool) -> str | None:
    digest = hashlib.sha256() if with_hashes else None
    if header.real_size is None:
        reader.hash_into(digest, header.size)
    else:
        _read_sparse(header.size, header.real_size, digest, reader)
    reader.skip_padding(header.size)
    return digest.hexdigest() if digest else None


def _read_sparse(stored: int, real_size: int, digest: _Hash | None, reader: ArchiveReader) -> None:
    """Read a sparse file of the format 1.0: a map of decimal lines, padded to blocks, then the data of its parts."""
    numbers, map_size = _read_map(reader, stored)
    position = 0
    for offset, size in zip(numbers[::2], numbers[1::2], strict=True):
        if offset < position or offset + size > real_size:
            raise BackupError("The archive is damaged: the map of a sparse file contradicts its size.")
        reader.hash_hole(digest, offset - position)
        reader.hash_into(digest, size)
        position = offset + size
    if map_size + sum(numbers[1::2]) != stored:
        raise BackupError("The archive is damaged: a sparse file does not have the size that its map says.")
    reader.hash_hole(digest, real_size - position)


def _read_map(reader: ArchiveReader, stored: int) -> tuple[list[int], int]:
    data = b""
    count = None
    while count is None or data.count(b"\n") < 1 + 2 * count:
        if len(data) >= stored:
            raise BackupError("The archive is damaged: the map of a sparse file does not end.")
        data += reader.read(BLOCK)
        if count is None and b"\n" in data:
            count = decimal(data.partition(b"\n")[0])
    lines = data.split(b"\n")
    return [decimal(line) for line in lines[1 : 1 + 2 * count]], len(data)
