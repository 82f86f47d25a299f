"""No wipe without a way back: a whole, fresh backup is worth nothing where it does not fit."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from redrill.drill.bench import Bench
from redrill.drill.evidence import read_manifest
from redrill.errors import BackupError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest
from redrill.model.values import STATE_PATHS, is_inside, spell_duration
from redrill.provisioners.protocol import OfflineRestore, Roomy
from redrill.repositories.probe import require_room_for_attributes
from redrill.repositories.protocol import Snapshot

RESERVE = 0.1
"""The part of what a backup needs that must be free besides: file systems differ in what they need themselves."""

_MEMBERS = " ".join(path.strip("/") for path in STATE_PATHS)
_FREE = f"cd \"${{ROOT-}}/\" && stat -f -c '%i %S %a %c %d' {_MEMBERS}"
_USED = f'cd "${{ROOT-}}/" && du -s -x -c -B1 {_MEMBERS} 2>/dev/null; true'


@dataclass(frozen=True, slots=True)
class Room:
    """What a file system has free, in bytes and inodes; None where inodes are made as needed."""

    where: str
    size: int
    inodes: int | None


@dataclass(frozen=True, slots=True)
class Need:
    """What a restore takes, in bytes and inodes."""

    size: int
    inodes: int


def prove_way_back(bench: Bench, deadline: Deadline) -> str:
    """Return in words what was proven of the verified backup: fresh, whole, and fit for the target.

    BackupError when anything of it is not so; nothing was destroyed then. Whether the backup is intact, decrypts and
    holds the survivors was seen when it was verified.
    """
    snapshot, manifest = bench.snapshot, bench.snapshot_manifest
    if snapshot is None or manifest is None:
        raise BackupError(f"Endpoint '{bench.endpoint.name}' has no verified backup.")
    require_fresh(bench, snapshot, manifest)
    machine, needs = bench.machine, _used(bench.machine, manifest, deadline)
    inodes = len(manifest.entries)
    offline = _offline_folder(bench)
    if offline is None:
        brought = _image_state(bench)
        # What the state takes now is free again by then; what the fresh image brings is there beside it for a while.
        extra = Need(int(needs * RESERVE) + brought.size, int(inodes * RESERVE) + brought.inodes)
        for room in rooms_of(machine, deadline):
            require_room(bench.endpoint.name, room, extra)
    else:
        require_room(
            bench.endpoint.name,
            room_of(offline),
            Need(int(needs * (1 + RESERVE)), int(inodes * (1 + RESERVE))),
        )
    tried = require_room_for_attributes(machine, _scratch(machine, deadline), manifest, deadline)
    if offline is not None:
        require_room_for_attributes(LocalMachine(bench.endpoint.name, offline), "", manifest, deadline)
    return f"fits: {needs / 1e6:.1f} MB, {inodes} inodes, {tried} kinds of attributes"


def require_fresh(bench: Bench, snapshot: Snapshot, manifest: Manifest) -> None:
    """Raise BackupError unless the snapshot is of this endpoint, whole, and of this run or as fresh as it must be."""
    name = bench.endpoint.name
    if snapshot.endpoint != name or snapshot.paths != STATE_PATHS:
        raise BackupError(
            f"The snapshot '{snapshot.id}' is of '{snapshot.endpoint}' and holds {', '.join(snapshot.paths)}; "
            f"'{name}' needs one of its own with {', '.join(STATE_PATHS)}."
        )
    if snapshot.entries not in (None, len(manifest.entries)):
        raise BackupError(
            f"The snapshot '{snapshot.id}' tells of {snapshot.entries} entries, but its manifest lists "
            f"{len(manifest.entries)}."
        )
    require_young(bench, snapshot)


def require_young(bench: Bench, snapshot: Snapshot) -> None:
    """Raise BackupError when the snapshot is older than the fleet file allows, and not of this run."""
    name, age, oldest = bench.endpoint.name, datetime.now(UTC) - snapshot.created, bench.fleet.guards.backup_valid
    is_own = snapshot.created >= bench.started or snapshot.id.endswith(bench.run)
    if age < -oldest or (age > oldest and not is_own):
        raise BackupError(
            f"The snapshot '{snapshot.id}' was made at {snapshot.created:%Y-%m-%d %H:%M:%S} UTC, not by this run and "
            f"longer than {spell_duration(oldest)} ago ('guards.backup_valid'); back '{name}' up again, or let it be "
            "older if so much may be lost."
        )


def rooms_of(machine: Machine, deadline: Deadline) -> list[Room]:
    """Return the room on each file system that holds a state path of a machine."""
    lines = machine.run(_FREE, deadline).checked().text.splitlines()
    rooms: dict[str, Room] = {}
    for path, line in zip(STATE_PATHS, lines, strict=True):
        identity, block, free, inodes, free_inodes = line.split()
        room = Room(path, int(block) * int(free), int(free_inodes) if int(inodes) else None)
        rooms.setdefault(identity, room)
    return list(rooms.values())


def room_of(folder: Path) -> Room:
    """Return the room on the file system of a folder of the controller."""
    found = os.statvfs(folder)
    return Room(str(folder), found.f_frsize * found.f_bavail, found.f_favail if found.f_files else None)


def require_room(endpoint: str, room: Room, need: Need) -> None:
    """Raise BackupError when the need is beyond the room."""
    if room.size < need.size:
        raise BackupError(
            f"The backup of '{endpoint}' does not fit: a restore needs {need.size / 1e6:.1f} MB free in "
            f"'{room.where}', where {room.size / 1e6:.1f} MB are. Make room or give it a larger file system."
        )
    if room.inodes is not None and room.inodes < need.inodes:
        raise BackupError(
            f"The backup of '{endpoint}' does not fit: a restore needs {need.inodes} free inodes in '{room.where}', "
            f"where {room.inodes} are. Make room or give it a file system with more inodes."
        )


def _used(machine: Machine, manifest: Manifest, deadline: Deadline) -> int:
    """Return what the state takes on disk, without the holes of sparse files; where nobody can say, its sizes."""
    lines = machine.run(_USED, deadline).text.splitlines()
    total, _, label = (lines[-1] if lines else "").partition("\t")
    if label == "total" and total.isdigit():
        return int(total)
    return sum(entry.size for entry in manifest.entries.values())


def _image_state(bench: Bench) -> Need:
    image = bench.evidence.image_wanted
    if image is None or image.manifest is None:
        return Need(0, 0)
    sizes = list(_sizes(read_manifest(bench.run_dir, image.manifest)))
    return Need(sum(sizes), len(sizes))


def _sizes(manifest: Manifest) -> Iterator[int]:
    return (entry.size for path, entry in manifest.entries.items() if is_inside(path))


def _offline_folder(bench: Bench) -> Path | None:
    """Return the folder near which an offline restore will write; None for a live restore, or when nobody knows it."""
    provisioner = bench.builder
    if bench.endpoint.restore == "live" or not isinstance(provisioner, OfflineRestore):
        return None
    return provisioner.room() if isinstance(provisioner, Roomy) else None


def _scratch(machine: Machine, deadline: Deadline) -> str:
    """Return a directory of a machine, relative to its root, in which to try things out."""
    has_tmp = machine.run('test -d "${ROOT-}/var/tmp" && test ! -h "${ROOT-}/var/tmp"', deadline).exit_status == 0
    return "var/tmp" if has_tmp else "var"
