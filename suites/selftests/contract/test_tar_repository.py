"""Backups with tar: exact there and back, private, whole or absent, and honest about every flipped bit."""

import fcntl
import json
import os
import random
import stat
from pathlib import Path

import pytest

from redrill.errors import BackupError, FleetError
from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline
from redrill.model.manifest import compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import Snapshot
from redrill.repositories.tar import TarRepository
from selftests.support.hard_tree import (
    mount_tmpfs,
    with_own_mounts,
)
from selftests.support.tar_backups import ARCHIVE, expect, folder_of, make_repository, soon
from selftests.support.tool_machine import machine_with, machine_without


def test_the_snapshot_says_what_it_holds(hard, tmp_path):
    repository = make_repository(tmp_path)
    snapshot = repository.create(LocalMachine("web-1", hard), "run-7", soon())
    assert repository.snapshots() == [snapshot]
    assert snapshot.id.endswith("Z-run-7")
    assert (snapshot.endpoint, snapshot.paths, snapshot.entries) == ("web-1", STATE_PATHS, len(expect(hard).entries))
    assert snapshot.size == sum(entry.size for entry in expect(hard).entries.values())
    assert snapshot.stored_size == (folder_of(tmp_path, snapshot) / ARCHIVE).stat().st_size
    assert snapshot.warnings == ("/home/user/socket: a socket is not in the backup",)


def test_without_zstd_on_the_endpoint_the_archive_is_compressed_here(hard, tmp_path):
    repository = make_repository(tmp_path)
    snapshot = repository.create(machine_without("zstd", hard, tmp_path / "tools"), "run", soon())
    assert compare(expect(hard), repository.verify(snapshot, soon())) == []
    assert snapshot.stored_size < 200_000


@pytest.fixture
def stored(small, tmp_path) -> tuple[TarRepository, Snapshot, Path]:
    repository = make_repository(tmp_path)
    snapshot = repository.create(LocalMachine("web-1", small), "run", soon())
    return repository, snapshot, folder_of(tmp_path, snapshot)


@pytest.mark.parametrize("seed", range(25))
def test_a_flipped_bit_is_found_by_verify(stored, seed):
    repository, snapshot, folder = stored
    data = bytearray((folder / ARCHIVE).read_bytes())
    position = random.Random(seed).randrange(len(data) * 8)
    data[position // 8] ^= 1 << position % 8
    (folder / ARCHIVE).write_bytes(data)
    with pytest.raises(BackupError):
        repository.verify(snapshot, soon())


@pytest.mark.parametrize("kept", [0, 1, 4, 100, 20_000, -4, -1])
def test_a_truncated_archive_is_found_by_verify(stored, kept):
    repository, snapshot, folder = stored
    data = (folder / ARCHIVE).read_bytes()
    (folder / ARCHIVE).write_bytes(data[:kept])
    with pytest.raises(BackupError):
        repository.verify(snapshot, soon())


def test_appended_bytes_are_found_by_verify(stored):
    repository, snapshot, folder = stored
    with (folder / ARCHIVE).open("ab") as file:
        file.write(b"more")
    with pytest.raises(BackupError):
        repository.verify(snapshot, soon())


@pytest.mark.parametrize("name", [ARCHIVE, "manifest.jsonl", "snapshot.json"])
def test_a_missing_file_is_found_by_verify(stored, name):
    repository, snapshot, folder = stored
    (folder / name).unlink()
    with pytest.raises(BackupError):
        repository.verify(snapshot, soon())


def test_a_changed_manifest_is_found_by_verify(stored):
    repository, snapshot, folder = stored
    text = (folder / "manifest.jsonl").read_text()
    (folder / "manifest.jsonl").write_text(text.replace("/etc/file", "/etc/fine"))
    with pytest.raises(BackupError, match="not the one that was written"):
        repository.verify(snapshot, soon())


def test_a_changed_marker_is_found_by_verify(stored):
    repository, snapshot, folder = stored
    marker = json.loads((folder / "snapshot.json").read_text())
    marker["snapshot"]["entries"] += 1
    (folder / "snapshot.json").write_text(json.dumps(marker))
    with pytest.raises(BackupError, match="was changed after the backup"):
        repository.verify(snapshot, soon())


def test_a_marker_of_another_endpoint_is_no_snapshot_of_this_one(stored):
    repository, _, folder = stored
    folder.rename(folder.with_name("renamed"))
    with pytest.raises(BackupError, match="not what this folder is for"):
        repository.snapshots()


def test_verify_gives_up_at_its_deadline(stored):
    repository, snapshot, _ = stored
    with pytest.raises(BackupError, match="within 0 s"):
        repository.verify(snapshot, Deadline.after(0))


def test_everything_is_private_whatever_the_umask_is(small, tmp_path):
    old = os.umask(0)
    try:
        make_repository(tmp_path).create(LocalMachine("web-1", small), "run", soon())
    finally:
        os.umask(old)
    found = [tmp_path / "repository", *(tmp_path / "repository").rglob("*")]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_file()}
    assert (modes, {stat.S_IMODE(path.stat().st_mode) for path in found if path.is_dir()}) == ({0o600}, {0o700})


def test_a_backup_that_fails_leaves_nothing_and_is_no_snapshot(small, tmp_path):
    repository = make_repository(tmp_path)
    machine = machine_with("tar", 'REAL "$@"; exit 2', small, tmp_path / "tools")
    with pytest.raises(BackupError, match="@tar 2"):
        repository.create(machine, "run", soon())
    assert repository.snapshots() == []
    assert list((tmp_path / "repository/web-1").iterdir()) == []


def test_a_backup_that_is_cut_off_is_no_snapshot(small, tmp_path):
    repository = make_repository(tmp_path)
    machine = machine_with("zstd", 'REAL "$@" | head -c 100', small, tmp_path / "tools")
    with pytest.raises(BackupError):
        repository.create(machine, "run", soon())
    assert repository.snapshots() == []


def test_what_a_killed_backup_left_is_not_listed_and_is_swept_by_the_next(small, tmp_path):
    repository = make_repository(tmp_path)
    partial = tmp_path / "repository/web-1/20200101T000000.000000Z-dead"
    partial.mkdir(parents=True)
    (partial / ARCHIVE).write_bytes(b"partial")
    (partial / "snapshot.json.new").write_bytes(b"{}")
    assert repository.snapshots() == []
    repository.create(LocalMachine("web-1", small), "run", soon())
    assert not partial.exists()


def test_what_somebody_still_writes_is_not_swept(small, tmp_path):
    repository = make_repository(tmp_path)
    partial = tmp_path / "repository/web-1/20200101T000000.000000Z-alive"
    partial.mkdir(parents=True)
    handle = os.open(partial, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        repository.create(LocalMachine("web-1", small), "run", soon())
        assert partial.exists()
    finally:
        os.close(handle)


def test_only_the_newest_snapshots_are_kept(small, tmp_path):
    repository = make_repository(tmp_path, keep=2)
    made = [repository.create(LocalMachine("web-1", small), f"run-{number}", soon()) for number in range(4)]
    assert repository.snapshots() == made[2:]
    assert len(list((tmp_path / "repository/web-1").iterdir())) == 2


def test_a_failed_backup_prunes_nothing(stored, small, tmp_path):
    repository, snapshot, _ = stored
    (small / "etc/file").unlink()
    (small / "etc").rmdir()
    with pytest.raises(BackupError, match="'/etc' is not a directory"):
        make_repository(tmp_path, keep=1).create(LocalMachine("web-1", small), "next", soon())
    assert repository.snapshots() == [snapshot]


def test_a_state_path_that_is_a_link_is_refused(small, tmp_path):
    (small / "home").rename(small / "elsewhere")
    (small / "home").symlink_to("elsewhere")
    with pytest.raises(BackupError, match="'/home' is not a directory"):
        make_repository(tmp_path).create(LocalMachine("web-1", small), "run", soon())


CHANGED = 'REAL "$@"; echo "tar: etc/fi\\\\\\\\154e: file changed as we read it" >&2; exit 1'


def test_a_file_that_changes_meanwhile_spoils_the_backup(small, tmp_path):
    machine = machine_with("tar", CHANGED, small, tmp_path / "tools")
    with pytest.raises(BackupError, match=r"file changed as we read it.*'churn'"):
        make_repository(tmp_path).create(machine, "run", soon())


def test_a_file_that_may_change_is_a_warning(small, tmp_path):
    machine = machine_with("tar", CHANGED, small, tmp_path / "tools")
    snapshot = make_repository(tmp_path, churn=("/etc/file content",)).create(machine, "run", soon())
    assert snapshot.warnings == ("etc/fi\\154e: file changed as we read it",)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@needs_root
def test_a_volume_below_a_state_path_is_refused_for_its_files_would_be_lost(small, tmp_path):
    (small / "var/volume").mkdir()

    def back_up(*churn: str) -> tuple[str, ...]:
        mount_tmpfs(small / "var/volume")
        return make_repository(tmp_path, churn=churn).create(LocalMachine("web-1", small), "run", soon()).warnings

    with pytest.raises(BackupError, match="var/volume: directory is on a different filesystem; not dumped"):
        with_own_mounts(back_up)
    warnings = with_own_mounts(lambda: back_up("/var/volume"))
    assert warnings == ("var/volume: directory is on a different filesystem; not dumped",)


def test_words_that_nobody_knows_spoil_the_backup(small, tmp_path):
    machine = machine_with(
        "tar", 'REAL "$@"; echo "tar: etc/file: Warning: Cannot read" >&2', small, tmp_path / "tools"
    )
    with pytest.raises(BackupError, match="Cannot read"):
        make_repository(tmp_path).create(machine, "run", soon())


def test_a_path_that_is_too_long_for_every_tool_is_named_and_spoils_the_backup(small, tmp_path):
    here = Path.cwd()
    try:
        os.chdir(small / "home")
        for _ in range(20):
            Path("d" * 240).mkdir()
            os.chdir("d" * 240)
        Path("deep").touch()
    finally:
        os.chdir(here)
    with pytest.raises(BackupError, match=r"home/ddd.* … d.*: File name too long") as caught:
        make_repository(tmp_path).create(LocalMachine("web-1", small), "run", soon())
    assert len(str(caught.value)) < 10_000


def test_a_run_id_with_a_slash_is_refused(small, tmp_path):
    with pytest.raises(BackupError, match="is not a run id"):
        make_repository(tmp_path).create(LocalMachine("web-1", small), "../x", soon())


def test_settings_are_checked(tmp_path):
    with pytest.raises(FleetError, match=r"endpoints\.web-1\.repository: (.|\n)*keep"):
        make_repository(tmp_path, keep=0)
