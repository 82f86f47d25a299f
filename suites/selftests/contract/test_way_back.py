"""No wipe without a way back: a backup has to be fresh and to fit, in bytes, inodes and attributes."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from redrill.drill.bench import Bench
from redrill.drill.way_back import (
    Need,
    Room,
    prove_way_back,
    require_fresh,
    require_room,
    room_of,
    rooms_of,
)
from redrill.errors import BackupError, Exit
from redrill.machine.local_machine import LocalMachine
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.guards import Guards
from redrill.model.manifest import Manifest
from redrill.repositories.protocol import Snapshot
from selftests.support.hard_tree import mount_tmpfs, with_own_mounts
from selftests.support.tar_backups import make_repository, make_small_tree, soon

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


class Offline:
    """A provisioner that restores into ``folder``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def room(self) -> Path:
        return self._folder

    def redeploy_stopped(self, _deadline: object) -> Path:
        raise AssertionError("nothing is destroyed here")

    def clear(self, _paths: object) -> None:
        raise AssertionError("nothing is destroyed here")

    boot = redeploy_stopped


def make_bench(folder: Path, target: Path | None = None) -> Bench:
    root = make_small_tree(folder / "tree")
    (root / "var/tmp").mkdir()
    machine = LocalMachine("web-1", root)
    repository = make_repository(folder)
    snapshot = repository.create(machine, "20261122T120000Z-abcd", soon())
    evidence = SimpleNamespace(image_wanted=None)
    bench = SimpleNamespace(
        endpoint=Endpoint(name="web-1", restore="offline" if target else "live"),
        snapshot=snapshot,
        snapshot_manifest=repository.verify(snapshot, soon()),
        machine=machine,
        builder=Offline(target) if target else None,
        run="20261122T120000Z-abcd",
        started=datetime.now(UTC) - timedelta(minutes=1),
        evidence=evidence,
        run_dir=folder,
        fleet=Fleet(name="shop", source=folder / "fleet.yml", endpoints=()),
    )
    return cast(Bench, bench)


@pytest.mark.parametrize("is_offline", [False, True])
def test_a_good_backup_is_proven_and_leaves_no_trace(tmp_path, is_offline):
    target = tmp_path / "target"
    target.mkdir()
    bench = make_bench(tmp_path, target if is_offline else None)
    assert prove_way_back(bench, soon()).startswith("fits: ")
    assert [*target.iterdir(), *(tmp_path / "tree/var/tmp").iterdir()] == []


def test_without_a_verified_backup_there_is_no_way_back(tmp_path):
    bench = make_bench(tmp_path)
    bench.snapshot_manifest = None
    with pytest.raises(BackupError, match="has no verified backup") as caught:
        prove_way_back(bench, soon())
    assert caught.value.exit_code is Exit.BACKUP


def change(bench: Bench, **changes: object) -> tuple[Bench, Snapshot, Manifest]:
    assert bench.snapshot
    assert bench.snapshot_manifest
    return bench, bench.snapshot.model_copy(update=changes), bench.snapshot_manifest


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"endpoint": "web-2"}, "is of 'web-2'"),
        ({"paths": ("/etc", "/var")}, r"holds /etc, /var; 'web-1' needs"),
        ({"entries": 3}, "tells of 3 entries, but its manifest lists"),
        ({"id": "other", "created": datetime.now(UTC) - timedelta(hours=3)}, "longer than 1h ago"),
        ({"created": datetime.now(UTC) + timedelta(days=1)}, "was made at"),
    ],
)
def test_a_snapshot_that_is_another_or_old_is_refused(tmp_path, changes, words):
    with pytest.raises(BackupError, match=words):
        require_fresh(*change(make_bench(tmp_path), **changes))


def test_a_snapshot_of_another_run_will_do_while_it_is_fresh(tmp_path):
    older = datetime.now(UTC) - timedelta(minutes=30)
    require_fresh(*change(make_bench(tmp_path), id="20261122T110000Z-other", created=older))


def test_how_fresh_it_must_be_is_what_the_fleet_file_says(tmp_path):
    older = datetime.now(UTC) - timedelta(minutes=30)
    bench, snapshot, manifest = change(make_bench(tmp_path), id="20261122T110000Z-other", created=older)
    strict = Guards.model_validate({"backup_valid": "25m"})
    bench.fleet = bench.fleet.model_copy(update={"guards": strict})
    with pytest.raises(BackupError, match=r"longer than 25m ago \('guards.backup_valid'\); back 'web-1' up again"):
        require_fresh(bench, snapshot, manifest)
    require_fresh(*change(bench, created=older))


@pytest.mark.parametrize(
    ("room", "words"),
    [
        (Room("/var", 999, 100), r"needs 0\.0 MB free in '/var'"),
        (Room("/var", 1000, 9), "needs 10 free inodes in '/var', where 9 are"),
    ],
)
def test_too_few_bytes_or_inodes_are_refused(room, words):
    require_room("web-1", Room("/var", 1000, 10), Need(1000, 10))
    require_room("web-1", Room("/var", 1000, None), Need(1000, 10))
    with pytest.raises(BackupError, match=words):
        require_room("web-1", room, Need(1000, 10))


@needs_root
@pytest.mark.parametrize("option", ["size=64k", "nr_inodes=4"])
def test_an_offline_target_that_is_too_small_is_refused(tmp_path, option):
    target = tmp_path / "target"
    target.mkdir()
    bench = make_bench(tmp_path, target)

    def prove() -> None:
        mount_tmpfs(target, option)
        prove_way_back(bench, soon())

    with pytest.raises(BackupError, match=f"The backup of 'web-1' does not fit: .*'{target}'"):
        with_own_mounts(prove)


@needs_root
def test_a_live_endpoint_whose_file_system_is_full_is_refused(tmp_path):
    (tmp_path / "tree/var").mkdir(parents=True)

    def prove() -> None:
        mount_tmpfs(tmp_path / "tree", "size=64k")
        prove_way_back(make_bench(tmp_path), soon())

    with pytest.raises(BackupError, match=r"does not fit: .*'/home'"):
        with_own_mounts(prove)


@needs_root
def test_each_file_system_of_the_state_paths_is_looked_at_once(tmp_path):
    root = make_small_tree(tmp_path / "tree")

    def look() -> list[str]:
        mount_tmpfs(root / "home")
        return [room.where for room in rooms_of(LocalMachine("web-1", root), soon())]

    assert with_own_mounts(look) == ["/home", "/etc"]
    assert len(rooms_of(LocalMachine("web-1", root), soon())) == 1
    assert room_of(root).size > 0
