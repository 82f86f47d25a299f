"""What a target can hold is tried out before anything is destroyed."""

import os
from pathlib import Path

import pytest

from redrill.errors import BackupError
from redrill.machine.flags import set_flags, unlock_tree
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.probe import choose_samples, require_room_for_attributes
from redrill.repositories.tar_stream import read_archive
from redrill.repositories.tar_writer import write_archive
from selftests.support.hard_tree import as_nobody, build_hard_tree, mount_tmpfs, nobodys_folder, with_own_mounts
from selftests.support.tar_backups import expect, make_small_tree, soon

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")


@pytest.fixture
def hard(tmp_path: Path) -> Manifest:
    build_hard_tree(tmp_path / "hard")
    return expect(tmp_path / "hard")


def test_every_kind_of_entry_is_tried_and_nothing_stays(hard, tmp_path):
    target = tmp_path / "target"
    (target / "var/tmp").mkdir(parents=True)
    tried = require_room_for_attributes(LocalMachine("web-1", target), "var/tmp", hard, soon())
    assert tried == len(choose_samples(hard)) > 15
    assert list((target / "var/tmp").iterdir()) == []


def test_what_the_writer_writes_is_what_the_reader_reads(hard):
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    chosen = [e for e in hard.entries.values() if e.link_group is None and (e.sha256 in (None, empty))]
    found = read_archive(iter([write_archive(chosen)]), Deadline.after(10))
    assert compare(Manifest({entry.path: entry for entry in chosen}), found) == []


@needs_root
def test_attributes_that_a_file_system_refuses_are_named_with_a_path_that_needs_them(hard, tmp_path):
    # ramfs keeps modes, owners and devices, but no attributes.
    def probe() -> None:
        os.system(f"mount -t ramfs none {tmp_path / 'target'}")  # noqa: S605 - a path of ours
        require_room_for_attributes(LocalMachine("web-1", tmp_path / "target"), "", hard, soon())

    (tmp_path / "target").mkdir()
    with pytest.raises(BackupError, match=r"The target of 'web-1' cannot hold .*/home/user/.*: xattrs: "):
        with_own_mounts(probe)


@needs_root
def test_flags_that_a_file_system_does_not_have_are_named(tmp_path):
    root = make_small_tree(tmp_path / "tree")
    manifest = walk(root, STATE_PATHS)
    manifest = manifest.with_flags({"/etc/file": "it"})

    def probe() -> None:
        mount_tmpfs(tmp_path / "target")
        require_room_for_attributes(LocalMachine("web-1", tmp_path / "target"), "", manifest, soon())

    (tmp_path / "target").mkdir()
    with pytest.raises(BackupError, match="files with the flag 't' of chattr"):
        with_own_mounts(probe)


@needs_root
def test_owners_that_a_user_may_not_give_are_found(hard):
    with nobodys_folder() as folder:

        def probe() -> None:
            require_room_for_attributes(LocalMachine("web-1", folder), "", hard, soon())

        with pytest.raises(BackupError, match="cannot hold what its backup has"):
            as_nobody(probe)


@needs_root
def test_flags_are_tried_and_taken_away_again(tmp_path):
    root = make_small_tree(tmp_path / "tree")
    set_flags(os.fsencode(root / "etc/file"), add="i")
    manifest = walk(root, STATE_PATHS)
    try:
        assert require_room_for_attributes(LocalMachine("web-1", root), "var", manifest, soon()) >= 1
        assert sorted(path.name for path in (root / "var").iterdir()) == ["file"]
    finally:
        unlock_tree(os.fsencode(root))
