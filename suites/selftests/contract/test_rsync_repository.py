"""Trees that rsync keeps: exact, cheap, whole or absent, of redrill's own making or of somebody else's."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from redrill.errors import BackupError, FleetError, HostKeyError, RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.ssh_machine import SshMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.fleet import Backend, Endpoint, Fleet
from redrill.model.manifest import compare
from redrill.model.record import Location
from redrill.model.values import STATE_PATHS
from redrill.repositories.restore import fidelity, restore_snapshot
from redrill.repositories.rsync import RsyncRepository
from selftests.support.hard_tree import as_nobody, build_hard_tree, mount_tmpfs, nobodys_folder, with_own_mounts
from selftests.support.sshd import make_key, running_sshd
from selftests.support.tar_backups import expect, make_small_tree, soon

HOST = "web-1"


def open_repository(folder: Path, churn: tuple[str, ...] = (), **settings: Any) -> RsyncRepository:
    backend = Backend.model_validate({"kind": "rsync", "directory": "repository", **settings})
    endpoint = Endpoint(name=HOST, repository=backend, churn=churn)
    return RsyncRepository(Fleet(name="test", source=folder / "fleet.yml", endpoints=(endpoint,)), endpoint)


def tree_of(folder: Path, identity: str) -> Path:
    return folder / "repository" / HOST / identity / "tree"


def put_rsync(monkeypatch: pytest.MonkeyPatch, folder: Path, script: str) -> None:
    """Have the controller find a shell script as rsync; REAL in it is the real one."""
    folder.mkdir()
    (folder / "rsync").write_text("#!/bin/sh\n" + script.replace("REAL", "/usr/bin/rsync") + "\n")
    (folder / "rsync").chmod(0o755)
    monkeypatch.setattr("redrill.machine.local_machine._PATH", f"{folder}:/usr/sbin:/usr/bin:/sbin:/bin")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory):
    with running_sshd(tmp_path_factory.mktemp("sshd")) as sshd:
        yield sshd


class Rerooted(SshMachine):
    """A real connection to this machine, on which everything but rsync's own works below a directory."""

    def __init__(self, name: str, ssh: Any, location: Location, root: Path) -> None:
        super().__init__(name, ssh, location)
        self._prefix = f"export ROOT={root}; "

    def batch(self, commands: Any, deadline: Deadline) -> Any:
        return super().batch([self._prefix + command for command in commands], deadline)


def test_a_hard_tree_comes_back_exactly_over_ssh(server, hard, tmp_path, monkeypatch):
    put_rsync(monkeypatch, tmp_path / "tools", f'exec REAL --rsync-path="sh {tmp_path}/there" "$@"')
    there = f'for word; do shift; case $word in /home|/etc|/var) word={hard}$word ;; esac; set -- "$@" "$word"; done'
    (tmp_path / "there").write_text(f'{there}; exec /usr/bin/rsync "$@"\n')
    machine = Rerooted(HOST, server.ssh(), server.location, hard)
    repository = open_repository(tmp_path)
    snapshot = repository.create(machine, "run", soon())
    manifest = repository.verify(snapshot, soon())
    assert compare(expect(hard), manifest) == []
    (tmp_path / "target").mkdir()
    restore_snapshot(LocalMachine(HOST, tmp_path / "target"), repository, snapshot, soon(), manifest)
    assert fidelity(manifest, walk(tmp_path / "target", STATE_PATHS)) == []
    machine.close()


def test_a_host_with_another_key_is_sent_nothing(server, tmp_path):
    other = make_key(tmp_path / "other")
    location = Location(address="127.0.0.1", port=server.port, host_keys=(other,))
    with pytest.raises((BackupError, HostKeyError), match=r"Host key verification failed|showed the host key"):
        open_repository(tmp_path).create(SshMachine(HOST, server.ssh(), location), "run", soon())
    assert open_repository(tmp_path).snapshots() == []


def test_what_did_not_change_is_stored_once(small, tmp_path):
    repository = open_repository(tmp_path)
    first, second = (repository.create(LocalMachine(HOST, small), f"run-{n}", soon()) for n in range(2))
    assert tree_of(tmp_path, first.id).joinpath("etc/file").samefile(tree_of(tmp_path, second.id) / "etc/file")
    assert first.sha256 == second.sha256


def test_a_change_that_keeps_size_and_time_is_seen(small, tmp_path):
    repository = open_repository(tmp_path)
    repository.create(LocalMachine(HOST, small), "first", soon())
    file = small / "etc/file"
    before = file.stat()
    file.write_bytes(bytes(before.st_size))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    snapshot = repository.create(LocalMachine(HOST, small), "second", soon())
    assert compare(expect(small), repository.verify(snapshot, soon())) == []


def test_an_older_snapshot_is_not_changed_by_a_newer_one(small, tmp_path):
    repository = open_repository(tmp_path)
    first = repository.create(LocalMachine(HOST, small), "first", soon())
    (small / "etc/file").chmod(0o700)
    (small / "home/file").write_bytes(b"new")
    os.utime(small / "var/file", ns=(5, 5))
    repository.create(LocalMachine(HOST, small), "second", soon())
    assert repository.verify(first, soon()).entries["/etc/file"].mode != 0o700


def test_files_that_were_one_at_the_last_snapshot_are_two_in_the_next(small, tmp_path):
    os.link(small / "etc/file", small / "etc/other")
    os.link(small / "etc/file", small / "etc/third")
    (small / "etc/way").symlink_to("../var")
    os.link(small / "etc/way", small / "etc/another-way", follow_symlinks=False)
    repository = open_repository(tmp_path)
    repository.create(LocalMachine(HOST, small), "first", soon())
    subprocess.run(["cp", "-a", small / "etc/other", small / "etc/copy"], check=True)
    (small / "etc/copy").rename(small / "etc/other")
    subprocess.run(["cp", "-a", small / "etc/way", small / "etc/copy"], check=True)
    (small / "etc/copy").rename(small / "etc/another-way")
    folder = (small / "etc").stat()
    snapshot = repository.create(LocalMachine(HOST, small), "second", soon())
    manifest = repository.verify(snapshot, soon())
    assert compare(expect(small), manifest) == []
    assert [manifest.entries[f"/etc/{name}"].link_group for name in ("file", "other", "third")] == [
        *("/etc/file", None, "/etc/file"),
    ]
    assert manifest.entries["/etc"].mtime_ns == folder.st_mtime_ns


def test_only_the_newest_snapshots_are_kept(small, tmp_path):
    repository = open_repository(tmp_path, keep=2)
    made = [repository.create(LocalMachine(HOST, small), f"run-{n}", soon()) for n in range(3)]
    assert repository.snapshots() == made[1:]
    assert len(list((tmp_path / "repository" / HOST).iterdir())) == 2


def test_what_a_killed_backup_left_is_no_snapshot_and_goes(small, tmp_path):
    left = tree_of(tmp_path, "20200101T000000.000000Z-dead") / "etc"
    left.mkdir(parents=True)
    repository = open_repository(tmp_path)
    assert repository.snapshots() == []
    repository.create(LocalMachine(HOST, small), "run", soon())
    assert not left.exists()


def test_a_partial_transfer_is_no_backup(small, tmp_path, monkeypatch):
    put_rsync(monkeypatch, tmp_path / "tools", 'REAL "$@"; echo "rsync: read errors" >&2; exit 23')
    repository = open_repository(tmp_path)
    with pytest.raises(BackupError, match=r"rsync ended with status 23: .*read errors"):
        repository.create(LocalMachine(HOST, small), "run", soon())
    assert list((tmp_path / "repository" / HOST).iterdir()) == []


VANISHED = """case "$*" in *--dry-run*) exec REAL "$@" ;; esac
REAL "$@"; echo 'file has vanished: "SMALL/var/lib/gone\\#012x"' >&2; exit 24"""


def test_a_file_that_vanishes_meanwhile_spoils_the_backup_unless_it_may(small, tmp_path, monkeypatch):
    put_rsync(monkeypatch, tmp_path / "tools", VANISHED.replace("SMALL", str(small)))
    with pytest.raises(BackupError, match=r"/var/lib/gone\nx: was removed before it was copied.*'churn'"):
        open_repository(tmp_path).create(LocalMachine(HOST, small), "run", soon())
    made = open_repository(tmp_path, churn=("/var/lib/gone*",)).create(LocalMachine(HOST, small), "run", soon())
    assert made.warnings == ("/var/lib/gone\nx: was removed before it was copied",)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("echo more >> SMALL/var/file", "/var/file: is not as it was copied"),
        ("chmod 700 SMALL/var/file", "/var/file: is not as it was copied"),
        ("rm SMALL/var/file", "/var/file: was removed when it had been copied"),
        ("touch 'SMALL/var/n\u00e9w'", "/var/n\u00e9w: is not as it was copied"),
    ],
)
def test_what_changes_while_it_is_copied_spoils_the_backup_unless_it_may(small, tmp_path, monkeypatch, change, words):
    script = f'case "$*" in *--dry-run*) {change} ;; esac; exec REAL "$@"'.replace("SMALL", str(small))
    put_rsync(monkeypatch, tmp_path / "tools", script)
    with pytest.raises(BackupError, match=words):
        open_repository(tmp_path).create(LocalMachine(HOST, small), "run", soon())


def test_what_may_change_while_it_is_copied_is_a_warning(small, tmp_path, monkeypatch):
    script = f'case "$*" in *--dry-run*) echo more >> {small}/var/file ;; esac; exec REAL "$@"'
    put_rsync(monkeypatch, tmp_path / "tools", script)
    snapshot = open_repository(tmp_path, churn=("/var/file content",)).create(LocalMachine(HOST, small), "r", soon())
    assert snapshot.warnings == ("/var/file: is not as it was copied",)


def test_a_volume_below_a_state_path_is_refused_for_its_files_would_be_lost(small, tmp_path):
    (small / "var/volume").mkdir()

    def back_up() -> None:
        mount_tmpfs(small / "var/volume")
        open_repository(tmp_path).create(LocalMachine(HOST, small), "run", soon())

    with pytest.raises(BackupError, match="/var/volume: is on a different file system and was not copied"):
        with_own_mounts(back_up)


def test_a_state_path_that_is_a_link_is_refused(small, tmp_path):
    (small / "home").rename(small / "elsewhere")
    (small / "home").symlink_to("elsewhere")
    with pytest.raises(BackupError, match="'/home' is not a directory"):
        open_repository(tmp_path).create(LocalMachine(HOST, small), "run", soon())


def test_a_backup_that_takes_too_long_is_ended(small, tmp_path, monkeypatch):
    put_rsync(monkeypatch, tmp_path / "tools", "exec sleep 600")
    with pytest.raises(BackupError, match="stopped after its deadline"):
        open_repository(tmp_path).create(LocalMachine(HOST, small), "run", Deadline.after(0.3))


def test_without_root_what_only_root_can_keep_is_refused_with_advice():
    with nobodys_folder() as folder:
        make_small_tree(folder / "foreign")

        def back_up() -> None:
            open_repository(folder).create(LocalMachine(HOST, folder / "foreign"), "run", soon())

        with pytest.raises(BackupError, match=r"/etc/file: is not as it was copied.*Only root can keep the owners"):
            as_nobody(back_up)


def test_without_root_a_tree_of_ones_own_comes_back_exactly_and_old_ones_go():
    with nobodys_folder() as folder:

        def there_and_back() -> Any:
            build_hard_tree(folder / "hard")
            repository = open_repository(folder, keep=1)
            for number in range(2):
                snapshot = repository.create(LocalMachine(HOST, folder / "hard"), f"run-{number}", soon())
            found = compare(expect(folder / "hard"), repository.verify(snapshot, soon()))
            for place in [folder / "hard", *folder.glob("repository/*/*/tree")]:
                (place / "home/user/read-only").chmod(0o700)
            return [str(each) for each in found], len(repository.snapshots())

        assert as_nobody(there_and_back) == ([], 1)


@pytest.mark.parametrize("name", ["tree/etc/file", "manifest.jsonl", "snapshot.json"])
def test_whoever_touches_a_snapshot_after_it_was_verified_is_noticed(small, tmp_path, name):
    repository = open_repository(tmp_path)
    snapshot = repository.create(LocalMachine(HOST, small), "run", soon())
    repository.verify(snapshot, soon())
    repository.require_untouched(snapshot)
    (tmp_path / "repository" / HOST / snapshot.id / name).touch()
    with pytest.raises(BackupError, match="was changed or removed after it had been verified"):
        repository.require_untouched(snapshot)


@pytest.mark.parametrize("is_known", [True, False], ids=["same process", "resumed"])
def test_a_tree_that_is_changed_after_all_is_not_restored(small, tmp_path, is_known):
    repository = open_repository(tmp_path)
    snapshot = repository.create(LocalMachine(HOST, small), "run", soon())
    manifest = repository.verify(snapshot, soon())
    file = tree_of(tmp_path, snapshot.id) / "etc/file"
    before = file.stat()
    file.write_bytes(bytes(before.st_size))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "target/etc").mkdir(parents=True)
    live = LocalMachine(HOST, tmp_path / "target", has_init=True)
    with pytest.raises(RestoreError, match=r"not what its manifest says: /etc/file: sha256"):
        restore_snapshot(live, repository if is_known else open_repository(tmp_path), snapshot, soon(), manifest)
    assert list((tmp_path / "target/etc").iterdir()) == []


def test_a_mirror_of_somebody_else_is_read_and_never_written(hard, tmp_path):
    subprocess.run(["cp", "-a", hard, tmp_path / "mirrors"], check=True)
    (tmp_path / "mirrors").rename(tmp_path / HOST)
    repository = open_repository(tmp_path, directory=".", trees="{endpoint}")
    (snapshot,) = repository.snapshots()
    assert (snapshot.id, snapshot.entries) == (HOST, None)
    manifest = repository.verify(snapshot, soon())
    assert compare(expect(hard), manifest) == []
    repository.require_untouched(snapshot)
    (tmp_path / "target").mkdir()
    restore_snapshot(LocalMachine(HOST, tmp_path / "target"), repository, snapshot, soon(), manifest)
    assert fidelity(manifest, walk(tmp_path / "target", STATE_PATHS)) == []
    with pytest.raises(BackupError, match="kept by somebody else"):
        repository.create(LocalMachine(HOST, hard), "run", soon())


def test_trees_by_date_are_listed_by_the_time_of_their_stamp(small, tmp_path):
    for number, name in enumerate(("daily.0", "daily.1")):
        place = tmp_path / "snapshots" / name / HOST
        place.parent.mkdir(parents=True)
        subprocess.run(["cp", "-a", small, place], check=True)
        (place / ".done").touch()
        os.utime(place / ".done", (2_000_000 - number, 2_000_000 - number))
    (tmp_path / "snapshots/unfinished" / HOST / "etc").mkdir(parents=True)
    repository = open_repository(tmp_path, directory="snapshots", trees="*/{endpoint}", stamp=".done")
    found = [(snapshot.id, snapshot.created.timestamp()) for snapshot in repository.snapshots()]
    assert found == [(f"daily.1/{HOST}", 1_999_999), (f"daily.0/{HOST}", 2_000_000)]


@pytest.mark.parametrize("is_known", [True, False], ids=["same process", "resumed"])
def test_a_tree_that_was_renamed_after_it_had_been_verified_is_found_by_its_time(small, tmp_path, is_known):
    turns = tmp_path / "turns"
    turns.mkdir()
    for number in range(2):
        subprocess.run(["cp", "-a", small, turns / f"hourly.{number}"], check=True)
        os.utime(turns / f"hourly.{number}", (2_000_000 - number, 2_000_000 - number))
    settings = {"directory": "turns", "trees": "hourly.*"}
    repository = open_repository(tmp_path, **settings)
    snapshot = repository.snapshots()[-1]
    manifest = repository.verify(snapshot, soon())
    (turns / "hourly.1").rename(turns / "hourly.2")
    (turns / "hourly.0").rename(turns / "hourly.1")
    subprocess.run(["cp", "-a", small, turns / "hourly.0"], check=True)
    (turns / "hourly.0/etc/file").write_text("newer")
    (tmp_path / "target").mkdir()
    target = LocalMachine(HOST, tmp_path / "target")
    restore_snapshot(
        target, repository if is_known else open_repository(tmp_path, **settings), snapshot, soon(), manifest
    )
    assert compare(manifest, walk(tmp_path / "target", STATE_PATHS)) == []


def test_a_link_to_the_newest_tree_is_no_snapshot_of_its_own_unless_it_leads_elsewhere(small, tmp_path):
    shutil.copytree(small, tmp_path / HOST / "2026-11-22")
    for name, target in (("latest", "2026-11-22"), ("a-link", "2026-11-22"), ("elsewhere", small)):
        (tmp_path / HOST / name).symlink_to(target)
    repository = open_repository(tmp_path, directory=".", trees="{endpoint}/*")
    assert {snapshot.id for snapshot in repository.snapshots()} == {f"{HOST}/2026-11-22", f"{HOST}/elsewhere"}


def test_trees_that_nobody_may_look_at_are_told():
    with nobodys_folder() as folder:
        (folder / HOST).mkdir(mode=0)
        with pytest.raises(BackupError, match="cannot be looked through"):
            as_nobody(lambda: open_repository(folder, directory=".", trees="{endpoint}").snapshots())
        (folder / HOST).rmdir()


def test_a_tree_whose_age_nobody_knows_is_refused(small, tmp_path):
    small.rename(tmp_path / HOST)
    with pytest.raises(BackupError, match=r"When the backup .* was made is not known"):
        open_repository(tmp_path, directory=".", trees="{endpoint}", stamp="none").snapshots()


def test_a_mirror_that_is_written_to_while_it_is_read_is_refused(small, tmp_path, monkeypatch):
    small.rename(tmp_path / HOST)
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "tar").write_text(f'#!/bin/sh\ntouch {tmp_path}/{HOST}/etc/new; exec /bin/tar "$@"\n')
    (tools / "tar").chmod(0o755)
    monkeypatch.setattr("redrill.machine.local_machine._PATH", f"{tools}:/usr/bin:/bin")
    repository = open_repository(tmp_path, directory=".", trees="{endpoint}")
    with pytest.raises(BackupError, match="changed while it was read"):
        repository.verify(repository.snapshots()[0], soon())


def test_a_mirror_that_only_rsync_could_read_back_is_refused(small, tmp_path):
    place = tmp_path / HOST
    subprocess.run(["rsync", "-a", "--fake-super", f"{small}/", f"{place}/"], check=True)
    os.setxattr(place / "etc/file", "user.rsync.%stat", b"100644 0,0 0:0")
    repository = open_repository(tmp_path, directory=".", trees="{endpoint}")
    with pytest.raises(BackupError, match="written with 'rsync --fake-super'"):
        repository.verify(repository.snapshots()[0], soon())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"keep": 0}, "keep"),
        ({"trees": ""}, "no glob"),
        ({"trees": "/srv/*"}, "no glob"),
        ({"trees": "../*"}, "no glob"),
    ],
)
def test_settings_are_checked(tmp_path, settings, words):
    with pytest.raises(FleetError, match=rf"endpoints\.web-1\.repository: (.|\n)*{words}"):
        open_repository(tmp_path, **settings)
