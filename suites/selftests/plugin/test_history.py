"""What drills leave in the ledger, what later ones are compared with, and the picture that a failure shows."""

import json
import sqlite3
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from redrill.drill.crash import VARIABLE
from redrill.ledger.sqlite import SqliteLedger
from selftests.measurement_samples import measure
from selftests.support.drills import Drilled, plain_environment, resume_run, run_pytest
from selftests.support.orchard import ENDPOINTS, SUITES, Orchard, plant_orchard

SLOWED = "test_recovery_has_not_slowed_down[oak-1-app]"
APPLICATIONS = {("oak-1", "app"), ("ash-1", "app")}


@dataclass(frozen=True, slots=True)
class Drills:
    """A fleet with a history: a first drill, one of a slowed down oak-1, and one whose rows the ledger refuses."""

    orchard: Orchard
    runs: Mapping[str, Drilled]

    @property
    def reports(self) -> Path:
        return self.orchard.folder / "reports"

    @property
    def rows(self) -> set[tuple[str, str, str]]:
        """The run, endpoint and application of each row."""
        found = SqliteLedger({}, self.reports).history("tree")
        return {(each.run, each.endpoint, each.application) for each in found}


@pytest.fixture(scope="module")
def drills(tmp_path_factory: pytest.TempPathFactory) -> Drills:
    orchard = plant_orchard(tmp_path_factory.mktemp("orchard"))
    reports = orchard.folder / "reports"
    first = orchard.drill(reports)
    usual = [measure(number, 0.2, fleet="tree", endpoint="oak-1", application="app") for number in range(1, 6)]
    SqliteLedger({}, reports).append(usual)
    (orchard.root("oak-1") / "etc/rc.start/70-slow").write_text("sleep 1.5\n")
    slow = orchard.drill(reports, "-n2")
    return Drills(orchard, {"first": first, "slow": slow})


def pictures(run: Drilled, test: str) -> list[str]:
    """Return the pictures that are attached to the result of a test."""
    assert run.folder
    results = run.folder / "allure-results"
    for file in results.glob("*-result.json"):
        result = json.loads(file.read_text())
        endpoint = {each["name"]: each["value"] for each in result["parameters"]}.get("endpoint", "").strip("'")
        if result["fullName"].endswith(f"#{test.partition('[')[0]}") and f"[{endpoint}" in test:
            attached = [each for each in result.get("attachments", ()) if each["type"] == "image/svg+xml"]
            return [(results / each["source"]).read_text() for each in attached]
    raise AssertionError(f"there is no result of {test}")


def test_each_drill_is_one_row_for_each_application(drills: Drills) -> None:
    runs = {run.folder.name for run in drills.runs.values() if run.folder}
    assert {row for row in drills.rows if row[0] in runs} == {(run, *each) for run in runs for each in APPLICATIONS}


def test_the_ledger_knows_the_verdict_and_the_image(drills: Drills) -> None:
    run = drills.runs["slow"].folder
    assert run
    rows = {each.endpoint: each for each in SqliteLedger({}, drills.reports).history("tree") if each.run == run.name}
    assert {name: row.verdict for name, row in rows.items()} == {"oak-1": "REJECT", "ash-1": "APPROVE"}
    assert rows["ash-1"].image == "tree 2026.11.1"


def test_judging_again_is_no_drill(drills: Drills, tmp_path: Path) -> None:
    rows = drills.rows
    again = run_pytest(tmp_path, *SUITES, f"--redrill-record={drills.runs['first'].folder}")
    assert again.status == 0, again.output
    assert drills.rows == rows
    assert not (tmp_path / "ledger.sqlite").exists()


def test_a_first_drill_has_nothing_to_be_compared_with(drills: Drills) -> None:
    first = drills.runs["first"]
    assert first.status == 0, first.output
    assert first.outcomes[SLOWED] == "skipped"


def test_a_recovery_that_has_slowed_down_is_red_and_nothing_else_is(drills: Drills) -> None:
    slow = drills.runs["slow"]
    assert (slow.status, slow.red) == (1, {SLOWED}), slow.output
    (reason,) = slow.verdict["reasons"]
    assert "application 'app' recovers slower than before" in reason


def test_it_is_red_for_ever_whatever_becomes_of_the_ledger(drills: Drills, tmp_path: Path) -> None:
    again = run_pytest(tmp_path, *SUITES, f"--redrill-record={drills.runs['slow'].folder}", "--redrill-endpoint=oak-1")
    assert (again.status, again.red) == (1, {SLOWED}), again.output


def test_a_failure_shows_the_recovery_as_a_picture(drills: Drills) -> None:
    (picture,) = pictures(drills.runs["slow"], SLOWED)
    assert (ET.fromstring(picture).findtext("{*}title") or "").startswith("oak-1: back in ")  # noqa: S314 - our own
    assert pictures(drills.runs["first"], SLOWED) == []


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_the_picture_of_each_endpoint_is_part_of_the_report_and_the_evidence(drills: Drills, endpoint: str) -> None:
    first = drills.runs["first"]
    assert first.folder
    file = first.folder / "records" / endpoint / "timeline.svg"
    assert pictures(first, f"test_drill_runs_to_its_end[{endpoint}]") == [file.read_text()]
    assert f"`records/{endpoint}/timeline.svg`" in (first.folder / "summary.md").read_text()


def redrill_history(drills: Drills, *arguments: str) -> str:
    command = [str(Path(sys.executable).with_name("redrill")), "history", str(drills.orchard.fleet), *arguments]
    folder = drills.orchard.folder
    done = subprocess.run(command, cwd=folder, env=plain_environment(), capture_output=True, text=True, check=True)
    return done.stdout


def test_the_history_of_a_fleet_is_a_table(drills: Drills) -> None:
    lines = [line.replace("│", "|").split("|")[1:-1] for line in redrill_history(drills).splitlines() if "app" in line]
    cells = {row[0].strip(): [cell.strip() for cell in row[1:]] for row in lines[1:]}
    assert cells.keys() == {"ash-1", "oak-1"}
    assert cells["oak-1"][:4] == ["app", "replace", "7", "0.2 s"]
    assert cells["ash-1"][2] == "2"
    assert cells["oak-1"][7].startswith("+")


def test_the_history_of_one_endpoint_is_told_as_json_with_every_part(drills: Drills) -> None:
    told = json.loads(redrill_history(drills, "ash-1", "--json"))
    assert [(each["endpoint"], each["fleet"]) for each in told] == [("ash-1", "tree")] * 2


def test_an_endpoint_without_a_drill_has_no_history(drills: Drills) -> None:
    assert redrill_history(drills, "elm-1") == "No drill of 'elm-1' is in the ledger of 'reports' yet.\n"


def test_a_drill_that_died_and_was_resumed_is_one_row_whose_time_does_not_count(
    drills: Drills, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, "ash-1:redeploy:done")
        died = drills.orchard.drill(tmp_path, "--redrill-endpoint=ash-1")
    assert (died.status, died.folder is not None) == (137, True), died.output
    resumed = resume_run(died.folder or tmp_path, tmp_path)
    assert resumed.status == 0, resumed.output
    (row,) = SqliteLedger({}, tmp_path).history("tree")
    assert (row.endpoint, row.verdict, row.is_interrupted) == ("ash-1", "APPROVE", True)


def test_a_ledger_that_takes_nothing_is_a_warning_and_no_verdict(drills: Drills, tmp_path: Path) -> None:
    SqliteLedger({}, tmp_path).append([measure()])
    with sqlite3.connect(tmp_path / "ledger.sqlite") as ledger:
        refuse = "SELECT RAISE(ABORT, 'the shelf is full')"
        ledger.execute(f"CREATE TRIGGER refuse BEFORE INSERT ON redrill_recoveries BEGIN {refuse}; END")
    run = drills.orchard.drill(tmp_path, "--redrill-endpoint=ash-1")
    assert (run.status, run.verdict["decision"]) == (0, "APPROVE"), run.output
    (warning,) = run.verdict["warnings"]
    assert warning.startswith("The measurements of this run are not in the ledger: ")
    assert "the shelf is full" in warning
    assert "  * The measurements of this run" in run.output


def test_a_ledger_that_cannot_be_read_leaves_the_comparison_open(drills: Drills, tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_bytes(b"this is no ledger" * 1000)
    run = drills.orchard.drill(tmp_path, "--redrill-endpoint=ash-1")
    assert (run.status, run.red) == (6, {"test_recovery_has_not_slowed_down[ash-1-app]"}), run.output
    assert "Nobody knows how long 'app' took before" in run.verdict["reasons"][0]
