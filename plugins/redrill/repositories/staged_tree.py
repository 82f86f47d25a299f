"""A private folder of the controller through which a snapshot passes on its way into or out of a tool's repository."""

import fcntl
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from redrill.errors import BackupError, MachineError, RestoreError
from redrill.machine.flags import unlock_tree
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.manifest import ChurnRule, Manifest
from redrill.model.values import STATE_PATHS
from redrill.repositories.flags import apply_flags, read_flags
from redrill.repositories.probe import require_room_for_attributes
from redrill.repositories.restore import restore_tree
from redrill.repositories.snapshot_folder import make_private_folder, remove_tree
from redrill.repositories.stored_tree import read_tree
from redrill.repositories.streams import decompress, feeding, inspect
from redrill.repositories.tar_command import judge_words
from redrill.repositories.tar_receive import receive
from redrill.repositories.tar_stream import read_archive

_PREFIX = "redrill-stage-"
"""What the names of stages begin with; what else is in the folder that the fleet file names is its owner's."""

_USED = (
    f'cd "${{ROOT-}}/" && du -s -x -c -B1 {" ".join(path.strip("/") for path in STATE_PATHS)} 2>/dev/null | '
    "tail -n 1 | cut -f 1"
)


@dataclass(frozen=True, slots=True)
class Stage:
    """The folder: home, etc and var of a snapshot stand in ``tree``; it is in use as long as ``lock`` is open."""

    name: str
    folder: Path
    lock: int

    @property
    def tree(self) -> Path:
        """What stands for '/'."""
        return self.folder / "tree"

    @property
    def machine(self) -> LocalMachine:
        """The tree as an endpoint that is a directory."""
        return LocalMachine(self.name, self.tree)

    def require_room(self, size: int, inodes: int = 0) -> None:
        """Raise BackupError unless so many bytes and inodes are free, and a tenth more."""
        found = os.statvfs(self.folder)
        room = found.f_frsize * found.f_bavail
        if room < size * 1.1 or (found.f_files and found.f_favail < inodes * 1.1):
            raise BackupError(
                f"The snapshot of '{self.name}' has to pass through '{self.folder.parent}' on this machine, where it "
                f"does not fit: {size / 1e6:.1f} MB and {inodes} inodes are needed, {room / 1e6:.1f} MB and "
                f"{found.f_favail} inodes are free. Make room, or name another folder as 'repository.staging'."
            )


def default_place() -> Path:
    """Return where stages are made unless the fleet file says so."""
    home = Path("/var/lib") if os.geteuid() == 0 else Path.home() / ".local/state"
    return home / "redrill/staging"


@contextmanager
def new_stage(place: Path, name: str) -> Iterator[Stage]:
    """Make an empty stage below ``place``, which goes with the context; first those that nobody uses any more go."""
    try:
        make_private_folder(place)
        with _turn(place):
            _sweep(place)
            folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{name}-", dir=place))
            lock = _lock(folder)
        (folder / "tree").mkdir()
    except OSError as error:
        raise BackupError(f"Nothing can be staged in '{place}' for '{name}': {error}") from error
    try:
        yield Stage(name, folder, lock)
    finally:
        _remove(folder)
        os.close(lock)


def fill(stage: Stage, machine: Machine, rules: Sequence[ChurnRule], deadline: Deadline) -> tuple[Manifest, list[str]]:
    """Bring the state paths of a machine to the stage, exactly; return what it has, and the warnings.

    BackupError when that is not possible, as for files that change meanwhile without a rule that lets them.
    """
    try:
        used = machine.run(_USED, deadline).text
        stage.require_room(int(used) if used.isdigit() else 0)
        with feeding(lambda chunks: _unpack(stage, chunks, deadline)) as write:
            received = receive(machine, write, 1, deadline)
        warnings = judge_words(received.trailer, received.manifest, rules)
        flags = read_flags(machine, received.manifest, deadline)
        _require_able(stage, received.manifest, deadline)
        with suppress(RestoreError):  # then they do not come back from the repository: that is told like all it loses
            apply_flags(stage.machine, flags.by_path or {}, deadline)
    except (OSError, MachineError, RestoreError) as error:
        raise BackupError(f"The backup of '{machine.name}' failed on its way through this machine: {error}") from error
    known = flags.by_path is not None
    source = received.manifest.with_flags(flags.by_path or {}) if known else replace(received.manifest, has_flags=False)
    return source, [*warnings, *flags.warnings]


def _unpack(stage: Stage, chunks: Iterator[bytes], deadline: Deadline) -> None:
    """Unpack what a machine sends, but nothing that was not looked at before: it may be in the hands of others."""
    look = partial(read_archive, deadline=deadline, with_hashes=False)
    restore_tree(stage.machine, inspect(decompress(chunks), look), deadline)


def read_stage(stage: Stage, deadline: Deadline) -> Manifest:
    """Return what stands on the stage, every byte read; BackupError when it is not all that a restore needs."""
    manifest = read_tree(stage.name, stage.tree, deadline)
    return manifest.with_flags(read_flags(stage.machine, manifest, deadline).by_path or {})


def _require_able(stage: Stage, manifest: Manifest, deadline: Deadline) -> None:
    try:
        require_room_for_attributes(stage.machine, "", manifest, deadline)
    except BackupError as error:
        raise BackupError(
            f"'{stage.folder.parent}' on this machine cannot hold what '{stage.name}' has, so it would be lost on the "
            f"way: {error} Run redrill as root, or name another folder as 'repository.staging'."
        ) from error


@contextmanager
def _turn(place: Path) -> Iterator[None]:
    """Be the only one who makes and sweeps stages below ``place``."""
    handle = os.open(place, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _lock(folder: Path) -> int:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _sweep(place: Path) -> None:
    """Remove stages whose makers have gone, and the programs that they had started, too."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            handle = _lock(folder)
            try:
                _remove(folder)
            finally:
                os.close(handle)


def _remove(folder: Path) -> None:
    """Remove a stage; what resists stays for the next sweep, for nothing of a drill depends on it."""
    unlock_tree(os.fsencode(folder))
    with suppress(OSError):
        remove_tree(folder)
