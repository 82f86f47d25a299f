"""Bad inputs 33 to 64: every one is refused when the backup is verified, and again when it is on its way back.

That no drill wipes anything with such a backup is shown by system/test_verify_before_wipe.py, over the same archives.
"""

import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyrage
import pytest

from redrill.errors import BackupError, Exit, FleetError, RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest
from redrill.repositories.restore import restore_snapshot, restore_tree
from redrill.repositories.tar_stream import read_archive
from selftests.support.hard_tree import in_child
from selftests.support.hostile import (
    BAD_FILES,
    BASE,
    END,
    HOSTILE,
    BadFile,
    Hostile,
    bomb,
    listing,
    member,
    pack,
    store,
)
from selftests.support.tar_backups import make_repository, make_small_tree, soon

SECONDS = 20
"""No archive, however small, may keep a drill busy for longer."""


def verify(folder: Path, packed: bytes, manifest: Manifest | bytes | None = None) -> Manifest:
    snapshot = store(folder / "repository/web-1", packed, listing() if manifest is None else manifest)
    return make_repository(folder).verify(snapshot, Deadline.after(SECONDS))


def refused(folder: Path, packed: bytes, words: str, manifest: Manifest | bytes | None = None) -> None:
    with pytest.raises(BackupError, match=words) as caught:
        verify(folder, packed, manifest)
    assert caught.value.exit_code is Exit.BACKUP


def test_the_archive_that_all_others_are_made_of_is_sound(tmp_path):
    assert set(verify(tmp_path, pack(BASE + END)).entries) == set(listing().entries)


@pytest.mark.parametrize("bad", [*HOSTILE, *BAD_FILES], ids=str)
def test_verify_refuses(tmp_path, bad: Hostile | BadFile):
    refused(tmp_path, bad.packed(), bad.words)


@pytest.mark.parametrize("hostile", [each for each in HOSTILE if not each.needs_listing], ids=str)
def test_a_backup_of_a_hostile_endpoint_is_refused_without_a_listing(hostile: Hostile):
    with pytest.raises(BackupError):
        read_archive(iter([hostile.archive()]), Deadline.after(SECONDS))


class LiveDirectory(LocalMachine):
    """A directory that is restored as a running system is."""

    def __init__(self, root: Path) -> None:
        super().__init__("web-1", root, has_init=True)


def offline(root: Path) -> LocalMachine:
    return LocalMachine("web-1", root)


@pytest.mark.parametrize("machine_of", [offline, LiveDirectory], ids=["offline", "live"])
@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_a_restore_writes_nothing_outside_and_nothing_that_is_not_listed(
    tmp_path, hostile: Hostile, machine_of: Callable[[Path], LocalMachine]
):
    world = tmp_path / "world"
    root = make_small_tree(world / "a/b/root")
    (world / "canary").write_text("alive")
    (root / "usr").mkdir()
    before = {path: path.lstat().st_mtime_ns for path in world.rglob("*") if not path.is_relative_to(root)}
    old = walk(root, ("/etc", "/home")).entries
    allowed = set(listing().entries) | {"/usr", "/"}
    archive = hostile.archive()
    if hostile.number == 38:
        return  # a data bit is the digest's to find: the archive is not the verified one

    with pytest.raises(RestoreError):
        restore_tree(machine_of(root), iter([archive]), Deadline.after(SECONDS), listing())

    after = {path: path.lstat().st_mtime_ns for path in world.rglob("*") if not path.is_relative_to(root)}
    assert {p: t for p, t in after.items() if p != root.parent} == {p: t for p, t in before.items() if p != root.parent}
    assert set(walk(root, ("/",)).entries) <= allowed
    if machine_of is LiveDirectory:
        assert {p: e.sha256 for p, e in walk(root, ("/etc", "/home")).entries.items()} == {
            p: e.sha256 for p, e in old.items()
        }


@pytest.mark.parametrize(
    ("packed", "words"),
    [
        (lambda: bomb(1 << 32), "something follows its end"),
        (lambda: pack(BASE[:-1536] + member(b"var/file", size=8**11 - 1)), "cut off|/var/file: size is"),
        (lambda: pack(BASE + member(b"pax", b"x", size=(1 << 28) - 1) + bytes(1 << 28)), "far too big"),
    ],
    ids=["4 GiB of zeros", "8 GiB claimed", "256 MiB of header"],
)
def test_59_a_bomb_takes_neither_memory_nor_time(tmp_path, packed: Callable[[], bytes], words: str):
    data = packed()

    def little() -> None:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (400 << 20), used + (400 << 20)))

    started = time.monotonic()
    with pytest.raises(BackupError, match=words):
        in_child(little, lambda: verify(tmp_path, data))
    assert time.monotonic() - started < SECONDS


def test_52_what_one_restore_left_is_never_what_the_next_goes_through(tmp_path):
    root = make_small_tree(tmp_path / "root")
    (tmp_path / "outside").mkdir()
    for name in ("home", "etc", "var"):
        (root / name / "file").unlink()
        (root / name / "file").symlink_to(tmp_path / "outside/pwn")
        (root / name / "link").symlink_to(tmp_path / "outside")
    for machine in (LiveDirectory(root), offline(root)):
        restore_tree(machine, iter([BASE + END]), soon(), listing())
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (root / "etc/link").is_symlink()


def test_a_link_to_anywhere_is_no_crime_as_long_as_nothing_goes_through_it():
    archive = (
        BASE + member(b"etc/a", b"2", target=b"/usr/bin/editor") + member(b"etc/b", b"2", target=b"../../..") + END
    )
    found = read_archive(iter([archive]), soon())
    assert (found.entries["/etc/a"].target, found.entries["/etc/b"].target) == ("/usr/bin/editor", "../../..")


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        ({"endpoint": "web-2"}, "which is not what this folder is for"),
        ({"id": "20261122T120000Z-other"}, "which is not what this folder is for"),
    ],
)
def test_61_a_snapshot_of_another_host_or_run_is_refused(tmp_path, facts, words):
    store(tmp_path / "repository/web-1", pack(BASE + END), listing(), **facts)
    with pytest.raises(BackupError, match=words):
        make_repository(tmp_path).snapshots()


def test_61_the_archive_and_manifest_of_another_host_are_refused(tmp_path):
    snapshot = store(tmp_path / "repository/web-1", pack(BASE + END), listing())
    other = make_small_tree(tmp_path / "other")
    make_repository(tmp_path / "second").create(LocalMachine("web-1", other), "run", soon())
    [theirs] = (tmp_path / "second/repository/web-1").iterdir()
    for name in ("archive.tar.zst", "manifest.jsonl"):
        (tmp_path / "repository/web-1" / snapshot.id / name).write_bytes((theirs / name).read_bytes())
    with pytest.raises(BackupError, match="not the one that was written"):
        make_repository(tmp_path).verify(snapshot, soon())


@pytest.mark.parametrize(
    "listed",
    [b'{"schema": 2}\n', b"", b"[]\n", b"\xff\xfe", b'{"schema": 1}\n', b'{"schema": 1, "unreadable": []}\n[1]\n'],
)
def test_62_a_manifest_of_another_schema_or_of_none_is_refused(tmp_path, listed):
    refused(tmp_path, pack(BASE + END), "cannot be read by this version of redrill", listed)


@pytest.fixture
def keys() -> Iterator[tuple[str, str]]:
    identity = pyrage.x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def encrypted(folder: Path, keys: tuple[str, str]) -> dict[str, object]:
    (folder / "key.txt").write_text(f"# created by age-keygen\n{keys[0]}\n")
    return {"recipients": [keys[1]], "identity": {"file": str(folder / "key.txt")}}


def test_63_a_backup_that_is_encrypted_for_another_key_is_refused(tmp_path, keys):
    settings = encrypted(tmp_path, keys)
    snapshot = make_repository(tmp_path, **settings).create(
        LocalMachine("web-1", make_small_tree(tmp_path / "tree")), "run", soon()
    )
    assert make_repository(tmp_path, **settings).verify(snapshot, soon()).entries
    (tmp_path / "other.txt").write_text(str(pyrage.x25519.Identity.generate()))
    settings["identity"] = {"file": str(tmp_path / "other.txt")}
    with pytest.raises(BackupError, match="encrypted for another key"):
        make_repository(tmp_path, **settings).verify(snapshot, soon())


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is empty"),
        ("# only words\n# and more\n", "holds no key"),
        ("AGE-SECRET-KEY-1NONSENSE", "no private key of age"),
    ],
)
def test_63_an_identity_that_holds_no_key_is_refused_and_never_shown(tmp_path, keys, content, words):
    settings = encrypted(tmp_path, keys)
    snapshot = make_repository(tmp_path, **settings).create(
        LocalMachine("web-1", make_small_tree(tmp_path / "tree")), "run", soon()
    )
    (tmp_path / "empty.txt").write_text(content)
    settings["identity"] = {"file": str(tmp_path / "empty.txt")}
    with pytest.raises(BackupError, match=words) as caught:
        make_repository(tmp_path, **settings).verify(snapshot, soon())
    assert "NONSENSE" not in str(caught.value)


def test_63_without_an_identity_or_with_a_missing_one_an_encrypted_backup_is_refused(tmp_path, keys):
    settings = encrypted(tmp_path, keys)
    snapshot = make_repository(tmp_path, **settings).create(
        LocalMachine("web-1", make_small_tree(tmp_path / "tree")), "run", soon()
    )
    for identity, words in ((None, "names no key"), ({"file": str(tmp_path / "gone")}, "cannot be decrypted: .*gone")):
        with pytest.raises(BackupError, match=words):
            make_repository(tmp_path, **{**settings, "identity": identity}).verify(snapshot, soon())


def test_a_recipient_that_is_none_is_a_mistake_in_the_fleet_file(tmp_path):
    with pytest.raises(FleetError, match=r"repository\.recipients: 'age1nobody' is not a public key of age"):
        make_repository(tmp_path, recipients=["age1nobody"])


@pytest.mark.parametrize("machine_of", [offline, LiveDirectory], ids=["offline", "live"])
def test_64_an_archive_that_is_replaced_after_verify_is_not_restored(tmp_path, machine_of):
    snapshot = store(tmp_path / "repository/web-1", pack(BASE + END), listing())
    repository = make_repository(tmp_path)
    manifest = repository.verify(snapshot, soon())
    evil = BASE.replace(b"the content of a file", b"the content of a PWND")
    (tmp_path / "repository/web-1" / snapshot.id / "archive.tar.zst").write_bytes(pack(evil + END))
    root = make_small_tree(tmp_path / "root")
    old = (root / "etc/file").read_bytes()
    with pytest.raises(RestoreError, match="changed after the backup"):
        restore_snapshot(machine_of(root), repository, snapshot, soon(), manifest)
    if machine_of is LiveDirectory:
        assert (root / "etc/file").read_bytes() == old
