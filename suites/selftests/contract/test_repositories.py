"""What every repository promises: all of a tree comes back, but for what is known, and nothing spoilt ever does."""

import os
import stat
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from redrill.drill.likeness import tell_losses
from redrill.errors import BackupError, RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import LossyRepository, Repository, Snapshot, WatchfulRepository
from redrill.repositories.restore import fidelity, restore_snapshot
from selftests.support.hard_tree import build_hard_tree
from selftests.support.repository_makers import HOST, MAKERS, PASSWORD, VARIABLE, Maker, open_repository
from selftests.support.tar_backups import expect, soon
from selftests.support.tool_machine import machine_with

TOOLS = [kind for kind, maker in MAKERS.items() if maker.package]
OWNED = [kind for kind, maker in MAKERS.items() if maker.back_up]


@dataclass(frozen=True)
class Place:
    """An empty repository of one kind below a folder, and trees to back up."""

    kind: str
    folder: Path
    settings: dict[str, Any]

    @property
    def maker(self) -> Maker:
        return MAKERS[self.kind]

    def open(self, **settings: Any) -> Repository:
        return open_repository(self.kind, self.folder, **{**self.settings, **settings})

    def create(self, tree: Path, run: str = "run") -> tuple[Repository, Snapshot]:
        repository = self.open()
        return repository, repository.create(LocalMachine(HOST, tree), run, soon())

    def back_up(self, tree: Path, *tags: str) -> None:
        assert self.maker.back_up
        self.maker.back_up(self.folder, tree, tags)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    monkeypatch.setenv("BORG_BASE_DIR", str(tmp_path / "borg"))
    return Place(request.param, tmp_path, MAKERS[request.param].make(tmp_path))


@pytest.fixture
def hard(tmp_path: Path) -> Path:
    build_hard_tree(tmp_path / "hard")
    flagged = tmp_path / "hard/home/user/flagged"
    flagged.touch()
    subprocess.run(["chattr", "+A", flagged], check=True)
    return tmp_path / "hard"


every_kind = pytest.mark.parametrize("place", MAKERS, indirect=True)
every_tool = pytest.mark.parametrize("place", TOOLS, indirect=True)
every_owners = pytest.mark.parametrize("place", OWNED, indirect=True)


def restored(repository: Repository, snapshot: Snapshot, manifest: Manifest, root: Path) -> Manifest:
    root.mkdir()
    restore_snapshot(LocalMachine(HOST, root), repository, snapshot, soon(), manifest)
    return walk(root, STATE_PATHS)


@every_kind
def test_what_is_restored_is_what_was_verified(place, hard, tmp_path):
    repository, snapshot = place.create(hard)
    manifest = repository.verify(snapshot, soon())
    assert fidelity(manifest, restored(repository, snapshot, manifest, tmp_path / "target")) == []


@every_kind
def test_a_backup_loses_only_what_is_known_of_its_kind_and_says_so(place, hard):
    repository, snapshot = place.create(hard)
    lost = compare(expect(hard), repository.verify(snapshot, soon()))
    found = defaultdict[str, set[str]](set)
    for difference in lost:
        found[difference.attribute].add(difference.path.removeprefix("/home/user/"))
    assert found == place.maker.loses
    source = repository.read_source(snapshot) if isinstance(repository, LossyRepository) else expect(hard)
    assert source
    assert compare(expect(hard), source) == []
    assert len(tell_losses(source, repository.verify(snapshot, soon()))) == len(place.maker.loses)


@every_kind
def test_snapshots_are_listed_oldest_first_and_of_this_endpoint(place, small):
    repository = place.open()
    assert repository.snapshots() == []
    before = datetime.now(UTC).replace(microsecond=0)
    made = [repository.create(LocalMachine(HOST, small), f"run-{number}", soon()) for number in range(2)]
    found = place.open().snapshots()
    assert [snapshot.id for snapshot in found] == [snapshot.id for snapshot in made]
    assert [snapshot.sha256 for snapshot in found] == [snapshot.sha256 for snapshot in made]
    assert all(before <= snapshot.created <= datetime.now(UTC) for snapshot in found)
    assert {(snapshot.endpoint, snapshot.paths) for snapshot in found} == {(HOST, STATE_PATHS)}
    assert {snapshot.entries for snapshot in made} == {len(expect(small).entries)}


@every_kind
def test_a_backup_that_fails_is_no_snapshot(place, small, tmp_path):
    machine = machine_with("tar", 'REAL "$@"; exit 2', small, tmp_path / "tools")
    if place.kind == "rsync":
        (small / "etc").rename(small / "elsewhere")
    with pytest.raises(BackupError):
        place.open().create(machine, "run", soon())
    assert place.open().snapshots() == []


@every_kind
def test_flipped_bits_are_found_by_verify(place, small):
    repository, snapshot = place.create(small)
    place.maker.damage(place.folder)
    with pytest.raises(BackupError) as caught:
        repository.verify(snapshot, soon())
    assert len(str(caught.value)) < 1500


@every_kind
def test_a_snapshot_that_is_gone_is_missed_before_the_wipe(place, small):
    repository, snapshot = place.create(small)
    assert isinstance(repository, WatchfulRepository)
    repository.verify(snapshot, soon())
    repository.require_untouched(snapshot)
    with pytest.raises(BackupError):
        repository.require_untouched(snapshot.model_copy(update={"id": f"{snapshot.id}-other"}))
    (place.folder / "repository").rename(place.folder / "elsewhere")
    with pytest.raises(BackupError):
        repository.require_untouched(snapshot)


@every_tool
def test_a_wrong_password_is_told_without_showing_any(place, small, monkeypatch):
    monkeypatch.setenv("REDRILL_TEST_WRONG", "wrong-horse-battery")
    with pytest.raises(BackupError, match="the password from the environment variable 'REDRILL_TEST_WRONG' does not"):
        place.open(password={"env": "REDRILL_TEST_WRONG"}).create(LocalMachine(HOST, small), "run", soon())


@every_tool
def test_a_password_that_is_gone_before_the_wipe_is_missed(place, small, monkeypatch):
    repository, snapshot = place.create(small)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(BackupError, match=f"'{VARIABLE}' is not set"):
        repository.verify(snapshot, soon())


@every_tool
def test_a_missing_program_is_named_with_its_package(place):
    repository = place.open(program=str(place.folder / "nowhere"))
    with pytest.raises(BackupError, match=f"nowhere' cannot be run.*apt-get install {place.maker.package}"):
        repository.snapshots()


@every_tool
def test_a_missing_repository_is_told(place):
    with pytest.raises(BackupError, match=r"nowhere' does not serve 'web-1': there is no repository"):
        place.open(repository="nowhere").snapshots()


@every_tool
def test_a_locked_repository_is_told_and_stays_locked(place, small):
    assert place.maker.lock
    repository, snapshot = place.create(small)
    with place.maker.lock(place.folder):
        with pytest.raises(BackupError, match="it is locked, so a backup or a check of somebody else is running"):
            repository.create(LocalMachine(HOST, small), "next", soon())
        with pytest.raises(BackupError, match="it is locked"):
            repository.verify(snapshot, soon())


SPY = """#!/bin/sh
tr '\\0' '\\n' < /proc/self/environ >> SEEN
printf '%s\\n' "$@" >> SEEN
exec PROGRAM "$@"
"""


@every_tool
def test_the_password_is_neither_in_the_arguments_nor_in_the_environment_of_the_program(place, small, monkeypatch):
    spy, seen = place.folder / "spy", place.folder / "seen"
    spy.write_text(SPY.replace("SEEN", str(seen)).replace("PROGRAM", place.kind))
    spy.chmod(0o755)
    key = place.folder / "key"
    key.write_text(PASSWORD)
    monkeypatch.delenv(VARIABLE)
    repository = place.open(program=str(spy), password={"file": str(key)})
    repository.verify(repository.create(LocalMachine(HOST, small), "run", soon()), soon())
    assert "/repository" in seen.read_text()
    assert PASSWORD not in seen.read_text()


@every_tool
def test_what_the_tool_calls_incomplete_is_taken_away_again(place, small):
    place.create(small)
    status, half = (3, "backup") if place.kind == "restic" else (1, "create")
    program = place.folder / "program"
    script = f'{place.kind} "$@"; s=$?; case " $* " in *" {half} "*) exit {status};; esac; exit $s'
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    with pytest.raises(BackupError, match=r"not restorable|not certain to be exact"):
        place.open(program=str(program)).create(LocalMachine(HOST, small), "half", soon())
    assert len(place.open().snapshots()) == 1


@every_tool
def test_the_tool_finds_further_secrets_in_its_environment(place, monkeypatch):
    spy, seen = place.folder / "spy", place.folder / "seen"
    spy.write_text(SPY.replace("SEEN", str(seen)).replace("PROGRAM", place.kind))
    spy.chmod(0o755)
    monkeypatch.setenv("REDRILL_TEST_KEY", "key-of-the-cloud")
    place.open(program=str(spy), environment={"CLOUD_KEY": {"env": "REDRILL_TEST_KEY"}}).snapshots()
    assert "CLOUD_KEY=key-of-the-cloud" in seen.read_text()


@every_tool
def test_a_fetch_that_hangs_ends_with_the_time_of_the_restore(place, small, tmp_path):
    repository, snapshot = place.create(small)
    manifest = repository.verify(snapshot, soon())
    hanging = tmp_path / "hanging"
    hangs = 'case "$*" in *restore*|*extract*) exec sleep 600 ;; esac'
    hanging.write_text(f'#!/bin/sh\n{hangs}\nexec {place.kind} "$@"\n')
    hanging.chmod(0o755)
    (tmp_path / "target").mkdir()
    machine = LocalMachine(HOST, tmp_path / "target")
    with pytest.raises(RestoreError, match=r"hanging' did not end within 1 s"):
        restore_snapshot(machine, place.open(program=str(hanging)), snapshot, Deadline.after(1), manifest)


@every_tool
def test_nothing_stays_on_the_stage_and_nobody_else_may_look_at_it(place, hard, monkeypatch):
    modes = set()
    real = subprocess.Popen

    def look(*arguments: Any, **options: Any) -> Any:
        modes.update(stat.S_IMODE(path.stat().st_mode) for path in (place.folder / "staging").glob("*"))
        return real(*arguments, **options)

    subprocess.run(["chattr", "+i", hard / "etc/passwd"], check=True)
    monkeypatch.setattr(subprocess, "Popen", look)
    try:
        repository, snapshot = place.create(hard)
        repository.verify(snapshot, soon())
    finally:
        subprocess.run(["chattr", "-i", hard / "etc/passwd"], check=True)
    assert modes == {0o700}
    assert list((place.folder / "staging").iterdir()) == []


@every_tool
def test_what_a_killed_drill_left_on_the_stage_goes_away(place, small):
    left = place.folder / "staging/redrill-stage-web-1-dead/tree"
    left.mkdir(parents=True)
    (left / "file").touch()
    subprocess.run(["chattr", "+i", left / "file"], check=True)
    place.create(small)
    assert list((place.folder / "staging").iterdir()) == []


@every_tool
def test_a_snapshot_that_does_not_fit_on_this_machine_is_refused_before_it_is_fetched(place, small, monkeypatch):
    repository, snapshot = place.create(small)
    real = os.statvfs

    def full(path: Any) -> Any:
        found = list(real(path))
        found[4] = 1
        return os.statvfs_result(found)

    monkeypatch.setattr(os, "statvfs", full)
    with pytest.raises(BackupError, match=r"does not fit: 0\.1 MB and \d+ inodes are needed.*'repository.staging'"):
        repository.verify(snapshot, soon())


@every_tool
def test_of_a_snapshot_that_holds_far_more_only_the_state_has_to_fit(place, small, monkeypatch):
    repository, snapshot = place.create(small)
    monkeypatch.setattr(repository, "_need", lambda *_: (1 << 60, 1 << 40))
    assert len(repository.verify(snapshot, soon()).entries) == snapshot.entries
    size, inodes = repository._count(snapshot, soon())
    assert (snapshot.size <= size < 2 * snapshot.size, snapshot.entries <= inodes <= snapshot.entries + 1) == (
        True,
        True,
    )


@every_tool
def test_the_rest_of_the_repository_is_checked_as_deep_as_is_said(place, small):
    repository, snapshot = place.create(small)
    (small / "var/large").write_bytes(os.urandom(400_000))
    _, other = place.create(small, "other")
    assert len(place.open(check="structure").verify(snapshot, soon()).entries) + 1 == other.entries
    place.maker.damage(place.folder)
    assert len(repository.verify(snapshot, soon()).entries) == snapshot.entries
    with pytest.raises(BackupError):
        place.open(check="all").verify(snapshot, soon())


@every_owners
def test_a_snapshot_of_the_owners_is_found_by_host_and_comes_back(place, hard, tmp_path):
    place.back_up(hard, "nightly")
    repository = place.open(**({} if place.kind == "restic" else {"host": os.uname().nodename}))
    (snapshot,) = repository.snapshots()
    assert snapshot.endpoint == HOST
    assert snapshot.tags == ("nightly",)
    manifest = repository.verify(snapshot, soon())
    assert set(expect(hard).entries) == set(manifest.entries)
    assert fidelity(manifest, restored(repository, snapshot, manifest, tmp_path / "target")) == []
    assert place.open(host="somebody-else").snapshots() == []


@every_owners
def test_a_drill_leaves_the_owners_snapshots_alone(place, small):
    place.back_up(small)
    place.create(small)
    repository = place.open(**({} if place.kind == "restic" else {"host": os.uname().nodename}))
    assert len(repository.snapshots()) == 2
