"""A machine that has BusyBox and nothing of GNU gives the same manifest."""

import shutil
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.probes.files import receive_areas, receive_manifest
from redrill.probes.manifest_program import Area
from selftests.support.hard_tree import build_hard_tree
from selftests.support.tool_machine import ToolMachine

BUSYBOX = shutil.which("busybox") or "busybox"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    build_hard_tree(tmp_path / "tree")
    (tmp_path / "tree/etc/machine-id").write_text("1\n")
    return tmp_path / "tree"


@pytest.fixture
def small(tree: Path, tmp_path: Path) -> Callable[..., ToolMachine]:
    """Make a machine with the applets of BusyBox, and these tools of the host's besides."""

    def make(*tools: str) -> ToolMachine:
        folder = tmp_path / "tools"
        folder.mkdir()
        applets = subprocess.run([BUSYBOX, "--list"], capture_output=True, text=True, check=True).stdout.split()
        for applet in applets:
            (folder / applet).symlink_to(BUSYBOX)
        for tool in tools:
            (folder / tool).unlink(missing_ok=True)
            (folder / tool).symlink_to(shutil.which(tool) or tool)
        return ToolMachine(tree, folder, only=True)

    return make


def look(machine: ToolMachine) -> Manifest:
    return receive_manifest(machine, STATE_PATHS, (), Deadline.after(60))


def test_it_is_the_manifest_of_the_tree_but_for_what_busybox_cannot_see(tree, small):
    found = look(small())
    assert (found.has_xattrs, found.has_flags, found.has_nanoseconds) == (False, False, True)
    blind = {path: replace(entry, xattrs=(), flags="") for path, entry in walk(tree, STATE_PATHS).entries.items()}
    assert found.entries == blind
    assert found.unreadable == ()


def test_with_getfattr_and_lsattr_it_is_exactly_the_manifest_of_the_tree(tree, small):
    assert look(small("getfattr", "lsattr", "zstd")) == walk(tree, STATE_PATHS)


def test_without_nanoseconds_it_says_so_and_compares_in_seconds(tree, small, tmp_path):
    machine = small("getfattr", "lsattr")
    tr = tmp_path / "tools/tr"  # what stat printed goes through it
    tr.unlink()
    tr.write_text(f"#!{BUSYBOX} sh\n{BUSYBOX} sed 's/[.][0-9]* +0000/ +0000/' | {BUSYBOX} tr \"$@\"\n")
    tr.chmod(0o755)
    found = look(machine)
    assert not found.has_nanoseconds
    assert found != walk(tree, STATE_PATHS)
    assert compare(walk(tree, STATE_PATHS), found) == []


def test_nothing_is_taken_over_from_it(small):
    assert receive_areas(small(), [Area(STATE_PATHS)], Deadline.after(60)).known is None
