"""Small and hard trees, and repositories for them."""

import os
from pathlib import Path

from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.fleet import Backend, Endpoint, Fleet
from redrill.model.manifest import EntryKind, Manifest
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import Snapshot
from redrill.repositories.restore import restore_tree
from redrill.repositories.tar import TarRepository

ARCHIVE = "archive.tar.zst"


def soon() -> Deadline:
    return Deadline.after(60)


def make_repository(folder: Path, churn: tuple[str, ...] = (), **settings: object) -> TarRepository:
    backend = Backend.model_validate({"kind": "tar", "directory": "repository", **settings})
    endpoint = Endpoint(name="web-1", repository=backend, churn=churn)
    return TarRepository(Fleet(name="test", source=folder / "fleet.yml", endpoints=(endpoint,)), endpoint)


def folder_of(folder: Path, snapshot: Snapshot) -> Path:
    return folder / "repository/web-1" / snapshot.id


def make_small_tree(root: Path) -> Path:
    for path in STATE_PATHS:
        (root / path[1:]).mkdir(parents=True)
        (root / path[1:] / "file").write_bytes(os.urandom(20_000))
    return root


def expect(root: Path) -> Manifest:
    """Return what a backup of a tree should hold: everything but sockets."""
    found = walk(root, STATE_PATHS)
    return Manifest({path: entry for path, entry in found.entries.items() if entry.kind is not EntryKind.SOCKET})


def restore(repository: TarRepository, snapshot: Snapshot, root: Path) -> None:
    with repository.open(snapshot, soon()) as stream:
        restore_tree(LocalMachine("target", root), stream, soon())
