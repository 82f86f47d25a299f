"""The lab comes back from the repositories that owners have, restic and borg; from a damaged one nothing is wiped."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.provisioners.nspawn_place import LabPlace
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import connect, lab_fleet, running_lab
from selftests.support.repository_makers import MAKERS, PASSWORD, VARIABLE, damage_contents

LAB, SUBNET = "selftest-tools", "198.18.44"
TAR = "repository: {{kind: tar, directory: /var/lib/redrill/labs/{}/backups}}"
ENDPOINTS = ("web-1", "db-1", "kv-1")
OWNERS = "    backup: {snapshot: {latest: true}}\n"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with pytest.MonkeyPatch.context() as patch, running_lab(tmp_path_factory.mktemp("lab"), LAB, SUBNET) as fleet:
        patch.setenv(VARIABLE, PASSWORD)
        patch.setenv("BORG_BASE_DIR", str(tmp_path_factory.mktemp("borg")))
        yield fleet


@pytest.fixture(scope="module", params=["restic", "borg"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, lab: Fleet) -> Path:
    """The lab's fleet file with a repository of a kind instead of archives; its owner has backed web-1 up already."""
    folder: Path = tmp_path_factory.mktemp(request.param)
    maker = MAKERS[request.param]
    settings = {"kind": request.param, **maker.make(folder), "lock_wait": "1m"}
    assert maker.back_up
    maker.back_up(folder, LabPlace(lab.name).endpoint("web-1").merged, ("nightly",))
    if request.param == "borg":
        settings["host"] = os.uname().nodename  # which borg writes into its archives, whatever they are of
    file = lab_fleet(folder, LAB, SUBNET)
    text = file.read_text()
    assert text.count(TAR.format(LAB)) == len(ENDPOINTS)
    file.write_text(text.replace(TAR.format(LAB), f"repository: {json.dumps(settings)}"))
    return file


def boots(lab: Fleet) -> dict[str, str]:
    found = {}
    for name in ENDPOINTS:
        machine = connect(lab, name)
        found[name] = machine.run("cat /proc/sys/kernel/random/boot_id", Deadline.after(30)).checked().text
        machine.close()
    return found


def drill(file: Path, *arguments: str) -> Drilled:
    return run_redrill(file, file.parent / "reports", "--redrill-mode=replace", *arguments)


def test_a_snapshot_that_is_there_already_is_restored_when_the_fleet_file_says_so(place: Path) -> None:
    file = place.with_name("owners.yml")
    file.write_text(place.read_text().replace("  web:\n", f"  web:\n{OWNERS}"))
    drilled = drill(file, "--redrill-endpoint=web-1")
    assert drilled.status == 0, drilled.output[-6000:]
    facts = drilled.records["web-1"]["snapshot"]
    assert not facts["is_own"]
    assert facts["taken"] < drilled.records["web-1"]["started"]
    assert drilled.outcomes["test_survivors_in_the_state_paths_came_back[web-1]"] == "skipped"
    assert drilled.outcomes["test_restored_trees_equal_the_backup[web-1]"] == "passed"
    assert {marker["is_survivor"] for marker in drilled.records["web-1"]["markers"]} == {False}
    plan = subprocess.run(
        [Path(sys.executable).with_name("redrill"), "plan", file, "--mode", "replace", "--environment", "lab"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the owner's snapshot" in plan.stdout, plan.stdout + plan.stderr


def test_the_lab_comes_back_from_it(place: Path, lab: Fleet) -> None:
    before = boots(lab)
    drilled = drill(place)
    assert drilled.status == 0, drilled.output[-6000:]
    assert drilled.verdict["decision"] == "APPROVE"
    assert not before.items() & boots(lab).items()


def test_from_a_damaged_one_nothing_is_wiped(place: Path, lab: Fleet) -> None:
    before = boots(lab)
    damage_contents(place.parent)
    drilled = drill(place)
    assert drilled.status == 12, drilled.output[-6000:]
    assert {record["wiped_at"] for record in drilled.records.values()} == {None}
    assert boots(lab) == before
