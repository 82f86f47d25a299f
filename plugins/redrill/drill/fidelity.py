"""What each kind of repository keeps of the things that a tree can hold: tried, not believed."""

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from redrill.backends import load_backend
from redrill.errors import BackupError, MachineError, RestoreError
from redrill.machine.flags import unlock_tree
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import encode, walk
from redrill.model.deadline import Deadline
from redrill.model.fleet import Backend, Endpoint, Fleet
from redrill.model.manifest import Difference, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.hard_cases import HARD_CASES, HardCase
from redrill.repositories.protocol import Repository
from redrill.repositories.restore import restore_snapshot
from redrill.repositories.scratch import make_scratch

KEPT, LOST, ALTERED, REFUSED = "kept", "lost", "altered", "refused"
"""What becomes of a case: all there, something gone, something otherwise, or the repository itself says no."""

_NAME = "hard-cases"
_SECONDS = 300.0
_EMPTY = (None, "", ())
_WORDS = {"mtime_ns": "time", "xattrs": "attributes", "link_group": "links", "uid": "owner", "gid": "group"}


@dataclass(slots=True)
class Fidelity:
    """Outcomes by case and kind, why cases could not be made here, and why kinds could not be tried."""

    outcomes: dict[str, dict[str, str]] = field(default_factory=dict)
    not_made: dict[str, str] = field(default_factory=dict)
    not_tried: dict[str, str] = field(default_factory=dict)


def try_fidelity(kinds: Sequence[str], place: Path, cases: Sequence[HardCase] = HARD_CASES) -> Fidelity:
    """Back up and restore every case through a new repository of each kind, below ``place``; nothing stays there."""
    found = Fidelity()
    with _scratch(place) as folder:
        for case in cases:
            try:
                _make_tree(folder / "probe", [case])
                found.outcomes[case.name] = {}
            except OSError as error:
                found.not_made[case.name] = error.strerror or str(error)
            _remove(folder / "probe")
        made = [case for case in cases if case.name in found.outcomes]
        for kind in kinds:
            try:
                trial = _Trial(kind, folder / kind)
                for name, outcome in trial.judge(made).items():
                    found.outcomes[name][kind] = outcome
            except BackupError as error:
                found.not_tried[kind] = str(error)
    return found


class _Trial:
    """One repository, and how often something went through it."""

    def __init__(self, kind: str, folder: Path) -> None:
        backend = Backend.model_validate({"kind": kind, **make_scratch(kind, folder)})
        endpoint = Endpoint(name=_NAME, repository=backend)
        fleet = Fleet(name=_NAME, source=folder / "fleet.yml", endpoints=(endpoint,))
        self._repository: Repository = load_backend("repositories", kind)(fleet, endpoint)
        self._folder = folder
        self._count = 0
        self._try([])  # what fails without any case has nothing to do with them

    def judge(self, cases: Sequence[HardCase]) -> dict[str, str]:
        """Return the outcome of each case; one that the repository refuses is found by trying halves."""
        try:
            return self._try(cases)
        except (BackupError, RestoreError, MachineError):
            if len(cases) == 1:
                return {cases[0].name: REFUSED}
            half = len(cases) // 2
            return self.judge(cases[:half]) | self.judge(cases[half:])

    def _try(self, cases: Sequence[HardCase]) -> dict[str, str]:
        self._count += 1
        source, target = (self._folder / f"{name}-{self._count}" for name in ("source", "target"))
        try:
            folders = _make_tree(source, cases)
            deadline = Deadline.after(_SECONDS)
            snapshot = self._repository.create(LocalMachine(_NAME, source), f"trial-{self._count}", deadline)
            manifest = self._repository.verify(snapshot, deadline)
            _make_tree(target, [])
            restore_snapshot(LocalMachine(_NAME, target), self._repository, snapshot, deadline, manifest)
            unlike = compare(walk(source, STATE_PATHS), walk(target, STATE_PATHS))
            outcomes = {name: _judge(unlike, path) for name, path in folders.items()}
            return outcomes | _judge_holes(source, target, folders, outcomes)
        finally:
            _remove(source)
            _remove(target)


def _make_tree(root: Path, cases: Sequence[HardCase]) -> dict[str, str]:
    """Make the state paths with a folder for each case; return the paths of these by the names of the cases."""
    for path in STATE_PATHS:
        (root / path[1:]).mkdir(parents=True)
    folders = {}
    for number, case in enumerate(cases):
        path = folders[case.name] = f"/home/{number}"
        (root / path[1:]).mkdir()
        case.make(root / path[1:])
    return folders


def _judge(differences: Sequence[Difference], folder: str) -> str:
    own = [each for each in differences if each.path == folder or each.path.startswith(f"{folder}/")]
    if not own:
        return KEPT
    # The time of a folder says only that something in it is missing.
    told = [each for each in own if not (each.path == folder and each.attribute == "mtime_ns")] or own
    is_lost = any(each.attribute == "missing" or each.found in _EMPTY for each in told)
    words = dict.fromkeys(_WORDS.get(each.attribute, each.attribute) for each in told if each.attribute != "missing")
    return f"{LOST if is_lost else ALTERED}{': ' if words else ''}{', '.join(words)}"


def _judge_holes(source: Path, target: Path, folders: Mapping[str, str], outcomes: Mapping[str, str]) -> dict[str, str]:
    """Return a worse outcome for cases whose files take more than twice the room; no manifest tells of that."""
    found = {}
    for name, path in folders.items():
        before, after = (_blocks(root / path[1:]) for root in (source, target))
        if outcomes[name] == KEPT and after > 2 * before + 100:
            found[name] = f"{ALTERED}: holes"
    return found


def _blocks(folder: Path) -> int:
    return sum(path.lstat().st_blocks for path in folder.iterdir())


@contextmanager
def _scratch(place: Path) -> Iterator[Path]:
    try:
        with tempfile.TemporaryDirectory(prefix="redrill-fidelity-", dir=place) as made:
            try:
                yield Path(made)
            finally:
                unlock_tree(encode(made))
    except OSError as error:
        raise BackupError(f"Nothing can be tried out in '{place}': {error}") from error


def _remove(folder: Path) -> None:
    """Remove a tree of cases, whatever they have made of it."""
    if folder.exists():
        unlock_tree(os.fsencode(folder))
        with tempfile.TemporaryDirectory(dir=folder.parent) as made:
            folder.rename(Path(made, "gone"))  # it knows how to remove what its owner may not write to
