"""Restores on a system that runs: unpacked beside the old state, swapped in when all is there, repeatable."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrill.errors import RestoreError
from redrill.machine.flags import get_flags, set_flags, unlock_tree
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.manifest import Manifest
from redrill.model.values import STATE_PATHS
from redrill.repositories.restore import fidelity, restore_snapshot, restore_tree
from redrill.repositories.staging import swap_command
from selftests.support.hard_tree import DEFAULT, build_hard_tree, mount_tmpfs, with_own_mounts
from selftests.support.tar_backups import make_repository, make_small_tree, soon

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount and set flags")


class LiveDirectory(LocalMachine):
    """A directory that is restored as a running system is."""

    def __init__(self, root: Path) -> None:
        super().__init__("web-1", root, has_init=True)


@pytest.fixture
def hard(tmp_path: Path) -> Path:
    build_hard_tree(tmp_path / "hard")
    (tmp_path / "hard/var/run").symlink_to("/run")
    (tmp_path / "hard/home/.hidden").mkdir()
    (tmp_path / "hard/etc/alternatives").symlink_to("/usr")
    return tmp_path / "hard"


def make_stale(root: Path) -> Path:
    """Make a fresh system with other state, and with what is in the way of the hard tree."""
    make_small_tree(root)
    for folder in ("var/run/full", "home/.hidden/deep", "etc/passwd", "home/gone", "etc/alternatives"):
        (root / folder).mkdir(parents=True)
        (root / folder / "stale").write_text("stale")
    (root / "var/lib").symlink_to("../home")
    (root / "home/user").write_text("a file where a directory comes")
    for path in ("home", "var"):
        os.setxattr(root / path, "system.posix_acl_default", DEFAULT)
    (root / "opt").mkdir()
    (root / "opt/kept").touch()
    return root


def put_back(source: Path, target: Path, folder: Path) -> Manifest:
    """Back up one directory, restore another from it as a running system is, and return what should be there."""
    repository = make_repository(folder)
    snapshot = repository.create(LocalMachine("web-1", source), "run", soon())
    manifest = repository.verify(snapshot, soon())
    restore_snapshot(LiveDirectory(target), repository, snapshot, soon(), manifest)
    return manifest


def differences(manifest: Manifest, root: Path) -> list[str]:
    return list(map(str, fidelity(manifest, walk(root, STATE_PATHS))))


def test_a_hard_tree_comes_back_exactly_in_place_of_another(hard, tmp_path):
    target = make_stale(tmp_path / "target")
    manifest = put_back(hard, target, tmp_path)
    assert differences(manifest, target) == []
    assert (target / "opt/kept").exists()


@needs_root
def test_state_paths_on_file_systems_of_their_own_are_each_swapped_on_theirs(hard, tmp_path):
    target = tmp_path / "target"
    for path in ("home", "etc", "var"):
        (target / path).mkdir(parents=True)

    def restore() -> tuple[list[str], bool]:
        for path in ("home", "var"):
            mount_tmpfs(target / path)
            (target / path / "stale").mkdir()
        manifest = put_back(hard, target, tmp_path)
        return differences(manifest, target), (target / "home").is_mount() and (target / "var").is_mount()

    assert with_own_mounts(restore) == ([], True)


@needs_root
def test_what_is_mounted_inside_keeps_its_files_while_all_around_it_is_swapped(hard, tmp_path):
    for root in ("hard", "target"):
        (tmp_path / root / "var/lib/nfs/rpc pipefs").mkdir(parents=True)
    target = tmp_path / "target"
    make_small_tree(target / "x")
    for path in ("home", "etc"):
        (target / "x" / path).rename(target / path)
    (target / "var/lib/nfs/stale").touch()
    (target / "var/lib/stale").mkdir()

    def restore() -> tuple[list[str], bool]:
        mount_tmpfs(target / "var/lib/nfs/rpc pipefs")
        (target / "var/lib/nfs/rpc pipefs/data").touch()
        manifest = put_back(hard, target, tmp_path)
        found = [d for d in differences(manifest, target) if "rpc pipefs" not in d]
        return found, (target / "var/lib/nfs/rpc pipefs/data").exists()

    assert with_own_mounts(restore) == ([], True)


@needs_root
def test_the_lower_layer_of_an_overlay_is_replaced_too(hard, tmp_path):
    lower, upper, work, merged = (tmp_path / name for name in ("lower", "upper", "work", "merged"))
    for folder in (upper, work, merged):
        folder.mkdir()
    make_stale(lower)
    (tmp_path / "hard/home/user/whiteout").unlink()  # no overlay can hold this one

    def restore() -> list[str]:
        layers = f"lowerdir={lower},upperdir={upper},workdir={work}"
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)], check=True)
        return differences(put_back(hard, merged, tmp_path), merged)

    assert with_own_mounts(restore) == []


def leftovers(root: Path) -> list[Path]:
    return [path for state in ("home", "etc", "var") for path in (root / state).glob(".redrill*")]


@pytest.mark.parametrize("kept", [0, 600, 70_000])
def test_an_archive_that_is_cut_off_leaves_the_old_state_and_the_next_restore_is_whole(tmp_path, kept):
    source, target = make_small_tree(tmp_path / "source"), make_small_tree(tmp_path / "target")
    (source / "etc/big").write_bytes(os.urandom(200_000))
    repository = make_repository(tmp_path)
    snapshot = repository.create(LocalMachine("web-1", source), "run", soon())
    manifest = repository.verify(snapshot, soon())
    before = walk(target, STATE_PATHS).entries
    with repository.open(snapshot, soon()) as stream:
        data = b"".join(stream)

    with pytest.raises(RestoreError):
        restore_tree(LiveDirectory(target), iter([data[:kept]]), soon(), manifest)
    after = walk(target, STATE_PATHS).entries
    ignored = {"/var", "/home", "/etc"}  # only their times changed
    assert {p: e for p, e in after.items() if p not in ignored} == {p: e for p, e in before.items() if p not in ignored}

    restore_tree(LiveDirectory(target), iter([data]), soon(), manifest)
    assert differences(manifest, target) == []


def test_a_source_that_breaks_at_the_very_end_leaves_the_old_state(tmp_path):
    source, target = make_small_tree(tmp_path / "source"), make_small_tree(tmp_path / "target")
    repository = make_repository(tmp_path)
    snapshot = repository.create(LocalMachine("web-1", source), "run", soon())
    old = (target / "etc/file").read_bytes()
    archive = tmp_path / "repository/web-1" / snapshot.id / "archive.tar.zst"
    other = make_repository(tmp_path / "other").create(LocalMachine("web-1", source), "run", soon())
    archive.write_bytes((tmp_path / "other/repository/web-1" / other.id / "archive.tar.zst").read_bytes() + b"")
    changed = snapshot.model_copy(update={"sha256": "0" * 64})
    with pytest.raises(RestoreError, match="changed after the backup"):
        restore_snapshot(LiveDirectory(target), repository, changed, soon())
    assert (target / "etc/file").read_bytes() == old
    assert leftovers(target) == []


def test_a_swap_that_was_interrupted_is_made_right_by_the_same_restore(hard, tmp_path):
    target = make_stale(tmp_path / "target")
    for path in ("home", "var"):
        left = target / path / ".redrill-staging-0123456789abcdef/home"
        left.mkdir(parents=True)
        (left / "half").touch()
    (target / "etc/passwd/stale").unlink()
    assert differences(put_back(hard, target, tmp_path), target) == []


def test_a_swap_without_what_was_unpacked_touches_nothing(tmp_path):
    target = make_small_tree(tmp_path / "target")
    before = walk(target, STATE_PATHS)
    result = LiveDirectory(target).send(swap_command("0" * 16), iter(()), soon())
    assert result.exit_status == 4
    assert b"is not in the staging directory" in result.stderr
    assert walk(target, STATE_PATHS) == before


def test_a_state_path_that_is_a_link_in_the_fresh_system_is_refused(hard, tmp_path):
    target = make_small_tree(tmp_path / "target")
    (target / "home").rename(target / "elsewhere")
    (target / "home").symlink_to("elsewhere")
    with pytest.raises(RestoreError, match="'/home' is no directory in the fresh system"):
        put_back(hard, target, tmp_path)
    assert (target / "elsewhere/file").exists()


@pytest.fixture
def flagged(tmp_path: Path) -> Iterator[Path]:
    """A tree with files that nobody may change, and one that may only grow."""
    root = make_small_tree(tmp_path / "flagged")
    (root / "home/log").write_text("grows\n")
    (root / "etc/locked").mkdir()
    (root / "etc/locked/new\nline").write_text("fixed\n")
    (root / "var/quiet").write_text("")
    for path, letters in FLAGGED.items():
        set_flags(os.fsencode(f"{root}{path}"), add=letters)
    yield root
    unlock_tree(os.fsencode(tmp_path))


FLAGGED = {"/etc/locked/new\nline": "i", "/etc/locked": "i", "/home/log": "a", "/home": "d", "/var/quiet": "Ad"}


def flags_of(root: Path) -> dict[str, set[str]]:
    return {path: set(get_flags(os.fsencode(f"{root}{path}"))) for path in FLAGGED}


@needs_root
@pytest.mark.parametrize("is_live", [False, True])
def test_flags_of_chattr_come_back_last_and_a_restore_over_them_can_be_repeated(flagged, tmp_path, is_live):
    target = make_small_tree(tmp_path / "target")
    repository = make_repository(tmp_path)
    source = (LiveDirectory if is_live else lambda root: LocalMachine("web-1", root))(flagged)
    snapshot = repository.create(source, "run", soon())
    manifest = repository.verify(snapshot, soon())
    assert {path: set(letters) for path, letters in manifest.flags.items()} == flags_of(flagged)
    assert {path: set(letters) for path, letters in FLAGGED.items()} == flags_of(flagged)
    machine = LiveDirectory(target) if is_live else LocalMachine("web-1", target)
    for _ in range(2):
        restore_snapshot(machine, repository, snapshot, soon(), manifest)
        assert differences(manifest, target) == []
        assert flags_of(target) == flags_of(flagged)
    with pytest.raises(PermissionError):
        (target / "etc/locked/more").touch()


def test_a_file_name_that_looks_like_the_answer_of_lsattr_gives_no_other_file_a_flag(tmp_path):
    root = make_small_tree(tmp_path / "tree")
    (root / "etc/x\n----i----------------- etc").mkdir()
    (root / "etc/x\n----i----------------- etc/file").touch()
    repository = make_repository(tmp_path)
    snapshot = repository.create(LiveDirectory(root), "run", soon())
    assert repository.verify(snapshot, soon()).flags == {}
