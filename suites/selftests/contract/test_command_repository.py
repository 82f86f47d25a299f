"""Backups by the owner's commands: whatever they print or write, nothing unsafe is unpacked and nothing is believed."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from redrill.errors import BackupError, RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Backend, Endpoint, Fleet
from redrill.model.manifest import compare
from redrill.model.values import STATE_PATHS, is_inside
from redrill.repositories.command import CommandRepository
from redrill.repositories.restore import fidelity, restore_snapshot
from redrill.repositories.tar_command import CREATE
from selftests.support.hard_tree import acl, as_nobody, nobodys_folder
from selftests.support.hostile import BASE, END, HOSTILE, SYMLINK, folder, member
from selftests.support.tar_backups import expect, soon

HOST = "web-1"
LISTED = {"id": "one", "created": "2026-11-22T12:00:00+01:00", "size": 7, "host": HOST, "tags": ["nightly"]}
LIST = f"echo '{json.dumps(LISTED)}'"


def open_repository(place: Path, **settings: Any) -> CommandRepository:
    own = {"kind": "command", "snapshots": LIST, "open": "false", "staging": "staging", **settings}
    endpoint = Endpoint(name=HOST, address="198.18.45.99", repository=Backend.model_validate(own))
    return CommandRepository(Fleet(name="test", source=place / "fleet.yml", endpoints=(endpoint,)), endpoint)


def verify(place: Path, command: str, **settings: Any) -> Any:
    repository = open_repository(place, open=command, **settings)
    return repository.verify(repository.snapshots()[0], soon())


KEEP = "--xattrs --xattrs-include='*' --numeric-owner --sparse"


@pytest.mark.parametrize(
    "command",
    [
        f"cd hard && {CREATE} -cf - home etc var",
        f"cd hard && tar --format=posix {KEEP} -cf - ./var ./home ./etc",
        f"cd hard && tar --acls {KEEP} -cf - .",
        f"cd hard && tar -P --format=posix {KEEP} --transform='s|^|/|S' -cf - home etc var",
        f"cd hard && find home etc var -depth -print0 | tar --null --no-recursion -T - --format=posix {KEEP} -cf -",
    ],
    ids=["ours", "dots", "everything", "absolute", "depth first"],
)
def test_an_archive_of_gnu_tar_comes_back_exactly(hard, tmp_path, command):
    repository = open_repository(tmp_path, open=command)
    (snapshot,) = repository.snapshots()
    manifest = repository.verify(snapshot, soon())
    assert compare(expect(hard), manifest) == []
    (tmp_path / "target").mkdir()
    restore_snapshot(LocalMachine(HOST, tmp_path / "target"), repository, snapshot, soon(), manifest)
    assert fidelity(manifest, walk(tmp_path / "target", STATE_PATHS)) == []
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.parametrize("options", ["--format=gnu", "--format=ustar", "--format=v7"])
def test_older_formats_of_tar_are_read_if_they_can_be_told_from_garbage(small, tmp_path, options):
    command = f"cd small && tar {options} -cf - home etc var"
    if options == "--format=v7":
        with pytest.raises(BackupError, match="no tar archive"):
            verify(tmp_path, command)
    else:
        differences = compare(expect(small), verify(tmp_path, command))
        assert {difference.attribute for difference in differences} == {"mtime_ns"}


@pytest.mark.parametrize("options", ["--xattrs", "--no-acls --xattrs --no-fflags"])
def test_an_archive_of_bsdtar_comes_back(small, tmp_path, options):
    os.setxattr(small / "etc/file", "user.name", b"value")
    found = verify(tmp_path, f"cd small && bsdtar --format=pax {options} --numeric-owner -cf - home etc var")
    assert compare(expect(small), found) == []


def test_an_archive_that_restic_dumps_comes_back(small, tmp_path):
    environment = {**os.environ, "RESTIC_PASSWORD": "x", "RESTIC_REPOSITORY": str(tmp_path / "restic")}
    for words in (["init"], ["backup", "home", "etc", "var"]):
        subprocess.run(["restic", "--no-cache", *words], cwd=small, env=environment, check=True, capture_output=True)
    command = "RESTIC_PASSWORD=x restic --no-cache -r restic dump latest /"
    differences = compare(expect(small), verify(tmp_path, command))
    assert {difference.attribute for difference in differences} <= {"mtime_ns"}


def test_an_archive_that_borg_exports_comes_back(small, tmp_path):
    environment = {**os.environ, "BORG_REPO": str(tmp_path / "borg"), "BORG_BASE_DIR": str(tmp_path / "base")}
    environment["BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK"] = "yes"
    for words in (["init", "-e", "none"], ["create", "::one", "home", "etc", "var"]):
        subprocess.run(["borg", *words], cwd=small, env=environment, check=True, capture_output=True)
    command = f"BORG_BASE_DIR={tmp_path}/base borg export-tar {tmp_path}/borg::one -"
    differences = compare(expect(small), verify(tmp_path, command))
    assert {difference.attribute for difference in differences} <= {"mtime_ns"}


def test_access_lists_by_number_come_back_and_those_by_name_are_refused(small, tmp_path):
    anybody = 0xFFFFFFFF
    os.setxattr(
        small / "etc/file",
        "system.posix_acl_access",
        acl((1, 6, anybody), (2, 7, 54321), (4, 4, anybody), (16, 7, anybody), (32, 4, anybody)),
    )
    only_text = "cd small && tar --acls --numeric-owner --format=posix -cf - home etc var"
    assert compare(expect(small), verify(tmp_path, only_text)) == []
    subprocess.run(["setfacl", "-m", "u:games:r", small / "etc/file"], check=True)
    with pytest.raises(BackupError, match="names 'games' in an access list"):
        verify(tmp_path, only_text)


def test_snapshots_are_told_as_listed_and_those_of_other_hosts_left_out(tmp_path):
    lines = [
        {"id": "new", "created": "2026-11-22T12:00:00Z"},
        {"id": "old", "created": "2026-11-21T12:00:00+02:00", "size": 12, "host": HOST, "tags": ["a"]},
        {"id": "other", "created": "2026-11-21T12:00:00Z", "host": "db-1"},
    ]
    (tmp_path / "list").write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    found = open_repository(tmp_path, snapshots="cat list").snapshots()
    assert [(snapshot.id, snapshot.size, snapshot.tags) for snapshot in found] == [
        ("old", 12, ("a",)),
        ("new", None, ()),
    ]
    assert found[0].endpoint == HOST
    assert found[0].entries is None


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("echo hello", "which is no snapshot"),
        ("echo '[1]'", "which is no snapshot"),
        ("""echo '{"id": "x", "created": "2026-11-22T12:00:00"}'""", "timezone"),
        ("""echo '{"id": "", "created": "2026-11-22T12:00:00Z"}'""", "which is no snapshot"),
        ("""echo '{"id": "x", "created": "2026-11-22T12:00:00Z", "siez": 1}'""", "Extra inputs"),
        ("head -c 1000 /dev/urandom", "is no text"),
        ("yes hello | head -c 17000000", "too much"),
        ("echo wrong >&2; exit 3", "ended with status 3: wrong"),
        ("kill -9 $$", "ended with status -9"),
        ("nowhere-to-be-found", "ended with status 127"),
    ],
)
def test_a_listing_that_is_none_is_refused(tmp_path, command, words):
    with pytest.raises(BackupError, match=words):
        open_repository(tmp_path, snapshots=command).snapshots()


@pytest.mark.usefixtures("small")
def test_a_command_finds_what_it_is_about(tmp_path):
    told = "env | grep ^REDRILL_ | sort > told; tar -C small -cf - home etc var"
    verify(tmp_path, told)
    assert (tmp_path / "told").read_text().split() == [
        "REDRILL_ADDRESS=198.18.45.99",
        "REDRILL_ENDPOINT=web-1",
        "REDRILL_SNAPSHOT=one",
    ]


def test_a_snapshot_is_made_by_command_and_must_be_listed_then(tmp_path):
    repository = open_repository(tmp_path, create="echo working; test $REDRILL_RUN = run && echo one")
    assert repository.create(LocalMachine(HOST, tmp_path), "run", soon()) == repository.snapshots()[0]
    for command, words in (("echo two", "printed 'two' last"), ("true", "printed '' last"), ("exit 1", "status 1")):
        with pytest.raises(BackupError, match=words):
            open_repository(tmp_path, create=command).create(LocalMachine(HOST, tmp_path), "run", soon())
    with pytest.raises(BackupError, match="no command that makes a backup"):
        open_repository(tmp_path).create(LocalMachine(HOST, tmp_path), "run", soon())


@pytest.mark.usefixtures("small")
def test_a_snapshot_that_its_own_check_refuses_is_not_restorable(tmp_path):
    good = "tar -C small -cf - home etc var"
    assert verify(tmp_path, good, verify="test $REDRILL_SNAPSHOT = one")
    with pytest.raises(BackupError, match=r"'repository\.verify' ended with status 1: broken"):
        verify(tmp_path, good, verify="echo broken >&2; exit 1")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("true", "no tar archive"),
        ("head -c 100000 /dev/urandom", "no tar archive"),
        ("tar -C small -czf - home etc var", "compressed"),
        ("tar -C small -cf - home etc var; exit 2", "ended with status 2"),
        ("tar -C small -cf - home etc var | head -c 30000", "cannot be (read|unpacked)"),
        ("tar -C small -cf - home etc", "no directory is '/var'"),
        ("tar -cf - small", "'small/', which is not inside the state paths"),
        ("cat small/etc/file", "no tar archive"),
    ],
)
@pytest.mark.usefixtures("small")
def test_what_is_no_whole_archive_of_the_state_paths_is_refused(tmp_path, command, words):
    with pytest.raises(BackupError, match=words):
        verify(tmp_path, command)
    assert list((tmp_path / "staging").iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_command_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    with pytest.raises(BackupError, match=r"did not end within 0\.5 s"):
        verify(tmp_path, "sleep 987 & echo $! > pid; wait", timeout="500ms")
    wait_for_end(tmp_path / "pid")
    verify(tmp_path, "sleep 987 & echo $! > pid; tar -C small -cf - home etc var")
    wait_for_end(tmp_path / "pid")


def wait_for_end(pid: Path) -> None:
    status = Path("/proc", pid.read_text().strip(), "stat")
    # Nobody may have waited for what is dead.
    wait_until(
        lambda _: (not status.exists() or status.read_text().rpartition(")")[2].split()[0] in "ZX") or None, soon()
    )


@pytest.mark.parametrize("hostile", HOSTILE, ids=str)
def test_nothing_unsafe_is_ever_unpacked(tmp_path, hostile):
    (tmp_path / "canary").write_text("alive")
    (tmp_path / "archive").write_bytes(hostile.archive())
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
    try:
        found = verify(tmp_path, "cat archive")
    except BackupError:
        pass
    else:
        assert all(is_inside(path) for path in found.entries)
    shutil.rmtree(tmp_path / "staging")
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert not list(Path("/").glob("pwn*"))


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([member(b"etc/../../x")], "not a plain name"),
        ([member(b"usr/x")], "not inside the state paths"),
        ([member(b"etc/l", SYMLINK, target=b"/"), member(b"etc/l/x")], "below 'etc/l', which is no directory"),
        ([member(b"etc/l/x"), member(b"etc/l", SYMLINK, target=b"/")], "below 'etc/l', which is no directory"),
        ([member(b"etc/h", b"1", target=b"/canary")], "hard link to 'canary', no file in it"),
        ([member(b"etc/h", b"1", target=b"../canary")], "hard link to 'canary', no file in it"),
        ([member(b"etc/x"), member(b"./etc//x")], "twice"),
        ([member(b"etc/x", b"V")], "not understood|cannot be"),
    ],
)
def test_an_unsafe_member_is_told_before_anything_is_unpacked(tmp_path, monkeypatch, members, words):
    unpacked = []
    real = LocalMachine.run
    monkeypatch.setattr(LocalMachine, "run", lambda *words: unpacked.append(words[1]) or real(*words))
    tops = b"".join(folder(path.encode()[1:] + b"/") for path in STATE_PATHS)
    (tmp_path / "archive").write_bytes(tops + b"".join(members) + END)
    with pytest.raises(BackupError, match=words):
        verify(tmp_path, "cat archive")
    assert unpacked == []


def test_without_root_the_owners_of_others_are_not_lost_silently():
    with nobodys_folder() as place:
        (place / "archive").write_bytes(BASE + END)
        with pytest.raises(BackupError, match=r"cannot be unpacked exactly.*Operation not permitted"):
            as_nobody(lambda: verify(place, "cat archive"))


def test_another_archive_than_the_verified_one_is_not_restored(small, tmp_path):
    repository = open_repository(tmp_path, open="tar --format=posix -C small -cf - home etc var")
    (snapshot,) = repository.snapshots()
    manifest = repository.verify(snapshot, soon())
    file = small / "etc/file"
    before = file.stat()
    file.write_bytes(bytes(before.st_size))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    (tmp_path / "target/etc").mkdir(parents=True)
    live = LocalMachine(HOST, tmp_path / "target", has_init=True)
    with pytest.raises(RestoreError, match="not what its manifest says: /etc/file: sha256"):
        restore_snapshot(live, repository, snapshot, soon(), manifest)
    assert list((tmp_path / "target/etc").iterdir()) == []


@pytest.mark.usefixtures("small")
def test_a_deadline_that_is_over_ends_it(tmp_path):
    repository = open_repository(tmp_path, open="tar -C small -cf - home etc var")
    with pytest.raises(BackupError, match=r"did not end within 0 s|deadline of 0 s"):
        repository.verify(repository.snapshots()[0], Deadline.after(0))
