"""Restores with tar: exact over whatever is there, with root and without, here and over SSH."""

import os
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from redrill.errors import RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.ssh_machine import SshMachine
from redrill.machine.walker import walk
from redrill.model.manifest import Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import Snapshot
from redrill.repositories.restore import fidelity, restore_tree
from redrill.repositories.tar import TarRepository
from selftests.support.hard_tree import (
    DEFAULT,
    as_nobody,
    build_hard_tree,
    mount_tmpfs,
    nobodys_folder,
    with_own_mounts,
)
from selftests.support.sshd import running_sshd
from selftests.support.tar_backups import ARCHIVE, expect, folder_of, make_repository, make_small_tree, restore, soon


@pytest.fixture
def stored(small, tmp_path) -> tuple[TarRepository, Snapshot, Path]:
    repository = make_repository(tmp_path)
    snapshot = repository.create(LocalMachine("web-1", small), "run", soon())
    return repository, snapshot, folder_of(tmp_path, snapshot)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


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
            with repository.open(snapshot, soon()) as stream:
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
        return self._machine.run(self._prefix + command, deadline)

    def receive(self, command, deadline):
        return self._machine.receive(self._prefix + command, deadline)

    def send(self, command, source, deadline):
        return self._machine.send(self._prefix + command, source, deadline)


def test_an_archive_that_was_replaced_after_verify_is_not_restored_silently(stored, small, tmp_path):
    repository, snapshot, folder = stored
    repository.verify(snapshot, soon())
    (small / "etc/file").write_bytes(b"evil")
    other = make_repository(tmp_path / "other").create(LocalMachine("web-1", small), "run", soon())
    (folder / ARCHIVE).write_bytes((folder_of(tmp_path / "other", other) / ARCHIVE).read_bytes())
    with pytest.raises(RestoreError, match="changed after the backup"):
        restore(repository, snapshot, make_small_tree(tmp_path / "target"))


@needs_root
def test_a_restore_removes_nothing_from_a_volume_that_is_mounted_on_the_target(stored, tmp_path):
    repository, snapshot, _ = stored
    target = make_small_tree(tmp_path / "target")
    (target / "home/stale").touch()
    (target / "var/volume").mkdir()

    def put_back() -> tuple[bool, bool]:
        mount_tmpfs(target / "var/volume")
        (target / "var/volume/data").touch()
        with suppress(RestoreError):  # tar cannot remove the mount point, which the archive lacks
            restore(repository, snapshot, target)
        return (target / "var/volume/data").exists(), (target / "home/stale").exists()

    assert with_own_mounts(put_back) == (True, False)


@needs_root
def test_what_the_lower_layer_of_an_overlay_has_goes_away_too(stored, small, tmp_path):
    repository, snapshot, _ = stored
    lower, upper, work, merged = (tmp_path / name for name in ("lower", "upper", "work", "merged"))
    for folder in (lower, upper, work, merged):
        folder.mkdir()

    def put_back() -> Manifest:
        mount_tmpfs(lower)
        (make_small_tree(lower) / "etc/stale").touch()
        layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)], check=True)
        restore(repository, snapshot, merged)
        return walk(merged, STATE_PATHS)

    assert fidelity(expect(small), with_own_mounts(put_back)) == []


def test_the_words_of_tar_are_in_the_error_when_a_restore_fails(small):
    with pytest.raises(RestoreError, match=r"On 'target' tar ended with status 2: (.|\n)*not look like a tar archive"):
        restore_tree(LocalMachine("target", small), iter([b"x" * 10240]), soon())
