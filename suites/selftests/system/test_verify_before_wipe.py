"""Bad inputs 33 to 64, each in a real drill: a backup that is spoilt after its making never leads to a wipe.

One process drills an endpoint for each entry of the catalogue, and one whose backup is good.
"""

import json
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyrage
import pytest
import yaml

from redrill.drill.journal import read_journal
from redrill.drill.resume import find_quarantined
from redrill.lab.trees import bring_up_tree, trees_of
from redrill.loader import load_fleet
from redrill.machine.walker import walk
from redrill.model.manifest import Manifest, compare
from redrill.model.record import Step
from redrill.model.values import STATE_PATHS, printable
from selftests.support import damaging_backend
from selftests.support.bad_backups import CATALOGUE, MISSING, NUMBERS, BadBackup
from selftests.support.drills import Drilled, run_pytest
from selftests.support.trees import root_of, tree_fleet

FLEET, GOOD = "spoilt.yml", "good"
ALL = (*CATALOGUE, *MISSING)
SINGLE = {33, 43, 52, 61, 63, 64}
"""Some numbers that are drilled once more, each alone in a process, whose exit status then is that of the one."""

ALONE = [next(bad for bad in CATALOGUE if bad.number == number) for number in sorted(SINGLE)]
ONE_TEST = ("--pyargs", "redrill_suites.test_redeploy", "-k", "test_drill_runs_to_its_end")
"""What is judged matters little here, and every test of the suites for every endpoint would take a minute."""


@dataclass(frozen=True)
class Endpoint:
    """What only a redeploy changes (the boot id, the directory that is the root), and all that must not get lost."""

    boot_id: str
    inode: int
    state: Manifest

    @classmethod
    def of(cls, folder: Path, name: str) -> "Endpoint":
        root = root_of(folder, name)
        return cls((root / "run/boot-id").read_text(), root.stat().st_ino, walk(root, STATE_PATHS))

    def unlike(self, other: "Endpoint") -> list[str]:
        """Return what differs, but for the times of directories in which something was planted and removed again."""
        own, others = (self.boot_id, self.inode), (other.boot_id, other.inode)
        state = [str(d) for d in compare(self.state, other.state) if d.attribute != "mtime_ns"]
        return [*([f"{own} became {others}"] if own != others else []), *state]


@dataclass(frozen=True)
class Outcome:
    """One drill of all endpoints, and what they were before."""

    drilled: Drilled
    folder: Path
    before: dict[str, Endpoint]

    @property
    def destroyed(self) -> set[str]:
        """The endpoints for which anything was called that destroys, as the provisioner itself has noted it."""
        calls = (self.folder / "lab/calls").read_text()
        return {line.split()[0] for line in calls.splitlines()}

    def steps(self, name: str) -> dict[str, set[str]]:
        """Return the outcomes and intents of an endpoint by step, as the journal has them."""
        assert self.drilled.folder
        found = defaultdict[str, set[str]](set)
        for event in read_journal(self.drilled.folder / "journal.jsonl"):
            if event["endpoint"] == name and "step" in event:
                found[event["step"]].add(event.get("outcome", event["event"]))
        return found


def repository_of(folder: Path, bad: BadBackup) -> dict[str, Any]:
    repository: dict[str, Any] = {"kind": "damaging", "directory": str(folder / "lab/backups")}
    if bad.needs == "copy":
        repository["copies"] = [str(folder / "lab/second")]
    if bad.needs == "key":
        identity, name = pyrage.x25519.Identity.generate(), f"{bad.name}.key"
        (folder / "keys" / name).write_text(str(identity))
        repository |= {"recipients": [str(identity.to_public())], "identity": {"file": str(folder / "lab" / name)}}
    return repository


def write_fleet(folder: Path) -> None:
    """Bring up an endpoint for each entry and a good one; afterwards they are destroyed by the watched provisioner."""
    fleet = yaml.safe_load(tree_fleet(folder).read_text())
    (folder / "keys").mkdir()
    good = {"role": "app", "repository": {"kind": "damaging", "directory": str(folder / "lab/backups")}}
    fleet["endpoints"] = {bad.name: {"role": "app", "repository": repository_of(folder, bad)} for bad in ALL}
    fleet["endpoints"][GOOD] = good
    fleet["guards"]["limits"]["most_endpoints"] = len(ALL) + 1
    fleet["guards"]["waves"] = {"canary": 0, "size": 12, "stop_after_failures": len(ALL) + 1}
    file = folder / FLEET
    file.write_text(json.dumps(fleet))
    loaded = load_fleet(file)
    for endpoint in trees_of(loaded):
        bring_up_tree(loaded, endpoint, lambda _line: None)
    fleet["defaults"]["provisioner"]["kind"] = "watched"
    file.write_text(json.dumps(fleet))


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("spoilt")
    damaging_backend.install(folder / "backends")
    with pytest.MonkeyPatch.context() as patch:
        places = (str(folder / "backends"), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
        patch.syspath_prepend(folder / "backends")
        write_fleet(folder)
        before = {name: Endpoint.of(folder, name) for name in (GOOD, *(bad.name for bad in ALL))}
        yield Outcome(drill(folder, "reports"), folder, before)


def drill(folder: Path, reports: str, *arguments: str) -> Drilled:
    """Drill with every key in its place; a spoilt one stays so, and no fleet file is read without."""
    shutil.copytree(folder / "keys", folder / "lab", dirs_exist_ok=True)
    options = ("-p", "no:cacheprovider", f"--redrill-fleet={folder / FLEET}", "--redrill-mode=replace")
    return run_pytest(folder / reports, *ONE_TEST, *options, *arguments)


def test_the_catalogue_holds_every_number_from_33_to_64_and_no_other() -> None:
    assert sorted({bad.number for bad in CATALOGUE}) == list(NUMBERS)
    assert len({bad.name for bad in ALL}) == len(ALL)


def test_the_run_ends_with_the_status_of_a_backup_that_cannot_be_restored(outcome: Outcome) -> None:
    assert outcome.drilled.status == 12, outcome.drilled.output[-3000:]
    assert set(outcome.drilled.records) == {GOOD, *(bad.name for bad in ALL)}


def test_the_endpoint_with_a_good_backup_is_wiped_and_comes_back(outcome: Outcome) -> None:
    record, now = outcome.drilled.records[GOOD], Endpoint.of(outcome.folder, GOOD)
    assert record["failure"] is None
    assert outcome.before[GOOD].boot_id != now.boot_id


def test_nothing_that_destroys_was_called_but_for_the_good_one(outcome: Outcome) -> None:
    assert outcome.destroyed == {GOOD}
    assert find_quarantined(outcome.folder / "reports/runs") == []


@pytest.mark.parametrize("bad", ALL, ids=str)
def test_a_bad_backup_stops_the_drill_before_the_wipe(outcome: Outcome, bad: BadBackup) -> None:
    record = outcome.drilled.records[bad.name]
    failure = record["failure"]
    assert (failure["step"], failure["error"], failure["exit_code"]) == (bad.step, "BackupError", 12), failure
    assert record["wiped_at"] is None
    steps = outcome.steps(bad.name)
    assert steps[bad.step] == {"intent", "failed"}
    assert not {Step.REDEPLOY, Step.RESTORE} & set(steps)
    assert outcome.before[bad.name].unlike(Endpoint.of(outcome.folder, bad.name)) == []


@pytest.mark.parametrize("bad", ALL, ids=str)
def test_its_message_names_the_endpoint_what_is_wrong_and_what_to_do(outcome: Outcome, bad: BadBackup) -> None:
    message = outcome.drilled.records[bad.name]["failure"]["message"]
    assert f"'{bad.name}'" in message
    assert re.search(bad.words, message), message
    assert "drill again" in message
    told = printable(f"'{bad.name}' failed in phase '{bad.step.value}': {message}")
    assert told in outcome.drilled.verdict["reasons"]


@pytest.mark.parametrize("bad", ALONE, ids=str)
def test_alone_in_its_process_it_is_exit_12(outcome: Outcome, bad: BadBackup) -> None:
    drilled = drill(outcome.folder, bad.name, f"--redrill-endpoint={bad.name}")
    assert drilled.status == 12, drilled.output[-3000:]
    assert re.search(bad.words, drilled.records[bad.name]["failure"]["message"])
    assert outcome.destroyed == {GOOD}
