"""Backups as trees that rsync pulls: a dated folder for each, in which unchanged files are links to the one before."""

import hashlib
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from redrill.errors import BackupError, MachineError
from redrill.machine.protocol import Machine
from redrill.machine.walker import decode, encode, walk
from redrill.model.backend_settings import checked_settings
from redrill.model.churn import churn_rules
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Entry, EntryKind, Manifest
from redrill.model.values import STATE_PATHS, Value
from redrill.repositories.flags import read_flags
from redrill.repositories.found_trees import find_trees, refuse_fake_super
from redrill.repositories.protocol import Snapshot, require_run_id
from redrill.repositories.rsync_command import Source, check_words, judge_changes, source_on
from redrill.repositories.snapshot_folder import (
    MANIFEST,
    Marker,
    create_private,
    make_private_folder,
    name_snapshot,
    new_folder,
    read_manifest,
    read_marker,
    read_markers,
    remove,
    sweep,
    write_marker,
)
from redrill.repositories.stored_tree import checked_archive, open_tree, read_tree, seal_tree

TREE = "tree"
"""The folder, beside marker and manifest, in which home, etc and var of one snapshot stand."""

_NEVER_LINKED = (EntryKind.FIFO, EntryKind.BLOCK, EntryKind.CHARACTER)
_LINKS = (
    'export LC_ALL=C; cd "${ROOT-}/" && '
    f"find {' '.join(path.strip('/') for path in STATE_PATHS)} -xdev ! -type d -links +1 -printf '%D:%i %p\\0'"
)


def _check_trees(value: str) -> str:
    if value.startswith("/") or not value.strip("./") or ".." in value.split("/"):
        raise ValueError(f"{value!r} is no glob below the directory; write '{{endpoint}}' or 'hourly.*/{{endpoint}}'")
    return value


class Settings(Value):
    """What the fleet file may say to the repository ``rsync``.

    Where, and how many snapshots to keep. With ``trees``, a glob below the directory in which ``{endpoint}`` stands for
    the endpoint's name ('{endpoint}' for a mirror, 'hourly.*/{endpoint}' for rsnapshot), it holds the trees that
    somebody else keeps, and redrill only reads. Each was made when the file ``stamp`` in it was last written, or when
    the folder itself was.
    """

    directory: Path
    keep: int = Field(default=3, ge=1)
    trees: Annotated[str, AfterValidator(_check_trees)] | None = None
    stamp: str | None = None


class RsyncRepository:
    """Keeps snapshots of one endpoint as trees under ``directory``/<endpoint>/<id>/tree; or reads those of others."""

    Settings = Settings

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        self._settings = checked_settings(Settings, endpoint, "repository")
        self._endpoint = endpoint
        self._directory = (fleet.source.parent / self._settings.directory.expanduser()).absolute()
        self._folder = self._directory / endpoint.name
        self._verified: dict[str, tuple[Manifest, str]] = {}

    def snapshots(self) -> list[Snapshot]:
        """Return the complete snapshots of the endpoint, oldest first; BackupError for a marker that is not good."""
        if self._settings.trees is not None:
            return find_trees(self._directory, self._endpoint.name, self._settings.trees, self._settings.stamp)
        return [marker.snapshot for marker in read_markers([self._folder])]

    def create(self, machine: Machine, run: str, deadline: Deadline) -> Snapshot:
        """Pull the state paths, remove what earlier pulls left unfinished, and all but the newest ``keep``."""
        if self._settings.trees is not None:
            raise BackupError(
                f"The trees in '{self._directory}' are kept by somebody else, and redrill only reads them; choose one "
                "of them, or give the endpoint a repository of its own."
            )
        require_run_id(run)
        created = datetime.now(UTC)
        folder = self._folder / name_snapshot(created, run)
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
    def open(self, snapshot: Snapshot, deadline: Deadline) -> Iterator[Iterator[bytes]]:
        """Stream the tree as an archive; its last chunk raises BackupError when it is not what was verified."""
        tree, listed = self._tree(snapshot), self._listed(snapshot)
        with open_tree(self._endpoint.name, tree, deadline) as chunks:
            yield chunks if listed is None else checked_archive(chunks, tree, listed, deadline)

    def verify(self, snapshot: Snapshot, deadline: Deadline) -> Manifest:
        """Read the whole tree, check it against its manifest, and return that; BackupError when it is not the same.

        A tree that somebody else keeps has none: what was read is its manifest, if nobody touched it meanwhile.
        """
        tree = self._tree(snapshot)
        seal = self._seal(snapshot)
        expected = self._stored_manifest(snapshot)
        found = read_tree(self._endpoint.name, tree, deadline, expected)
        if self._seal(snapshot) != seal:
            raise BackupError(f"The tree '{tree}' was changed while it was read; is something backing up right now?")
        if expected is None:
            refuse_fake_super(tree, found)
        manifest = found if expected is None else expected
        self._verified[snapshot.id] = (manifest, seal)
        return manifest

    def yields_only(self, snapshot: Snapshot, manifest: Manifest) -> bool:
        """Whether the manifest is what ``verify`` has returned: each archive is compared with that on its way."""
        verified = self._verified.get(snapshot.id)
        return verified is not None and verified[0] is manifest

    def require_untouched(self, snapshot: Snapshot) -> None:
        """Raise BackupError unless every file and folder of the snapshot is the very one that ``verify`` has read."""
        verified = self._verified.get(snapshot.id)
        if verified is None or self._seal(snapshot) != verified[1]:
            raise BackupError(
                f"The backup '{snapshot.id}' of '{self._endpoint.name}' was changed or removed after it had been "
                f"verified. Nothing was wiped. Find out who writes to '{self._tree(snapshot)}', then drill again."
            )

    def _fill(self, folder: Path, machine: Machine, created: datetime, deadline: Deadline) -> Marker:
        """Pull the tree and write its manifest; return the marker."""
        tree, name = folder / TREE, self._endpoint.name
        tree.mkdir(mode=0o700)
        with source_on(machine) as source:
            warnings = self._pull(source, tree, deadline)
        manifest, lost = _as_archive(walk(tree, STATE_PATHS))
        flags = read_flags(machine, manifest, deadline)
        manifest = replace(manifest, has_flags=False) if flags.by_path is None else manifest.with_flags(flags.by_path)
        _require_whole(tree, manifest)
        text = "".join(f"{line}\n" for line in manifest.dump()).encode("ascii")
        with create_private(folder / MANIFEST) as file:
            file.write(text)
        digest = hashlib.sha256(text).hexdigest()
        snapshot = Snapshot(
            id=folder.name,
            endpoint=name,
            created=created,
            paths=STATE_PATHS,
            entries=len(manifest.entries),
            size=sum(entry.size for entry in manifest.entries.values()),
            stored_size=_stored_size(tree),
            sha256=digest,
            warnings=(*warnings, *lost, *flags.warnings),
        )
        os.sync()
        return Marker(snapshot=snapshot, manifest_sha256=digest)

    def _pull(self, source: Source, tree: Path, deadline: Deadline) -> tuple[str, ...]:
        """Pull the state paths into an empty folder and return warnings; BackupError when it is no exact copy."""
        name = self._endpoint.name
        older = read_markers([self._folder])[-1:]
        # Whether a file is the same as in the snapshot before is told by its content: sizes and times can lie.
        bases = [f"--link-dest={self._folder / marker.snapshot.id / TREE}" for marker in older]
        options = ["--checksum", *bases] if bases else []
        lines = check_words(source.pull(tree, options, deadline))
        if bases and _part_links(tree, _links_of(source.machine, deadline)):
            lines += check_words(source.pull(tree, ["--ignore-existing"], deadline))
        lines += source.look(tree, deadline)
        try:
            return judge_changes(source, lines, churn_rules(self._endpoint.churn))
        except BackupError as error:
            raise BackupError(f"The backup of '{name}' by rsync failed. {error}") from error

    def _listed(self, snapshot: Snapshot) -> Manifest | None:
        """Return the manifest of a snapshot; None for a tree of somebody else that nobody has verified here."""
        verified = self._verified.get(snapshot.id)
        return verified[0] if verified else self._stored_manifest(snapshot)

    def _stored_manifest(self, snapshot: Snapshot) -> Manifest | None:
        if self._settings.trees is not None:
            return None
        folder = self._folder / snapshot.id
        marker = read_marker(folder)
        if marker.snapshot != snapshot or marker.manifest_sha256 != snapshot.sha256:
            raise BackupError(f"The marker of the snapshot '{snapshot.id}' in '{folder}' was changed after the backup.")
        return read_manifest(folder, marker, lambda chunks: chunks)

    def _tree(self, snapshot: Snapshot) -> Path:
        if self._settings.trees is not None:
            # rsnapshot renames its folders at each turn, so that a tree is known by when it was made.
            alike = [each.id for each in self.snapshots() if each.created == snapshot.created]
            return self._directory / (snapshot.id if snapshot.id in alike or len(alike) != 1 else alike[0])
        return self._folder / snapshot.id / TREE

    def _seal(self, snapshot: Snapshot) -> str:
        tree = self._tree(snapshot)
        return seal_tree(tree if self._settings.trees is not None else tree.parent)

    def _prune(self) -> None:
        old = read_markers([self._folder])[: -self._settings.keep]
        remove(self._folder / marker.snapshot.id for marker in old)


def _links_of(machine: Machine, deadline: Deadline) -> dict[str, bytes]:
    """Return, by path, which inode it is on the endpoint, of everything there that has several names."""
    found: dict[str, bytes] = {}
    for line in machine.run(_LINKS, deadline).checked().stdout.split(b"\0"):
        inode, _, path = line.partition(b" ")
        if path:
            found["/" + decode(path)] = inode
    return found


def _part_links(tree: Path, there: Mapping[str, bytes]) -> bool:
    """Remove what is a hard link in the tree, but not on the endpoint; tell whether there was any.

    rsync takes each name of what was one file at the last snapshot from there, and does not see that they are two now.
    """
    groups: dict[tuple[int, int], list[bytes]] = {}
    root = encode(str(tree))
    for place, folders, names in os.walk(root):
        # A link to a folder is among the folders.
        for path in (os.path.join(place, name) for name in (*folders, *names)):  # noqa: PTH118 - the paths are bytes
            info = os.lstat(path)
            if info.st_nlink > 1 and not stat.S_ISDIR(info.st_mode):
                groups.setdefault((info.st_dev, info.st_ino), []).append(path)
    wrong = []
    for group in groups.values():
        first, *others = (there.get(decode(path.removeprefix(root))) for path in group)
        wrong += [path for path, inode in zip(group[1:], others, strict=True) if inode is None or inode != first]
    for path in wrong:
        os.unlink(path)  # noqa: PTH108 - the path is bytes
    return bool(wrong)


def _as_archive(manifest: Manifest) -> tuple[Manifest, list[str]]:
    """Return what an archive of the tree can hold, and a warning for what it cannot."""
    kept: dict[str, Entry] = {}
    warnings: list[str] = []
    for path, entry in manifest.entries.items():
        is_linked = entry.link_group is not None and entry.kind in _NEVER_LINKED
        if entry.kind is EntryKind.SOCKET:
            warnings.append(f"{path}: a socket is not in the backup")
            continue
        if is_linked:
            warnings.append(f"{path}: that this {entry.kind} has several names is not in the backup")
        # Flags are those of the file system here; the endpoint's are read there.
        kept[path] = replace(entry, flags="", link_group=None if is_linked else entry.link_group)
    return replace(manifest, entries=kept), warnings


def _require_whole(tree: Path, manifest: Manifest) -> None:
    """Raise BackupError unless all of a tree could be read and each state path is a directory in it."""
    missing = [path for path in STATE_PATHS if path not in manifest.entries]
    wrong = [p for p in STATE_PATHS if p not in missing and manifest.entries[p].kind is not EntryKind.DIRECTORY]
    if missing or wrong:
        raise BackupError(f"{', '.join(map(repr, missing + wrong))} is not a directory, so its files would be lost.")
    if manifest.unreadable:
        raise BackupError(f"In '{tree}' redrill cannot read {', '.join(map(repr, manifest.unreadable[:10]))}.")


def _stored_size(tree: Path) -> int:
    """Return what a tree takes on the disk, in bytes; what it shares with older ones counts, too."""
    inodes: dict[tuple[int, int], int] = {}
    for place, folders, names in os.walk(encode(str(tree))):
        for path in (os.path.join(place, name) for name in (*folders, *names)):  # noqa: PTH118 - the paths are bytes
            info = os.lstat(path)
            inodes[info.st_dev, info.st_ino] = info.st_blocks * 512
    return sum(inodes.values())
