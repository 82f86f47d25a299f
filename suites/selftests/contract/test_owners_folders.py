"""Folders that hold something of their owner's besides what redrill keeps there: nothing else is ever removed."""

import shutil
from pathlib import Path

import pytest

from redrill.cli import main
from redrill.errors import Exit
from redrill.machine.local_machine import LocalMachine
from redrill.repositories.staged_tree import new_stage
from selftests.support.repository_makers import HOST, PASSWORD, VARIABLE, make_borg, open_repository
from selftests.support.tar_backups import soon
from selftests.support.trees import root_of, tree_fleet


@pytest.mark.parametrize("name", ["mysql", f"{HOST}-photos", "20260101T000000Z-photos"])
def test_a_folder_for_staging_may_hold_other_folders(tmp_path: Path, name: str) -> None:
    owners = tmp_path / name / "file"
    owners.parent.mkdir()
    owners.write_bytes(b"the owner's")
    with new_stage(tmp_path, HOST) as stage:
        assert stage.folder.parent == tmp_path
    assert owners.read_bytes() == b"the owner's"
    assert list(tmp_path.iterdir()) == [owners.parent]


@pytest.mark.parametrize("kind", ["tar", "rsync"])
@pytest.mark.parametrize("name", ["etc", "hourly.0", "2026-11-22"])
def test_a_mirror_of_the_owners_in_the_folder_of_snapshots_stays(
    small: Path, tmp_path: Path, kind: str, name: str
) -> None:
    mirror = tmp_path / "backups" / HOST / name
    shutil.copytree(small / "etc", mirror)
    repository = open_repository(kind, tmp_path, directory="backups")
    made = repository.create(LocalMachine(HOST, small), "run", soon())
    assert repository.snapshots() == [made]
    assert (mirror / "file").exists()


def test_what_a_drill_of_another_endpoint_has_made_on_a_host_is_no_backup_of_that_host(
    small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    monkeypatch.setenv("BORG_BASE_DIR", str(tmp_path / "borg"))
    settings = make_borg(tmp_path)
    made = open_repository("borg", tmp_path, **settings).create(LocalMachine(HOST, small), "run", soon())
    # The controller has made the archive, so its name stands in it as that of the host.
    controller = Path("/proc/sys/kernel/hostname").read_text(encoding="ascii").strip()
    own = open_repository("borg", tmp_path, **settings, host=controller)
    assert [snapshot.id for snapshot in own.snapshots()] == [made.id]
    own._endpoint = own._endpoint.model_copy(update={"name": "db-1"})
    assert own.snapshots() == []


def test_a_lab_of_directories_leaves_what_else_is_in_their_folders(tmp_path: Path) -> None:
    file, owners = tree_fleet(tmp_path), root_of(tmp_path, "oak-1").with_name("data")
    owners.mkdir()
    assert main(["lab", "down", str(file)]) == Exit.APPROVE
    assert [path.name for path in (tmp_path / "lab").rglob("*")] == ["oak-1", "data"]


def test_a_lab_never_replaces_a_directory_that_it_has_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, owners = tree_fleet(tmp_path), root_of(tmp_path, "oak-1") / "data"
    assert main(["lab", "down", str(file)]) == Exit.APPROVE
    owners.mkdir(parents=True)
    assert main(["lab", "up", str(file)]) == Exit.GUARD
    assert f"'{owners.parent}' was there before, and redrill has not made it" in capsys.readouterr().err
    assert main(["lab", "down", str(file)]) == Exit.APPROVE
    assert owners.is_dir()
