"""Every oracle sees what was done to a system that its own real tools have made, and says when it does not know."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.globs import compile_glob
from redrill.model.manifest import Entry, compare
from redrill.model.three_way import Side, same
from redrill.model.vendor import DeviationKind, VendorFacts
from redrill.probes.observe import read_facts
from redrill.probes.vendor.catalogue import CONTENT_FACTS, VENDOR_FACTS, hear_oracles
from selftests.support.recorded import recorded_file
from selftests.support.vendor_worlds import CONFIG, LINK, PAGE, PROGRAM, WORLDS, VendorWorld, run, tear_down

PLANTED = {
    ("/usr/bin/ansible", DeviationKind.MISSING),
    ("/usr/share/nginx/conf/nginx.conf.example", DeviationKind.MODIFIED),
    ("/usr/share/nginx/extra.d/z", DeviationKind.EXTRA),
    ("/usr/share/nginx/extra.d", DeviationKind.EXTRA),
    ("/usr/bin/cryptominer", DeviationKind.EXTRA),
}

ORACLES = tuple(name for name in WORLDS if name != "image")


@pytest.fixture(params=WORLDS)
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[VendorWorld]:
    yield WORLDS[request.param](tmp_path)
    tear_down(tmp_path)


@pytest.fixture
def make_world(tmp_path: Path) -> Iterator[Callable[[str], VendorWorld]]:
    yield lambda name: WORLDS[name](tmp_path)
    tear_down(tmp_path)


def found(world: VendorWorld) -> set[tuple[str, DeviationKind]]:
    return {(each.path, each.kind) for each in world.deviations()}


def test_a_stock_system_has_no_deviation(world: VendorWorld) -> None:
    assert world.ask().is_known
    assert world.deviations() == []


def test_owner_of_each_file_is_known(world: VendorWorld) -> None:
    facts = world.ask()
    assert [facts.owner_of(path) for path in (PROGRAM, PAGE, LINK)] == [world.owner] * 3


def test_a_file_that_nobody_made_is_unowned(world: VendorWorld) -> None:
    world.real("/usr/bin/miner").write_text("x")
    assert world.ask().owner_of("/usr/bin/miner") is None


def test_another_content_of_the_same_size_is_seen(world: VendorWorld) -> None:
    world.real(PROGRAM).write_text("ruN\n")
    assert found(world) == {(PROGRAM, DeviationKind.MODIFIED)}


def test_a_missing_file_is_seen(world: VendorWorld) -> None:
    world.real(PAGE).unlink()
    assert found(world) == {(PAGE, DeviationKind.MISSING)}


def test_a_file_that_became_a_link_is_seen(world: VendorWorld) -> None:
    world.real(PROGRAM).rename(world.real("/usr/bin/other"))
    world.real(PROGRAM).symlink_to("other")
    assert found(world) == {(PROGRAM, DeviationKind.TYPE)}


def test_a_setuid_bit_is_seen(world: VendorWorld) -> None:
    world.real(PROGRAM).chmod(0o4755)
    assert (PROGRAM, DeviationKind.MODE) in found(world)


def test_a_file_that_everybody_may_change_is_seen(world: VendorWorld) -> None:
    world.real(PAGE).chmod(0o666)
    assert (PAGE, DeviationKind.MODE) in found(world)


def test_another_owner_is_seen(world: VendorWorld) -> None:
    os.chown(world.real(PAGE), 1, 1)
    assert (PAGE, DeviationKind.OWNER) in found(world)


def test_configuration_is_not_the_business_of_this_comparison(world: VendorWorld) -> None:
    world.real(CONFIG).write_text("b=2\n")
    assert found(world) == set()


def test_facts_come_back_from_the_disk_as_they_were(world: VendorWorld) -> None:
    facts = world.ask()
    assert VendorFacts.parse(facts.dump()) == facts


@pytest.mark.parametrize("name", ORACLES)
def test_asking_changes_nothing(make_world: Callable[[str], VendorWorld], name: str) -> None:
    world = make_world(name)
    before = walk(world.root, ("/",))
    world.ask()
    # The index of a write-ahead log is written by whoever reads the database.
    changed = [d for d in compare(before, walk(world.root, ("/",))) if not d.path.endswith("rpmdb.sqlite-shm")]
    assert changed == []


def hear_all(root: Path, os_release: Mapping[str, str]) -> VendorFacts:
    """Return what all oracles say of a system, asked as an observation asks them."""
    values = read_facts(LocalMachine("world", root), Deadline.after(60), VENDOR_FACTS + CONTENT_FACTS)
    return hear_oracles(values | {"os_release": os_release}, root)


@pytest.mark.parametrize("name", ORACLES)
def test_the_oracle_of_a_system_is_the_only_one_that_speaks(
    make_world: Callable[[str], VendorWorld], name: str
) -> None:
    facts = hear_all(make_world(name).root, {})
    assert (set(facts.states), facts.is_known) == ({name}, True)


def test_a_system_without_any_oracle_is_unknown(tmp_path: Path) -> None:
    facts = hear_all(tmp_path, {"ID": "arch"})
    assert not facts.is_known
    assert "no packaging system" in facts.why_unknown


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ({"ID": "debian"}, "dpkg"),
        ({"ID": "rocky", "ID_LIKE": "rhel centos fedora"}, "rpm"),
        ({"ID": "clear-linux-os"}, "swupd"),
        ({"ID": "drill", "OSTREE_VERSION": "1.0"}, "ostree"),
    ],
)
def test_an_oracle_that_must_be_there_and_is_not_is_unknown(
    tmp_path: Path, release: Mapping[str, str], name: str
) -> None:
    facts = hear_all(tmp_path, release)
    assert (set(facts.states), facts.is_known) == ({name}, False)
    assert release["ID"] in facts.why_unknown


DAMAGES = {
    "dpkg": ("var/lib/dpkg/status", "var/lib/dpkg/info"),
    "rpm": ("var/lib/rpm/rpmdb.sqlite",),
    "ostree": ("sysroot/ostree/repo/objects",),
    "swupd": ("var/lib/swupd/cache/https___cdn/manifest/10/Manifest.shop",),
}


@pytest.mark.parametrize("name", ORACLES)
def test_a_damaged_database_is_unknown_and_never_clean(make_world: Callable[[str], VendorWorld], name: str) -> None:
    world = make_world(name)
    for path in DAMAGES[name]:
        real = world.root / path
        if real.is_dir():
            shutil.rmtree(real)
        else:
            real.write_text("damaged\n" * 100)
    facts = hear_all(world.root, {})
    assert not facts.is_known, facts.states
    assert name in facts.why_unknown


def test_what_diagnose_never_looks_at_is_not_claimed_clean(make_world: Callable[[str], VendorWorld]) -> None:
    facts = make_world("swupd").ask()
    blind = [compile_glob(glob) for glob in facts.blind]
    assert all(any(glob.fullmatch(path) for glob in blind) for path in ("/etc/shadow", "/root/x", "/usr/local/bin/x"))


def test_swupd_on_an_endpoint_of_its_own_is_asked_by_diagnose(make_world: Callable[[str], VendorWorld]) -> None:
    """The client itself cannot be had here; what stands in for it replays what the real one printed."""
    world, case = make_world("swupd"), recorded_file("swupd/diagnose-drift-picky")
    client = world.root / "usr/bin/swupd"
    client.write_text(f"#!/bin/sh\ncat '{case}/stdout'\nexit $(cat '{case}/exit')\n")
    client.chmod(0o755)
    (world.root / "run").mkdir()
    facts = hear_all(world.root, {})
    assert {(each.path, each.kind) for each in facts.deviations} == PLANTED
    assert list((world.root / "run").iterdir()) == []


def test_manifests_that_diagnose_fetched_tell_the_owners(make_world: Callable[[str], VendorWorld]) -> None:
    """A freshly installed system has none of its own."""
    world, case = make_world("swupd"), recorded_file("swupd/diagnose-clean")
    client = world.root / "usr/bin/swupd"
    server = world.root.parent / "server"
    shutil.move(world.root / "var/lib/swupd/cache", server)
    copy = f"case $word in --statedir=*) cp -r '{server}' \"${{word#*=}}/cache\" ;; esac"
    client.write_text(f"#!/bin/sh\nfor word; do {copy}; done\ncat '{case}/stdout'\n")
    client.chmod(0o755)
    (world.root / "run").mkdir()
    facts = hear_all(world.root, {})
    assert (facts.is_known, facts.owner_of(PROGRAM)) == (True, "shop"), facts.states


def test_configuration_of_ostree_differs_as_its_own_tool_says(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("ostree")
    world.real("/etc/shop.conf").write_text("b=2\n")
    world.real("/etc/os-release").unlink()
    world.real("/etc/new.conf").write_text("new\n")
    sysroot = world.root / "sysroot"
    told = run("ostree", "admin", "config-diff", f"--sysroot={sysroot.resolve()}", "--os=drill")
    entries = world.files()
    ours = {
        ("M" if path in entries and default in entries else "A" if path in entries else "D", path.removeprefix("/etc/"))
        for path, default in ((path, f"/usr{path}") for path in _etc_paths(entries))
        if not same(Side.of(entries.get(path)), Side.of(entries.get(default)))
    }
    assert ours == {tuple(line.split(maxsplit=1)) for line in told.splitlines()}
    assert ours == {("M", "shop.conf"), ("D", "os-release"), ("A", "new.conf")}


def _etc_paths(entries: Mapping[str, Entry]) -> set[str]:
    defaults = {path.removeprefix("/usr") for path in entries if path.startswith("/usr/etc/")}
    return defaults | {path for path in entries if path.startswith("/etc/")}


def test_another_mode_in_a_deployment_is_told_once(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("ostree")
    world.real(PROGRAM).chmod(0o4755)
    assert found(world) == {(PROGRAM, DeviationKind.MODE)}


def test_contents_of_ostree_differ_as_its_own_tool_says(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("ostree")
    world.real(PROGRAM).write_text("other\n")
    world.real("/usr/bin/extra").write_text("extra\n")
    kinds = {each.path: each.kind for each in world.ask().deviations}
    assert kinds == {PROGRAM: DeviationKind.MODIFIED, "/usr/bin/extra": DeviationKind.EXTRA}


def test_rpm_itself_sees_what_ours_sees(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("rpm")
    world.real(PROGRAM).write_text("ruN\n")
    world.real(LINK).unlink()
    world.real(PAGE).chmod(0o600)
    command = ["rpm", "--root", str(world.root), "--dbpath", "/var/lib/rpm", "-Va", "--nomtime"]
    told = subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()
    verdicts = {f"/{path}": words.split()[0] for words, _, path in (line.partition("/") for line in told)}
    assert verdicts == {PROGRAM: "..5......", LINK: "missing", PAGE: ".M......."}
    assert found(world) == {
        (PROGRAM, DeviationKind.MODIFIED),
        (LINK, DeviationKind.MISSING),
        (PAGE, DeviationKind.MODE),
    }


def test_dpkg_looks_for_a_diverted_file_where_it_was_diverted_to(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("dpkg")
    run("dpkg-divert", "--root", world.root, "--local", "--rename", "--divert", f"{PROGRAM}.old", "--add", PROGRAM)
    world.real(PROGRAM).write_text("mine\n")
    assert found(world) == set()
    world.real(f"{PROGRAM}.old").write_text("changed\n")
    assert found(world) == {(f"{PROGRAM}.old", DeviationKind.MODIFIED)}


def test_dpkg_tells_a_changed_program_and_its_new_rights_apart(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("dpkg")
    world.real(PROGRAM).write_text("other\n")
    world.real(PROGRAM).chmod(0o4755)
    assert found(world) == {(PROGRAM, DeviationKind.MODIFIED), (PROGRAM, DeviationKind.MODE)}


def test_dpkg_expects_what_was_registered_as_an_override(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("dpkg")
    (world.root / "var/lib/dpkg/statoverride").write_text(f"daemon root 4750 {PROGRAM}\n")
    assert {kind for _, kind in found(world)} == {DeviationKind.OWNER, DeviationKind.MODE}
    os.chown(world.real(PROGRAM), 1, 0)
    world.real(PROGRAM).chmod(0o4750)
    assert found(world) == set()


def test_dpkg_does_not_miss_what_it_was_told_to_leave_out(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("dpkg")
    (world.root / "etc/dpkg/dpkg.cfg.d").mkdir(parents=True)
    (world.root / "etc/dpkg/dpkg.cfg.d/docs").write_text("path-exclude=/usr/share/shop/*\n")
    world.real(PAGE).unlink()
    assert found(world) == set()


def test_file_of_a_package_without_digests_is_not_called_clean(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("dpkg")
    (world.root / "var/lib/dpkg/info/shop.md5sums").unlink()
    assert not world.ask().paths[PROGRAM].has_digest


def test_dpkg_knows_a_merged_usr(make_world: Callable[[str], VendorWorld]) -> None:
    world = make_world("dpkg")
    (world.root / "bin").symlink_to("usr/bin")
    listing = world.root / "var/lib/dpkg/info/shop.list"
    listing.write_text(listing.read_text().replace("/usr/bin/shop", "/bin/shop"))
    facts = world.ask()
    assert [facts.owner_of(path) for path in ("/bin/shop", PROGRAM)] == ["shop", "shop"]
