"""Backups with tar: exact there and back, private, whole or absent, and honest about every flipped bit."""

import fcntl
import json
import os
import random
import stat
from pathlib import Path

import pytest

from redrill.errors import BackupError, FleetError, RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.ssh_machine import SshMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.fleet import Backend, Endpoint, Fleet
from redrill.model.manifest import EntryKind, Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import Snapshot
from redrill.repositories.restore import fidelity, restore_tree
from redrill.repositories.tar import TarRepository
from selftests.support.hard_tree import DEFAULT, as_nobody, build_hard_tree, nobodys_folder
from selftests.support.sshd import running_sshd
from selftests.support.tool_machine import machine_with, machine_without

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


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return make_small_tree(tmp_path / "small")


@pytest.fixture
def hard(tmp_path: Path) -> Path:
    build_hard_tree(tmp_path / "hard")
    return tmp_path / "hard"


def expect(root: Path) -> Manifest:
    """Return what a backup of a tree should hold: everything but sockets."""
    found = walk(root, STATE_PATHS)
    return Manifest({path: entry for path, entry in found.entries.items() if entry.kind is not EntryKind.SOCKET})


def restore(repository: TarRepository, snapshot: Snapshot, root: Path) -> None:
    with repository.open(snapshot) as stream:
        restore_tree(LocalMachine("target", root), stream, soon())


def make_stale_target(root: Path) -> Path:
    """Make a tree whose files are in the way of the hard tree in every manner."""
    for folder in (
        "home/user/links/dangling/full",
        "home/user/plain/of",
        "home/gone/deep",
        "etc/passwd",
        "var/elsewhere",
    ):
        (root / folder).mkdir(parents=True)
        (root / folder / "file").write_text("stale")
    (root / "var/lib").symlink_to("elsewhere")
    (root / "home/user/acl").write_text("a file where a directory comes")
    (root / "home/user/read-only").symlink_to("../../var/elsewhere")
    os.setxattr(root / "home/user", "system.posix_acl_default", DEFAULT)
    os.setxattr(root / "etc", "system.posix_acl_default", DEFAULT)
    (root / "opt").mkdir()
    (root / "opt/kept").touch()
    return root


def test_a_hard_tree_comes_back_exactly_over_a_stale_one(hard, tmp_path):
    repository = make_repository(tmp_path)
    target = make_stale_target(tmp_path / "target")
    snapshot = repository.create(LocalMachine("web-1", hard), "run", soon())
    manifest = repository.verify(snapshot, soon())
    assert compare(expect(hard), manifest) == []
    restore(repository, snapshot, target)
    assert list(map(str, fidelity(manifest, walk(target, STATE_PATHS)))) == []
    assert (target / "opt/kept").exists()


def test_a_stale_attribute_of_a_directory_survives_a_restore_and_is_seen(stored, small, tmp_path):
    repository, snapshot, _ = stored
    target = make_small_tree(tmp_path / "target")
    os.setxattr(target / "etc", "user.stale", b"1")
    restore(repository, snapshot, target)
    found = fidelity(expect(small), walk(target, STATE_PATHS))
    assert [(difference.path, difference.attribute) for difference in found] == [("/etc", "xattrs")]


def test_a_hard_tree_comes_back_exactly_without_root():
    with nobodys_folder() as folder:

        def there_and_back() -> tuple[Manifest, Manifest, Manifest]:
            build_hard_tree(folder / "hard")
            (folder / "target").mkdir()
            for path in STATE_PATHS:
                (folder / "target" / path[1:]).mkdir()
            repository = make_repository(folder)
            snapshot = repository.create(LocalMachine("web-1", folder / "hard"), "run", soon())
            restore(repository, snapshot, folder / "target")
            found, source = walk(folder / "target", STATE_PATHS), expect(folder / "hard")
            for tree in ("hard", "target"):
                (folder / tree / "home/user/read-only").chmod(0o700)
            return repository.verify(snapshot, soon()), found, source

        manifest, found, source = as_nobody(there_and_back)
    assert fidelity(manifest, found) == []
    assert compare(source, manifest) == []


def test_a_hard_tree_comes_back_exactly_over_ssh(hard, tmp_path):
    # Only an endpoint of its own has /home, /etc and /var to be restored; here $ROOT makes a folder of them.
    repository = make_repository(tmp_path)
    (tmp_path / "target").mkdir()
    for path in STATE_PATHS:
        (tmp_path / "target" / path[1:]).mkdir()
    with running_sshd(tmp_path / "sshd") as sshd:
        machine = SshMachine("web-1", sshd.ssh(), sshd.location)
        try:
            snapshot = repository.create(_Rooted(machine, hard), "run", soon())
            with repository.open(snapshot) as stream:
                restore_tree(_Rooted(machine, tmp_path / "target"), stream, soon())
        finally:
            machine.close()
    assert fidelity(expect(hard), walk(tmp_path / "target", STATE_PATHS)) == []


class _Rooted:
    """A live machine on which a folder stands for the root."""

    def __init__(self, machine: SshMachine, root: Path) -> None:
        self.name, self.root, self.has_init = machine.name, "", True
        self._machine, self._prefix = machine, f"ROOT='{root}'; "
        self.batch, self.close = machine.batch, machine.close

    def run(self, command, deadline):
        return self._machine.run(command, deadline)

    def receive(self, command, deadline):
        return self._machine.receive(self._prefix + command, deadline)

    def send(self, command, source, deadline):
        return self._machine.send(self._prefix + command, source, deadline)


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
    position = random.Random(seed).randrange(len(data) * 8)  # noqa: S311 - a seed makes it repeatable
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


def test_an_archive_that_was_replaced_after_verify_is_not_restored_silently(stored, small, tmp_path):
    repository, snapshot, folder = stored
    repository.verify(snapshot, soon())
    (small / "etc/file").write_bytes(b"evil")
    other = make_repository(tmp_path / "other").create(LocalMachine("web-1", small), "run", soon())
    (folder / ARCHIVE).write_bytes((folder_of(tmp_path / "other", other) / ARCHIVE).read_bytes())
    with pytest.raises(RestoreError, match="changed after the backup"):
        restore(repository, snapshot, make_small_tree(tmp_path / "target"))


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
    partial = tmp_path / "repository/web-1/20200101T000000Z-dead"
    partial.mkdir(parents=True)
    (partial / ARCHIVE).write_bytes(b"partial")
    (partial / "snapshot.json.new").write_bytes(b"{}")
    assert repository.snapshots() == []
    repository.create(LocalMachine("web-1", small), "run", soon())
    assert not partial.exists()


def test_what_somebody_still_writes_is_not_swept(small, tmp_path):
    repository = make_repository(tmp_path)
    partial = tmp_path / "repository/web-1/20200101T000000Z-alive"
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


def test_words_that_nobody_knows_spoil_the_backup(small, tmp_path):
    machine = machine_with(
        "tar", 'REAL "$@"; echo "tar: etc/file: Warning: Cannot read" >&2', small, tmp_path / "tools"
    )
    with pytest.raises(BackupError, match="Cannot read"):
        make_repository(tmp_path).create(machine, "run", soon())


def test_a_run_id_with_a_slash_is_refused(small, tmp_path):
    with pytest.raises(BackupError, match="is not a run id"):
        make_repository(tmp_path).create(LocalMachine("web-1", small), "../x", soon())


def test_settings_are_checked(tmp_path):
    with pytest.raises(FleetError, match=r"endpoints\.web-1\.repository: (.|\n)*keep"):
        make_repository(tmp_path, keep=0)


def test_the_words_of_tar_are_in_the_error_when_a_restore_fails(small):
    with pytest.raises(RestoreError, match=r"On 'target' tar ended with status 2: (.|\n)*not look like a tar archive"):
        restore_tree(LocalMachine("target", small), iter([b"x" * 10240]), soon())
