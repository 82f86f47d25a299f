"""Backups at rest: encrypted with age when the fleet names recipients, and in as many copies as it wants."""

import os
import shutil
import stat
import threading
from contextlib import suppress
from pathlib import Path

import pyrage
import pytest

from redrill.errors import BackupError, FleetError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.fleet import Backend, Endpoint
from redrill.model.values import STATE_PATHS
from redrill.repositories.age import decrypt, encrypting
from redrill.repositories.encryption import encryption_state
from redrill.repositories.restore import fidelity, restore_snapshot
from selftests.support.hard_tree import build_hard_tree
from selftests.support.tar_backups import expect, folder_of, make_repository, make_small_tree, soon

CANARY = b"a-word-that-nobody-may-read-at-rest"


@pytest.fixture
def sealed(tmp_path: Path) -> dict[str, object]:
    """Settings of a repository that encrypts."""
    identity = pyrage.x25519.Identity.generate()
    (tmp_path / "key.txt").write_text(f"# public key: {identity.to_public()}\n{identity}\n")
    return {"recipients": [str(identity.to_public())], "identity": {"file": str(tmp_path / "key.txt")}}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    build_hard_tree(tmp_path / "tree")
    (tmp_path / "tree/etc/secret-file-name").write_bytes(CANARY)
    return tmp_path / "tree"


def back_up(folder: Path, tree: Path, **settings: object):
    repository = make_repository(folder, **settings)
    return repository, repository.create(LocalMachine("web-1", tree), "run", soon())


@pytest.mark.parametrize("is_live", [False, True])
def test_an_encrypted_backup_comes_back_exactly(tree, tmp_path, sealed, is_live):
    repository, snapshot = back_up(tmp_path, tree, **sealed)
    manifest = repository.verify(snapshot, soon())
    target = make_small_tree(tmp_path / "target")
    restore_snapshot(LocalMachine("web-1", target, has_init=is_live), repository, snapshot, soon(), manifest)
    assert fidelity(expect(tree), walk(target, STATE_PATHS)) == []


def test_nothing_of_an_encrypted_backup_can_be_read_at_rest(tree, tmp_path, sealed):
    _, snapshot = back_up(tmp_path, tree, **sealed)
    files = list(folder_of(tmp_path, snapshot).iterdir())
    assert sorted(file.name for file in files) == ["archive.tar.zst.age", "manifest.jsonl.age", "snapshot.json"]
    for file in files:
        assert not [word for word in (CANARY, b"secret-file-name", b"/home/user") if word in file.read_bytes()]
    assert snapshot.warnings == ("/home/user/socket: a socket is not in the backup",)
    [stored] = make_repository(tmp_path, **sealed).snapshots()
    assert stored.warnings == ("1 warnings name files; the record of the run has them",)
    assert make_repository(tmp_path, **sealed).verify(stored, soon()).entries


@pytest.mark.parametrize("settings", [{}, {"copies": ["second"]}])
def test_no_file_is_ever_visible_to_others(tree, tmp_path, sealed, settings):
    """A thread looks at every file of the repository as fast as it can while the backup is written."""
    seen: set[int] = set()
    is_over = threading.Event()

    def watch() -> None:
        while not is_over.is_set():
            for place in ("repository", "second"):
                for path in (tmp_path / place).rglob("*"):
                    with suppress(OSError):
                        seen.add(path.lstat().st_mode & 0o077)

    thread = threading.Thread(target=watch)
    thread.start()
    old = os.umask(0)
    try:
        back_up(tmp_path, tree, **sealed, **settings)
    finally:
        os.umask(old)
        is_over.set()
        thread.join()
    assert seen == {0}
    modes = {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "repository").rglob("*") if path.is_file()}
    assert modes == {0o600}


@pytest.mark.parametrize("name", ["archive.tar.zst.age", "manifest.jsonl.age"])
@pytest.mark.parametrize("position", [0, 60, -40])
def test_a_flipped_bit_in_an_encrypted_file_is_found_by_verify(tree, tmp_path, sealed, name, position):
    repository, snapshot = back_up(tmp_path, tree, **sealed)
    file = folder_of(tmp_path, snapshot) / name
    data = bytearray(file.read_bytes())
    data[position] ^= 1
    file.write_bytes(data)
    with pytest.raises(BackupError):
        repository.verify(snapshot, soon())


def test_the_identity_may_come_from_the_environment(tree, tmp_path, sealed, monkeypatch):
    repository, snapshot = back_up(tmp_path, tree, **sealed)
    monkeypatch.setenv("REDRILL_TEST_IDENTITY", (tmp_path / "key.txt").read_text())
    settings = {**sealed, "identity": {"env": "REDRILL_TEST_IDENTITY"}}
    assert make_repository(tmp_path, **settings).verify(snapshot, soon()) == repository.verify(snapshot, soon())


@pytest.mark.parametrize("size", [0, 1, 65_536, 65_537, 5_000_000])
def test_what_is_encrypted_in_pieces_is_decrypted_whole(size):
    identity = pyrage.x25519.Identity.generate()
    data, stored = os.urandom(size), bytearray()
    with encrypting(stored.extend, [identity.to_public()]) as write:
        for start in range(0, size, 70_001):
            write(data[start : start + 70_001])
    chunks = (bytes(stored[start : start + 9_999]) for start in range(0, len(stored), 9_999))
    assert b"".join(decrypt(chunks, [identity])) == data


def test_an_encrypted_stream_that_is_cut_off_is_refused_and_one_that_nobody_reads_ends():
    identity = pyrage.x25519.Identity.generate()
    stored = bytearray()
    with encrypting(stored.extend, [identity.to_public()]) as write:
        write(os.urandom(3_000_000))
    with pytest.raises(BackupError, match="damaged or cut off"):
        list(decrypt(iter([bytes(stored[:-70_000])]), [identity]))
    stream = decrypt(iter([bytes(stored)]), [identity])
    next(stream)
    stream.close()  # type: ignore[attr-defined]


def test_what_breaks_an_encrypted_backup_is_told_as_it_is():
    identity = pyrage.x25519.Identity.generate()

    def fail(_: bytes) -> None:
        raise OSError(28, "No space left on device")

    def write_much() -> None:
        with encrypting(fail, [identity.to_public()]) as write:
            for _ in range(200):
                write(bytes(70_000))

    with pytest.raises(BackupError, match="No space left"):
        write_much()


def test_the_plan_can_tell_how_backups_are_kept():
    def state(**settings: object) -> str:
        return encryption_state(Endpoint(name="web-1", repository=Backend.model_validate({"kind": "tar", **settings})))

    assert state(recipients=["age1a", "age1b"]) == "encrypted with age for 2 recipients"
    assert state().startswith("WARNING: not encrypted at rest")


def test_each_copy_is_the_same_to_the_last_byte_and_is_pruned_alike(tree, tmp_path, sealed):
    settings = {**sealed, "copies": ["second", "third"], "keep": 2}
    repository = make_repository(tmp_path, **settings)
    made = [repository.create(LocalMachine("web-1", tree), f"run-{number}", soon()) for number in range(3)]
    assert [snapshot.id for snapshot in repository.snapshots()] == [snapshot.id for snapshot in made[1:]]
    contents = [
        {
            str(file.relative_to(tmp_path / place)): file.read_bytes()
            for file in (tmp_path / place).rglob("*.*")
            if file.is_file()
        }
        for place in ("repository", "second", "third")
        if (tmp_path / place).is_dir()
    ]
    files = [{name: data for name, data in each.items() if data} for each in contents]
    assert len(files) == 3
    assert files[0] == files[1] == files[2]


@pytest.fixture
def doubled(tree, tmp_path):
    repository, snapshot = back_up(tmp_path, tree, copies=["second"])
    return repository, snapshot, folder_of(tmp_path, snapshot), tmp_path / "second/web-1" / snapshot.id


DAMAGES = {
    "archive flipped": lambda folder: _flip(folder / "archive.tar.zst"),
    "archive cut": lambda folder: (folder / "archive.tar.zst").write_bytes(b""),
    "archive gone": lambda folder: (folder / "archive.tar.zst").unlink(),
    "manifest flipped": lambda folder: _flip(folder / "manifest.jsonl"),
    "marker gone": lambda folder: (folder / "snapshot.json").unlink(),
    "marker damaged": lambda folder: (folder / "snapshot.json").write_bytes(b"{}"),
    "all gone": shutil.rmtree,
}


def _flip(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)


@pytest.mark.parametrize("damage", DAMAGES)
def test_verify_wants_every_copy_whole(doubled, damage):
    repository, snapshot, first, second = doubled
    assert repository.verify(snapshot, soon()).entries
    for copy in (second, first):
        kept = copy.with_name("kept")
        shutil.copytree(copy, kept)
        DAMAGES[damage](copy)
        with pytest.raises(BackupError):
            repository.verify(snapshot, soon())
        shutil.rmtree(copy, ignore_errors=True)
        kept.rename(copy)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_restore_takes_the_second_copy_when_the_first_is_damaged(doubled, tree, tmp_path, damage):
    repository, snapshot, first, _ = doubled
    manifest = repository.verify(snapshot, soon())
    DAMAGES[damage](first)
    target = make_small_tree(tmp_path / "target")
    restore_snapshot(LocalMachine("web-1", target), repository, snapshot, soon(), manifest)
    assert fidelity(expect(tree), walk(target, STATE_PATHS)) == []
    assert [found.id for found in repository.snapshots()] == [snapshot.id]


def test_when_no_copy_is_whole_all_are_named(doubled):
    repository, snapshot, *copies = doubled
    for copy in copies:
        _flip(copy / "archive.tar.zst")
    with pytest.raises(BackupError, match=r"No copy of the snapshot '.*' is whole"), repository.open(snapshot, soon()):
        pass


def test_a_copy_in_the_same_folder_is_no_copy(tmp_path):
    with pytest.raises(FleetError, match="a copy needs a folder of its own"):
        make_repository(tmp_path, copies=["./repository"])


def test_a_copy_that_cannot_be_written_spoils_the_backup(tree, tmp_path):
    (tmp_path / "second").write_text("a file")
    with pytest.raises(BackupError, match="failed"):
        back_up(tmp_path, tree, copies=["second"])
    assert make_repository(tmp_path).snapshots() == []
