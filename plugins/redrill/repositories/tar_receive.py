"""Receives the archive of a machine: stored, digested and read in one pass."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain

import zstandard

from redrill.errors import BackupError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest
from redrill.repositories.streams import HeldBack, compress, decompress, hand_over, tee
from redrill.repositories.tar_command import TRAILER, backup_command
from redrill.repositories.tar_stream import read_archive


@dataclass(frozen=True, slots=True)
class Received:
    """What came from a machine: what the archive holds, and what the program said at its end."""

    manifest: Manifest
    trailer: bytes


class DigestingSink:
    """Writes what is stored to each of its writers, and remembers its sha256 and size."""

    def __init__(self, *writers: Callable[[bytes], object]) -> None:
        self._writers = writers
        self._digest = hashlib.sha256()
        self.size = 0

    def __call__(self, data: bytes) -> None:
        """Store a chunk."""
        for write in self._writers:
            write(data)
        self._digest.update(data)
        self.size += len(data)

    @property
    def sha256(self) -> str:
        """The digest of all so far."""
        return self._digest.hexdigest()


def receive(machine: Machine, write: Callable[[bytes], object], level: int, deadline: Deadline) -> Received:
    """Give the compressed archive of a machine to ``write`` and read what it holds in the same pass."""
    with machine.receive(backup_command(level), deadline) as chunks:
        body = HeldBack(chunks, TRAILER)
        stored = _store(iter(body), write, level)
        manifest = _read_unless_ended(body, lambda: hand_over(stored, partial(read_archive, deadline=deadline)))
    if manifest is None:
        raise BackupError(f"The archive of '{machine.name}' ended before tar could say how it went.")
    return Received(manifest, body.tail)


def _read_unless_ended(body: HeldBack, read: Callable[[], Manifest]) -> Manifest | None:
    """Return the manifest; None when the command ended early, whose own words then say more than the archive can."""
    try:
        return read()
    except BackupError:
        if len(body.tail) == TRAILER:
            raise
        return None


def _store(body: Iterator[bytes], write: Callable[[bytes], object], level: int) -> Iterator[bytes]:
    """Yield the uncompressed archive while its compressed form, whoever made it, is written."""
    first = next(body, b"")
    while len(first) < len(zstandard.FRAME_HEADER) and (more := next(body, b"")):
        first += more
    whole = chain([first], body)
    packed = whole if first.startswith(zstandard.FRAME_HEADER) else compress(whole, level)
    return decompress(tee(packed, write))
