"""Backups as plain files: one compressed tar archive, its manifest and a marker in a folder for each snapshot."""

import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO

import zstandard
from pydantic import Field, ValidationError

from redrill.errors import BackupError, FleetError, MachineError
from redrill.machine.protocol import Machine
from redrill.model.churn import churn_rules
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest, compare
from redrill.model.values import STATE_PATHS, Value
from redrill.repositories.protocol import Snapshot
from redrill.repositories.snapshot_folder import (
    ARCHIVE,
    Marker,
    create_private,
    make_private_folder,
    new_folder,
    read_manifest,
    read_marker,
    read_markers,
    remove,
    sweep,
    write_manifest,
    write_marker,
)
from redrill.repositories.streams import CHUNK, HeldBack, compress, decompress, hand_over, tee
from redrill.repositories.tar_command import TRAILER, backup_command, judge_words
from redrill.repositories.tar_stream import read_archive


class Settings(Value):
    """What the fleet file may say to the repository ``tar``: where, how many snapshots to keep, the zstd level."""

    directory: Path
    keep: int = Field(default=3, ge=1)
    level: int = Field(default=1, ge=1, le=19)


class TarRepository:
    """Keeps snapshots of one endpoint as archives of GNU tar under ``directory``/<endpoint>/<id>."""

    Settings = Settings

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        backend = endpoint.repository
        try:
            self._settings = Settings.model_validate(backend.settings if backend else {})
        except ValidationError as error:
            raise FleetError(f"endpoints.{endpoint.name}.repository: {error}") from error
        self._endpoint = endpoint
        self._folder = fleet.source.parent / self._settings.directory.expanduser() / endpoint.name

    def snapshots(self) -> list[Snapshot]:
        """Return the complete snapshots of the endpoint, oldest first; BackupError when a marker cannot be read."""
        return [marker.snapshot for marker in read_markers(self._folder)]

    def create(self, machine: Machine, run: str, deadline: Deadline) -> Snapshot:
        """Back up the state paths, remove what earlier backups left unfinished, and all but the newest ``keep``."""
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run):
            raise BackupError(f"{run!r} is not a run id; use letters, digits, dots, underscores and hyphens.")
        created = datetime.now(UTC)
        folder = self._folder / f"{created:%Y%m%dT%H%M%SZ}-{run}"
        try:
            make_private_folder(self._folder)
            sweep(self._folder)
            with new_folder(folder):
                marker = self._fill(folder, machine, created, deadline)
                write_marker(folder, marker)
            self._prune()
        except (OSError, MachineError) as error:
            raise BackupError(f"The backup of '{self._endpoint.name}' into '{folder}' failed: {error}") from error
        return marker.snapshot

    @contextmanager
    def open(self, snapshot: Snapshot) -> Iterator[Iterator[bytes]]:
        """Stream the archive uncompressed; its last chunk raises BackupError when the file is not the verified one."""
        path = self._folder / snapshot.id / ARCHIVE
        try:
            file = path.open("rb")
        except OSError as error:
            raise BackupError(f"The archive '{path}' cannot be read: {error}") from error
        with file:
            yield decompress(_checked(file, snapshot))

    def verify(self, snapshot: Snapshot, deadline: Deadline) -> Manifest:
        """Read the archive from the disk, check it against its digests and manifest, and return the manifest."""
        folder = self._folder / snapshot.id
        marker = read_marker(folder)
        if marker.snapshot != snapshot:
            raise BackupError(f"The marker of the snapshot '{snapshot.id}' in '{folder}' was changed after the backup.")
        with self.open(snapshot) as chunks:
            found = hand_over(chunks, partial(read_archive, deadline=deadline))
        expected = read_manifest(folder, marker.manifest_sha256)
        if unlike := compare(expected, found):
            raise BackupError(
                f"The archive in '{folder}' is not what its manifest says: {'; '.join(map(str, unlike[:10]))}"
            )
        return expected

    def _fill(self, folder: Path, machine: Machine, created: datetime, deadline: Deadline) -> Marker:
        with create_private(folder / ARCHIVE) as file:
            received = _receive(machine, file.write, self._settings.level, deadline)
        warnings = judge_words(received.trailer, received.manifest, churn_rules(self._endpoint.churn))
        entries = received.manifest.entries
        snapshot = Snapshot(
            id=folder.name,
            endpoint=self._endpoint.name,
            created=created,
            paths=STATE_PATHS,
            entries=len(entries),
            size=sum(entry.size for entry in entries.values()),
            stored_size=received.size,
            sha256=received.sha256,
            warnings=warnings,
        )
        return Marker(snapshot=snapshot, manifest_sha256=write_manifest(folder, received.manifest))

    def _prune(self) -> None:
        old = read_markers(self._folder)[: -self._settings.keep]
        remove(self._folder / marker.snapshot.id for marker in old)


@dataclass(frozen=True, slots=True)
class _Received:
    manifest: Manifest
    trailer: bytes
    sha256: str
    size: int


class _Sink:
    """Writes what is stored and remembers its digest and size."""

    def __init__(self, write: Callable[[bytes], object]) -> None:
        self._write = write
        self.digest = hashlib.sha256()
        self.size = 0

    def __call__(self, data: bytes) -> None:
        self._write(data)
        self.digest.update(data)
        self.size += len(data)


def _receive(machine: Machine, write: Callable[[bytes], object], level: int, deadline: Deadline) -> _Received:
    """Store the archive of a machine and read what it holds in the same pass."""
    sink = _Sink(write)
    with machine.receive(backup_command(level), deadline) as chunks:
        body = HeldBack(chunks, TRAILER)
        stored = _store(iter(body), sink, level)
        manifest = _read_unless_ended(body, lambda: hand_over(stored, partial(read_archive, deadline=deadline)))
    if manifest is None:
        raise BackupError(f"The archive of '{machine.name}' ended before tar could say how it went.")
    return _Received(manifest, body.tail, sink.digest.hexdigest(), sink.size)


def _read_unless_ended(body: HeldBack, read: Callable[[], Manifest]) -> Manifest | None:
    """Return the manifest; None when the command ended early, whose own words then say more than the archive can."""
    try:
        return read()
    except BackupError:
        if len(body.tail) == TRAILER:
            raise
        return None


def _store(body: Iterator[bytes], sink: _Sink, level: int) -> Iterator[bytes]:
    """Yield the uncompressed archive while its compressed form, whoever made it, goes to the sink."""
    first = next(body, b"")
    while len(first) < len(zstandard.FRAME_HEADER) and (more := next(body, b"")):
        first += more
    whole = chain([first], body)
    packed = whole if first.startswith(zstandard.FRAME_HEADER) else compress(whole, level)
    return decompress(tee(packed, sink))


def _checked(file: IO[bytes], snapshot: Snapshot) -> Iterator[bytes]:
    digest = hashlib.sha256()
    yield from tee(_chunks(file), digest.update)
    if digest.hexdigest() != snapshot.sha256:
        raise BackupError(f"The archive of the snapshot '{snapshot.id}' is damaged or was changed after the backup.")


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK):
            yield chunk
    except OSError as error:
        raise BackupError(f"The archive '{file.name}' cannot be read: {error}") from error
