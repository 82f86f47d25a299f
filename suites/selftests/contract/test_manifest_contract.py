"""Both ways of reading a manifest, the walker and the shell program, say the same of the same tree."""

import os
from pathlib import Path

import pytest

from redrill.errors import CommandError, MachineError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.ssh_machine import SshMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.manifest import EntryKind, Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.probes.files import read_manifest, receive_manifest
from selftests.support.hard_tree import ACCESS, DEFAULT, TIMES, as_nobody, build_hard_tree, nobodys_folder
from selftests.support.sshd import running_sshd
from selftests.support.tool_machine import machine_with, machine_without

BUDGET = 60.0


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    build_hard_tree(tmp_path / "tree")
    return tmp_path / "tree"


def receive(machine: LocalMachine, *paths: str, skip: tuple[str, ...] = ()) -> Manifest:
    return receive_manifest(machine, paths or STATE_PATHS, skip, Deadline.after(BUDGET))


def both(tree: Path, *paths: str, skip: tuple[str, ...] = ()) -> Manifest:
    """Return the manifest of both ways after checking that it is one."""
    walked = walk(tree, paths or STATE_PATHS, skip)
    received = receive(LocalMachine("tree", tree), *paths, skip=skip)
    assert compare(walked, received) == []
    assert walked == received
    return walked


def test_both_ways_see_the_same_hard_tree(tree):
    assert len(both(tree).entries) > 50


def test_both_ways_see_the_same_from_the_root_on(tree):
    assert {"/", "/home", "/etc/passwd"} <= both(tree, "/").entries.keys()


def test_paths_that_contain_each_other_change_nothing(tree):
    assert both(tree, "/", "/home", "/home/user") == both(tree, "/")


def test_a_path_that_is_not_there_has_no_entry_and_is_not_unreadable(tree):
    assert both(tree, "/nowhere") == Manifest({})


def test_a_path_that_is_a_link_is_not_followed(tree):
    (tree / "link").symlink_to("home")
    assert list(both(tree, "/link").entries) == ["/link"]


def test_a_skipped_directory_is_left_out_with_all_below(tree):
    found = both(tree, "/", skip=("/home/user/links", "/var"))
    assert not [path for path in found.entries if path.startswith(("/home/user/links", "/var"))]
    assert "/home/user/plain" in found.entries


def test_a_skipped_path_is_no_pattern(tree):
    for name in ("s*", "sx", "[a]", "a", "b\\", "b"):
        (tree / name).mkdir()
    found = both(tree, "/", skip=("/s*", "/[a]", "/b\\"))
    assert {"/sx", "/a", "/b"} <= found.entries.keys()
    assert not {"/s*", "/[a]", "/b\\"} & found.entries.keys()


def test_names_are_bytes(tree):
    names = {path.rpartition("/")[2].encode("utf-8", "surrogateescape") for path in both(tree).entries}
    assert {b"new\nline", b"tab\t", b"\xff\xfe-not-utf8", b"-rf", b"$(x)", b"b\\s", b"'q\""} <= names


def test_times_are_exact_to_the_nanosecond_also_before_1970(tree):
    entries = both(tree).entries
    assert tuple(entries[f"/home/user/time-{number}"].mtime_ns for number in range(6)) == TIMES


def test_attributes_and_acls_are_their_bytes(tree):
    entries = both(tree).entries
    xattrs = dict(entries["/home/user/attributes"].xattrs)
    assert xattrs["user.empty"] == ""
    assert xattrs["user.binary"] == bytes(range(256)).hex()
    assert xattrs["user.a=b%3D \\ \n\udcff"] == b"odd".hex()
    assert xattrs["system.posix_acl_access"] == ACCESS.hex()
    assert dict(entries["/home/user/acl"].xattrs)["system.posix_acl_default"] == DEFAULT.hex()


def test_hard_links_are_grouped_under_the_first_name_in_byte_order(tree):
    entries = both(tree).entries
    group = {path for path, entry in entries.items() if entry.link_group == "/home/user/a-hard-link-that-sorts-first"}
    assert group == {"/home/user/a-hard-link-that-sorts-first", "/home/user/links/hard", "/home/user/plain"}


def test_a_hard_link_whose_other_name_is_outside_is_no_group(tree):
    assert both(tree, "/home/user/links").entries["/home/user/links/hard"].link_group is None


def test_every_kind_of_file_is_told_apart(tree):
    wanted = {EntryKind.FILE, EntryKind.DIRECTORY, EntryKind.SYMLINK, EntryKind.FIFO, EntryKind.SOCKET}
    if os.geteuid() == 0:
        wanted |= {EntryKind.BLOCK, EntryKind.CHARACTER}
    assert {entry.kind for entry in both(tree).entries.values()} == wanted


def test_other_file_systems_are_not_entered_unless_they_are_asked_for():
    machine = LocalMachine("here", Path("/"))
    for found in (walk(Path("/"), ["/dev"]), receive(machine, "/dev")):
        assert "/dev/pts" in found.entries
        assert "/dev/pts/ptmx" not in found.entries
    for found in (walk(Path("/"), ["/dev", "/dev/pts"]), receive(machine, "/dev", "/dev/pts")):
        assert "/dev/pts/ptmx" in found.entries


def test_what_a_user_may_not_read_is_named_by_both_ways():
    with nobodys_folder() as folder:

        def look() -> tuple[Manifest, Manifest]:
            build_hard_tree(folder / "tree")
            for name in ("home/user/secret", "home/user/it's \\ \n secret"):
                (folder / "tree" / name).mkdir()
                (folder / "tree" / name / "below").touch()
                (folder / "tree" / name).chmod(0)
            (folder / "tree/etc/shadow").write_text("hidden")
            (folder / "tree/etc/shadow").chmod(0)
            found = walk(folder / "tree", STATE_PATHS), receive(LocalMachine("tree", folder / "tree"))
            for hidden in (folder / "tree/home/user").glob("*secret"):
                hidden.chmod(0o700)
            return found

        walked, received = as_nobody(look)
    assert walked.unreadable == ("/etc/shadow", "/home/user/it's \\ \n secret", "/home/user/secret")
    assert received == walked
    assert walked.entries["/etc/shadow"].sha256 is None


def test_a_file_that_vanishes_meanwhile_has_no_entry(tree, tmp_path):
    script = 'rm -f ./etc/passwd; PATH=${PATH#*:}; exec sha256sum "$@"'
    found = receive(machine_with("sha256sum", script, tree, tmp_path / "tools"))
    assert "/etc/passwd" not in found.entries
    assert found.unreadable == ()


def test_a_file_that_cannot_be_hashed_is_unreadable(tree, tmp_path):
    found = receive(machine_with("sha256sum", "exit 1", tree, tmp_path / "tools"))
    assert "/etc/passwd" in found.unreadable


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A tree with more files than sha256sum is taken for, and no name that keeps openssl out."""
    folder = tmp_path / "plain/etc"
    folder.mkdir(parents=True)
    for number in range(40):
        (folder / f"file {number}\\").write_bytes(b"x" * number)
    return tmp_path / "plain"


def test_openssl_says_what_sha256sum_says(plain, tmp_path):
    machine = machine_with("openssl", f'echo used >>"{tmp_path}/used"; exec REAL "$@"', plain, tmp_path / "tools")
    assert receive(machine) == walk(plain, STATE_PATHS)
    assert (tmp_path / "used").exists()


@pytest.mark.parametrize("failure", ["exit 1", 'REAL "$@"; exit 1', 'REAL "$@" | head -n 7; exit 1', "exit 127"])
def test_where_openssl_fails_sha256sum_is_asked(plain, tmp_path, failure):
    assert receive(machine_with("openssl", failure, plain, tmp_path / "tools")) == walk(plain, STATE_PATHS)


def test_a_big_file_is_like_the_others(plain):
    with (plain / "etc/big").open("wb") as file:
        file.truncate(20_000_000)
    assert receive(LocalMachine("tree", plain)) == walk(plain, STATE_PATHS)


@pytest.mark.parametrize("count", [3, 40])
@pytest.mark.parametrize("line", [f"{'0' * 64} *./etc/passwd", f"{'0' * 64}  ./etc/passwd", "# file: ./etc/passwd"])
def test_no_name_speaks_for_another_file(plain, line, count):
    for path in list((plain / "etc").iterdir())[count:]:
        path.unlink()
    (plain / "etc/passwd").write_text("root\n")
    liar = plain / "etc" / f"a\n{line}"
    liar.parent.mkdir(parents=True)
    liar.write_text("lies\n")
    assert receive(LocalMachine("tree", plain)) == walk(plain, STATE_PATHS)


def test_what_find_says_beyond_a_path_is_kept_as_unreadable(tree, tmp_path):
    found = receive(machine_with("find", 'REAL "$@"; echo "find: something broke" >&2', tree, tmp_path / "tools"))
    assert "find: something broke" in found.unreadable


def test_without_getfattr_attributes_are_unknown_and_nothing_else_changes(tree, tmp_path):
    found = receive(machine_without("getfattr", tree, tmp_path / "tools"))
    assert not found.has_xattrs
    assert compare(walk(tree, STATE_PATHS), found) == []


def test_without_zstd_nothing_changes(tree, tmp_path):
    assert receive(machine_without("zstd", tree, tmp_path / "tools")) == walk(tree, STATE_PATHS)


def test_without_a_tool_that_it_needs_the_error_names_it(tree, tmp_path):
    with pytest.raises(CommandError, match="'sha256sum', which is missing"):
        receive(machine_without("sha256sum", tree, tmp_path / "tools"))


@pytest.mark.parametrize("percent", [0, 50, 99])
def test_a_manifest_that_is_cut_off_is_an_error(tree, tmp_path, percent):
    whole = tmp_path / "whole"
    script = f'REAL "$@" > "{whole}"; exec head -c $(($(stat -c %s "{whole}") * {percent} / 100)) "{whole}"'
    with pytest.raises(MachineError, match="ended early"):
        receive(machine_with("zstd", script, tree, tmp_path / "tools"))


def test_nothing_is_changed_by_looking(tree):
    before = {path: os.lstat(path) for path in tree.rglob("*")}
    receive(LocalMachine("tree", tree))
    after = {path: os.lstat(path) for path in tree.rglob("*")}
    assert [(info.st_mtime_ns, info.st_ctime_ns) for info in after.values()] == [
        (info.st_mtime_ns, info.st_ctime_ns) for info in before.values()
    ]


def test_a_directory_is_walked_and_a_live_system_is_asked(tree, tmp_path):
    directory = machine_with("find", "exit 1", tree, tmp_path / "tools")
    assert read_manifest(directory, STATE_PATHS, (), Deadline.after(BUDGET)) == walk(tree, STATE_PATHS)
    with running_sshd(tmp_path / "sshd") as sshd:
        machine = SshMachine("live", sshd.ssh(), sshd.location)
        try:
            found = read_manifest(machine, (str(tree),), (), Deadline.after(BUDGET))
        finally:
            machine.close()
    assert found == walk(Path("/"), (str(tree),))
