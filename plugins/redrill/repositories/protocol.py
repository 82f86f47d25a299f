"""What a repository can do: keep snapshots of the state paths of endpoints."""

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Protocol, runtime_checkable

from redrill.errors import BackupError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest
from redrill.model.values import Value

DRILL = "redrill"
"""The tag of snapshots that a drill has made."""


class Snapshot(Value):
    """One complete backup; sizes in bytes, ``sha256`` is that of the archive as stored, or of what stands for it.

    ``created`` is the moment of which it holds the data. What the listing of a repository does not tell of somebody
    else's snapshot is None. ``tags`` are words by which it can be chosen; DRILL is among them where a drill made it in
    a repository that others use, too.
    """

    id: str
    endpoint: str
    created: datetime
    paths: tuple[str, ...]
    entries: int | None = None
    size: int | None = None
    stored_size: int | None = None
    sha256: str
    tags: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def require_run_id(run: str) -> None:
    """Raise BackupError for an id that no folder and no tag could be called after."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}", run):
        raise BackupError(f"{run!r} is not a run id; use letters, digits, dots, underscores and hyphens.")


class Repository(Protocol):
    """Keeps snapshots. Everything raises BackupError, which means that nothing may be destroyed.

    Made as ``Backend(fleet, endpoint)``; ``Settings`` is the pydantic model of what the fleet file may say to it.
    """

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None: ...

    def snapshots(self) -> list[Snapshot]:
        """Return the complete snapshots of the endpoint, oldest first; a partial one is not a snapshot."""

    def create(self, machine: Machine, run: str, deadline: Deadline) -> Snapshot:
        """Back up the state paths of a live machine; the snapshot exists only when this returns."""

    def open(self, snapshot: Snapshot, deadline: Deadline) -> AbstractContextManager[Iterator[bytes]]:
        """Stream a snapshot as an uncompressed tar archive with member names relative to '/'.

        What has to be fetched for that is waited for until the deadline.
        """

    def verify(self, snapshot: Snapshot, deadline: Deadline) -> Manifest:
        """Read the whole snapshot, check every byte against its checksums and manifest, and return the manifest."""


@runtime_checkable
class WatchfulRepository(Protocol):
    """An optional ability: telling at once whether anybody has touched a snapshot since it was verified."""

    def require_untouched(self, snapshot: Snapshot) -> None:
        """Raise BackupError unless what is stored is what ``verify`` has read; nothing is read again for that."""


@runtime_checkable
class LossyRepository(Protocol):
    """An optional ability: snapshots pass through a tool that may not keep everything."""

    def read_source(self, snapshot: Snapshot) -> Manifest | None:
        """Return what the endpoint had when ``create`` made the snapshot in this process, sockets left out."""


@runtime_checkable
class PackedRepository(Protocol):
    """An optional ability: snapshots are stored in a form that machines with zstd unpack themselves."""

    def open_packed(self, snapshot: Snapshot) -> AbstractContextManager[Iterator[bytes]]:
        """Stream a snapshot as it is stored: what ``open`` yields, in one zstd frame."""


@runtime_checkable
class ExactRepository(Protocol):
    """An optional ability: nobody gets a byte of a snapshot that ``verify`` has not read."""

    def yields_only(self, snapshot: Snapshot, manifest: Manifest) -> bool:
        """Whether all that is streamed of a snapshot was found by ``verify`` to be what this manifest lists."""
