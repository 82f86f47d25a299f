"""Takes a part out of a tar archive as it goes by: what remains is a sound archive of its own."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from tempfile import TemporaryFile
from typing import IO

from redrill.errors import BackupError
from redrill.machine.walker import decode, encode
from redrill.model.deadline import Deadline
from redrill.model.manifest import EntryKind, Manifest
from redrill.repositories.streams import CHUNK
from redrill.repositories.tar_headers import BLOCK, MAX_PAX, Header, check_block, parse_pax
from redrill.repositories.tar_stream import KINDS, ArchiveReader
from redrill.repositories.tar_writer import extended_header


class Extent(Enum):
    """How much of a path is taken: nothing, the entry itself, or all that is below it besides."""

    NOTHING = 0
    ENTRY = 1
    WHOLE = 2


ExtentOf = Callable[[str], Extent]


def select(manifest: Manifest, extent_of: ExtentOf) -> Manifest:
    """Return the manifest of what ``select_members`` takes."""
    entries = {path: entry for path, entry in manifest.entries.items() if extent_of(path) is not Extent.NOTHING}
    return Manifest(entries, has_flags=manifest.has_flags)


def select_members(
    chunks: Iterator[bytes], manifest: Manifest, extent_of: ExtentOf, deadline: Deadline
) -> Iterator[bytes]:
    """Yield an archive of the members that are listed and wanted; the caller wants the parents of what it wants.

    A directory of which only the entry is wanted no longer says what else must be in it. A hard link becomes the file
    when what it links to is not wanted. BackupError when the archive is damaged, or a member is listed as another kind.
    """
    reader, pax = ArchiveReader(chunks, deadline), dict[bytes, bytes]()
    with TemporaryFile() as spool:
        selection = _Selection(manifest, extent_of, spool)
        while (block := reader.read(BLOCK)).strip(b"\0"):
            check_block(block)
            header = Header(block, pax)
            if header.type == b"x":
                if header.size > MAX_PAX:
                    raise BackupError("The archive is damaged: an extended header is far too big.")
                pax = parse_pax(reader.read_padded(header.size))
                continue
            yield from selection.pass_on(header, reader)
            pax = {}
    yield bytes(2 * BLOCK)
    reader.finish()


@dataclass(frozen=True, slots=True)
class _Spooled:
    """A member that is not wanted itself, but may be under another name: where its data, padded, is in the spool."""

    header: Header
    start: int
    size: int


class _Selection:
    def __init__(self, manifest: Manifest, extent_of: ExtentOf, spool: IO[bytes]) -> None:
        self._entries = manifest.entries
        self._extent_of = extent_of
        self._spool = spool
        self._wanted = {e.link_group for p, e in self._entries.items() if e.link_group and self._is_wanted(p)}
        self._spooled: dict[str, _Spooled] = {}
        self._first: dict[str, str] = {}

    def _is_wanted(self, path: str) -> bool:
        return path in self._entries and self._extent_of(path) is not Extent.NOTHING

    def pass_on(self, header: Header, reader: ArchiveReader) -> Iterator[bytes]:
        """Yield a member as it is wanted, if it is; its data is read in any case."""
        path = "/" + decode(header.name.removesuffix(b"/"))
        entry = self._entries.get(path)
        group = entry.link_group if entry else None
        if header.type == b"1":
            if self._is_wanted(path):
                yield from self._link(path, group, header)
        elif self._is_wanted(path):
            if entry is None or KINDS[header.type] is not entry.kind:
                raise BackupError(f"The archive holds {path!r} as another kind of file than is listed.")
            if group:
                self._first[group] = path
            yield extended_header(self._records(path, entry.kind, header)) + header.block
            yield from reader.pieces(header.size + -header.size % BLOCK)
        else:
            self._pass_over(group, header, reader)

    def _records(self, path: str, kind: EntryKind, header: Header) -> dict[bytes, bytes]:
        if kind is EntryKind.DIRECTORY and self._extent_of(path) is Extent.ENTRY:
            return {key: value for key, value in header.pax.items() if key != b"GNU.dumpdir"}
        return header.pax

    def _pass_over(self, group: str | None, header: Header, reader: ArchiveReader) -> None:
        """Read the data of a member that is not wanted, and keep it when it is under another name."""
        size = header.size + -header.size % BLOCK
        is_kept = group is not None and group in self._wanted
        if group is not None and is_kept:
            self._spooled[group] = _Spooled(header, self._spool.seek(0, os.SEEK_END), size)
        for piece in reader.pieces(size):
            if is_kept:
                self._spool.write(piece)

    def _renamed(self, spooled: _Spooled, path: str) -> Iterator[bytes]:
        """Yield a member that was kept as one with another name."""
        key = b"GNU.sparse.name" if b"GNU.sparse.name" in spooled.header.pax else b"path"
        yield extended_header({**spooled.header.pax, key: encode(path[1:])}) + spooled.header.block
        self._spool.seek(spooled.start)
        for start in range(0, spooled.size, CHUNK):
            yield self._spool.read(min(CHUNK, spooled.size - start))

    def _link(self, path: str, group: str | None, header: Header) -> Iterator[bytes]:
        if group in self._first:
            first = encode(self._first[group][1:])
            yield extended_header({**header.pax, b"linkpath": first}) + header.block
        elif group in self._spooled:
            self._first[group] = path
            yield from self._renamed(self._spooled.pop(group), path)
        else:
            raise BackupError(f"The archive holds {path!r} as a hard link to what is no file before it.")
