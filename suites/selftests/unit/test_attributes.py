"""Attributes in words, as getcap and getfacl write them."""

import subprocess
from pathlib import Path

import pytest

from redrill.model.attributes import Names, render_xattr, render_xattrs
from redrill.model.manifest import Difference
from selftests.support.hard_tree import ACCESS

NAMES = Names({1: "daemon", 0: "root"}, {29: "audio"})


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("0100000200200000" + "00" * 12, "cap_net_raw=ep"),
        ("0000000200200000" + "00" * 12, "cap_net_raw=p"),
        ("01000002" + "00300000" + "00100000" + "00" * 8, "cap_net_admin=eip cap_net_raw=ep"),
        ("01000003" + "00000000" * 2 + "00010000" + "00000000" + "e8030000", "cap_checkpoint_restore=ep [rootid=1000]"),
        ("010000010020000000000000", "cap_net_raw=ep"),
        ("0000000200000000" + "00" * 12, "="),
        ("0100", "0x0100"),
        ("01000002" + "00" * 8 + "ffffffff" + "00" * 4, "0x01000002" + "00" * 8 + "ffffffff" + "00" * 4),
    ],
)
def test_capabilities_read_as_getcap_writes_them(value: str, words: str) -> None:
    assert render_xattr("security.capability", value) == words


def test_an_acl_reads_as_getfacl_writes_it() -> None:
    shown = "user::rw-,user:1:rwx,user:54321:r--,group::r--,group:29:--x,mask::rwx,other::r--"
    assert render_xattr("system.posix_acl_access", ACCESS.hex()) == shown


def test_getfacl_itself_agrees(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    subprocess.run(["setfacl", "-m", "u:1:rwx,g:29:x,m::rwx", file], check=True)
    command = ["getfattr", "-n", "system.posix_acl_access", "-e", "hex", file]
    shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    value = shown.partition("=0x")[2].strip()
    told = subprocess.run(["getfacl", "-nc", file], capture_output=True, text=True, check=True).stdout.split()
    assert render_xattr("system.posix_acl_access", value).split(",") == told


def test_names_of_owners_stand_beside_their_numbers() -> None:
    assert "user:1 (daemon):rwx" in render_xattr("system.posix_acl_access", ACCESS.hex(), NAMES)
    assert Difference("/x", "uid", 0, 7).told(NAMES) == "/x: uid is 7, expected 0 (root)"


def test_only_attributes_that_differ_are_told() -> None:
    before = (("user.a", "61"), ("user.b", "00"), ("user.c", "63"))
    after = (("user.a", "61"), ("user.b", "ff"), ("user.d\n", "64"))
    words = "user.b is 0xff, expected ''; user.c is none, expected 'c'; user.d\\n is 'd', expected none"
    assert render_xattrs(before, after) == words


def test_a_long_value_is_cut() -> None:
    assert render_xattr("user.long", "ab" * 1000).endswith("… (1000 bytes)")


def test_flags_are_told_as_letters() -> None:
    assert str(Difference("/x", "flags", "", "ia")) == "/x: flags is 'ia', expected none"
