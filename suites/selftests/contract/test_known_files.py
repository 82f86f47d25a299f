"""A manifest that takes over what has not changed since another is the one that reads everything."""

import os
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from redrill.drill import last_seen
from redrill.drill.last_seen import LastSeen
from redrill.machine.flags import set_flags, unlock_tree
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.probes import manifest_stream
from redrill.probes.files import Seen, receive_areas
from redrill.probes.known_files import KnownFiles
from redrill.probes.manifest_program import Area
from redrill.redaction import register
from selftests.support.hard_tree import build_hard_tree
from selftests.support.tool_machine import machine_with, machine_without

AREAS = (Area(STATE_PATHS), Area(("/",), (*STATE_PATHS, "/run")))
MACHINE_ID, BOOT_ID = "0" * 31 + "1", "2f3915a5-ee81-4791-8ca4-6f779e6c18cd"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A hard tree that says who it is."""
    tree = tmp_path / "tree"
    build_hard_tree(tree)
    for name, text in {"etc/machine-id": MACHINE_ID, "run/boot-id": BOOT_ID, "usr/tool": "tool"}.items():
        (tree / name).parent.mkdir(exist_ok=True)
        (tree / name).write_text(f"{text}\n")
    return tree


@pytest.fixture
def aged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files for older than they are."""
    monkeypatch.setattr(manifest_stream, "YOUNG_SECONDS", -3600)


def look(machine: Path | LocalMachine, known: KnownFiles | None = None) -> Seen:
    machine = LocalMachine("tree", machine) if isinstance(machine, Path) else machine
    return receive_areas(machine, AREAS, Deadline.after(60), known)


def remember(tree: Path) -> KnownFiles:
    known = look(tree).known
    assert known is not None
    return known


def whole(seen: Seen) -> Manifest:
    one, other = (manifest.parse() for manifest in seen.manifests)
    return replace(one, entries=one.entries | other.entries)


def require_as_read(tree: Path, seen: Seen) -> None:
    """What was seen is what a machine that knows nothing sees."""
    assert seen.manifests == look(tree).manifests
    assert compare(walk(tree, STATE_PATHS), seen.manifests[0].parse()) == []


@pytest.mark.usefixtures("aged")
def test_nothing_is_read_again_when_nothing_has_changed(tree):
    first = look(tree)
    again = look(tree, first.known)
    assert again.reused == len([entry for entry in whole(first).entries.values() if entry.sha256])
    assert (again.manifests, again.known) == (first.manifests, None)


def change_content(path: Path) -> None:
    """Give a file other content of the same size, and its old time."""
    info = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    subprocess.run(["touch", "-d", f"@{info.st_mtime_ns // 10**9}.{info.st_mtime_ns % 10**9:09}", path], check=True)
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (info.st_size, info.st_mtime_ns)


def exchange(path: Path) -> None:
    """Replace a file by another of the same size and time."""
    info, other = path.stat(), path.with_name("other")
    other.write_bytes(path.read_bytes()[::-1])
    os.utime(other, ns=(info.st_atime_ns, info.st_mtime_ns))
    other.replace(path)


def swap(path: Path) -> None:
    """Let two files of the same size and time have each other's names."""
    other, middle = path.with_name("plain"), path.with_name("middle")
    path.rename(middle)
    other.rename(path)
    middle.rename(other)


CHANGES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "content, with the time set back": ("home/user/plain", change_content),
    "another file under the name": ("etc/passwd", exchange),
    "names exchanged": ("home/user/b\\s", swap),
    "mode": ("usr/tool", lambda path: path.chmod(0o600)),
    "owner": ("home/user/new\nline", lambda path: os.chown(path, 7, 7)),
    "attribute": ("home/user/acl", lambda path: os.setxattr(path, "user.new", b"1")),
    "flags": ("home/user/new\nline", lambda path: set_flags(os.fsencode(path), add="d")),
    "a further hard link": ("home/user/plain", lambda path: path.with_name("a-first").hardlink_to(path)),
    "a hard link less": ("home/user/a-hard-link-that-sorts-first", lambda path: path.unlink()),
    "a link to elsewhere": ("home/user/links/loop", lambda path: (path.unlink(), path.symlink_to("there"))),
    "a file gone": ("home/user/tab\t", lambda path: path.unlink()),
    "a tree gone": (
        "home/user/read-only",
        lambda path: (path.chmod(0o700), *map(os.unlink, path.iterdir()), path.rmdir()),
    ),
    "a new file": ("usr/new\n-file", lambda path: path.write_bytes(b"new")),
    "a tree renamed": ("var/lib/deep", lambda path: path.rename(path.with_name("deeper"))),
    "a file instead of a directory": ("var/lib/deep/er", lambda path: (path.rmdir(), path.write_bytes(b"file"))),
    "another device": ("home/user/block", lambda path: (path.unlink(), os.mknod(path, 0o60660, os.makedev(7, 1)))),
    "owner of a device": ("home/user/block", lambda path: os.chown(path, 7, 7)),
}


@pytest.mark.usefixtures("aged")
@pytest.mark.skipif(os.geteuid() != 0, reason="devices, owners and flags need root")
@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_seen_and_nothing_else_is_read_again(tree, change):
    path, work = CHANGES[change]
    first = look(tree)
    work(tree / path)
    again = look(tree, first.known)
    assert compare(whole(first), whole(again)) != []
    assert again.reused > 25
    require_as_read(tree, again)


@pytest.mark.usefixtures("aged")
@pytest.mark.skipif(os.geteuid() != 0, reason="devices, owners and flags need root")
def test_what_is_known_is_carried_on_from_one_look_to_the_next(tree):
    known = remember(tree)
    for path, work in list(CHANGES.values())[:9]:
        work(tree / path)
        seen = look(tree, known)
        require_as_read(tree, seen)
        known = seen.known or known
    unlock_tree(os.fsencode(tree))


def test_a_file_that_had_just_changed_is_read_again(tree):
    first = look(tree)
    again = look(tree, first.known)
    assert again.reused == 0
    assert again.manifests == first.manifests


@pytest.mark.usefixtures("aged")
@pytest.mark.parametrize("file", ["run/boot-id", "etc/machine-id"])
def test_after_a_boot_or_on_another_machine_everything_is_read(tree, file):
    known = remember(tree)
    (tree / file).write_text(f"{BOOT_ID[::-1]}\n")
    seen = look(tree, known)
    assert seen.reused == 0
    require_as_read(tree, seen)


@pytest.mark.usefixtures("aged")
@pytest.mark.parametrize("file", ["run/boot-id", "etc/machine-id"])
def test_of_a_machine_that_does_not_say_who_it_is_nothing_is_known(tree, file):
    (tree / file).unlink()
    assert look(tree).known is None


@pytest.mark.usefixtures("aged")
@pytest.mark.parametrize("tool", ["getfattr", "lsattr", "zstd"])
def test_with_other_tools_than_before_everything_is_read(tree, tmp_path, tool):
    few = machine_without(tool, tree, tmp_path / "tools")
    assert look(tree, look(few).known).reused == 0
    assert look(few, remember(tree)).reused == 0


@pytest.mark.usefixtures("aged")
def test_without_zstd_what_is_known_travels_as_it_is(tree, tmp_path):
    machine = machine_without("zstd", tree, tmp_path / "tools")
    first = look(machine)
    assert look(machine, first.known).reused > 25


@pytest.mark.usefixtures("aged")
def test_an_unreadable_file_is_tried_again(tree, tmp_path):
    broken = machine_with("sha256sum", "exit 1", tree, tmp_path / "tools")
    (tmp_path / "tools/openssl").symlink_to(tmp_path / "tools/sha256sum")
    first = look(broken)
    assert "/etc/passwd" in first.manifests[0].unreadable
    require_as_read(tree, look(tree, first.known))


@pytest.mark.usefixtures("aged")
def test_known_records_out_of_order_cost_time_only(tree):
    known = remember(tree)
    shuffled = KnownFiles.of(known.identity, known.without(set())[::-1])
    require_as_read(tree, look(tree, shuffled))


@pytest.mark.usefixtures("aged")
def test_what_the_machine_cannot_unpack_is_not_known(tree, tmp_path):
    broken = machine_with("zstd", 'case $1 in -d*) exit 1 ;; esac; REAL "$@"', tree, tmp_path / "tools")
    require_as_read(tree, look(broken, remember(tree)))


class Remembered:
    """A memory of one endpoint in a folder of the test's own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(last_seen, "state_folder", lambda: folder)
        endpoint = Endpoint(name="web-1", role="web")
        self.memory = LastSeen(Fleet(name="shop", source=folder / "fleet.yml", endpoints=(endpoint,)), endpoint)
        self.folder = folder / "seen"

    @property
    def file(self) -> Path:
        (file,) = self.folder.iterdir()
        return file


@pytest.fixture
def remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Remembered:
    return Remembered(tmp_path / "state", monkeypatch)


KNOWN = KnownFiles.of(
    b"key machine boot zstd", [(b"f./etc/a//644", '["/etc/a"]'), (b"?f./etc/b//644", '["/etc/b-secret"]')]
)


def test_the_controller_remembers_privately(remembered):
    assert remembered.memory.recall() is None
    remembered.memory.keep(KNOWN)
    assert remembered.memory.recall() == KNOWN
    assert (remembered.file.stat().st_mode & 0o777, remembered.folder.stat().st_mode & 0o777) == (0o600, 0o700)


@pytest.mark.parametrize("damage", [b"", b"x", b"\x28\xb5\x2f\xfd"], ids=["empty", "no memory", "cut off"])
def test_a_damaged_memory_is_none(remembered, damage):
    remembered.memory.keep(KNOWN)
    remembered.file.write_bytes(damage)
    assert remembered.memory.recall() is None


def test_no_flipped_bit_changes_what_is_remembered(remembered):
    remembered.memory.keep(KNOWN)
    data = remembered.file.read_bytes()
    for place in range(len(data)):
        remembered.file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        assert remembered.memory.recall() in (None, KNOWN)


def test_a_name_that_is_a_secret_is_not_remembered(remembered):
    remembered.memory.keep(KNOWN)
    register("b-secret")
    remembered.memory.keep(KNOWN)
    assert remembered.memory.recall() is None
