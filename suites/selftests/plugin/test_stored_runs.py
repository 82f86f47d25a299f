"""What a run leaves behind, and that it can be judged again from that alone: the endpoints are gone by then."""

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from selftests.support.drills import Drilled, run_pytest
from selftests.support.orchard import ENDPOINTS, SUITES, Orchard, plant_orchard


@dataclass(frozen=True, slots=True)
class Stored:
    """A green and a red run of one fleet, and its folder, which holds no endpoint any more."""

    orchard: Orchard
    runs: Mapping[str, Drilled]


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Stored:
    orchard = plant_orchard(tmp_path_factory.mktemp("orchard"))
    green = orchard.drill(orchard.folder / "reports")
    (orchard.root("oak-1") / "opt/leak").write_text("made by hand\n")
    red = orchard.drill(orchard.folder / "reports", "-n2")
    shutil.rmtree(orchard.folder / "lab")
    orchard.fleet.unlink()
    return Stored(orchard, {"green": green, "red": red})


def judge_again(folder: Path, reports: Path, *arguments: str) -> Drilled:
    return run_pytest(reports, *SUITES, f"--redrill-record={folder}", *arguments)


def test_compliant_endpoints_are_approved(stored: Stored) -> None:
    green = stored.runs["green"]
    assert (green.status, green.verdict["decision"], green.verdict["reasons"]) == (0, "APPROVE", [])
    assert green.red == set()


def test_an_endpoint_that_is_not_compliant_is_rejected(stored: Stored) -> None:
    red = stored.runs["red"]
    assert (red.status, red.verdict["decision"]) == (1, "REJECT")
    assert red.tests("failed") == red.red == {"test_nothing_leaks[oak-1]"}
    assert len(red.verdict["reasons"]) == 1
    assert red.verdict["reasons"][0].startswith("'oak-1': 'test_nothing_leaks' failed: Endpoint 'oak-1': a redeploy")


@pytest.mark.parametrize("colour", ["green", "red"])
def test_a_run_leaves_everything_in_its_folder_for_its_owner_alone(stored: Stored, colour: str) -> None:
    folder, verdict = stored.runs[colour].folder, stored.runs[colour].verdict
    assert folder
    assert {path.name for path in folder.iterdir()} >= {
        *("fleet.json", "journal.jsonl", "records", "allure-results", "junit.xml", "summary.md", "verdict.json")
    }
    assert verdict["run"] == folder.name
    assert verdict["decision"] in (folder / "summary.md").read_text()
    results = list((folder / "allure-results").glob("*-result.json"))
    cases = list(ET.parse(folder / "junit.xml").iter("testcase"))  # noqa: S314 - pytest wrote it
    assert len(results) == len(cases) == verdict["figures"]["judgements"]
    modes = {(path.is_dir(), path.stat().st_mode & 0o7777) for path in (folder, *folder.rglob("*"))}
    assert modes == {(True, 0o700), (False, 0o600)}


def test_latest_points_to_the_newest_run(stored: Stored) -> None:
    latest = stored.orchard.folder / "reports/latest"
    assert latest.is_symlink()
    assert latest.resolve() == stored.runs["red"].folder


@pytest.mark.parametrize("colour", ["green", "red"])
def test_a_stored_run_is_judged_again_alike(stored: Stored, tmp_path: Path, colour: str) -> None:
    first = stored.runs[colour]
    assert first.folder
    again = judge_again(first.folder, tmp_path)
    assert again.status == first.status, again.output
    assert again.outcomes == first.outcomes
    assert {**again.verdict, "run": first.verdict["run"]} == first.verdict


def test_workers_judge_a_stored_run_alike(stored: Stored, tmp_path: Path) -> None:
    red = stored.runs["red"]
    again = judge_again(Path(f"{red.folder}/records"), tmp_path, "-n2")
    assert (again.status, again.outcomes) == (red.status, red.outcomes)


def test_a_part_of_a_stored_run_can_be_judged_again(stored: Stored, tmp_path: Path) -> None:
    again = judge_again(Path(f"{stored.runs['red'].folder}"), tmp_path, "--redrill-endpoint=elm-1")
    assert again.status == 0, again.output
    assert [one["endpoint"] for one in again.verdict["endpoints"]] == ["elm-1"]


def test_a_drill_that_never_ended_is_not_forgotten(stored: Stored, tmp_path: Path) -> None:
    folder = copy_of(stored.runs["green"], tmp_path)
    (folder / "records/ash-1.json").unlink()
    again = judge_again(folder, tmp_path / "reports")
    assert again.status == 6, again.output
    assert "'ash-1' has no record of a drill." in again.verdict["reasons"]


def test_a_changed_journal_is_not_believed(stored: Stored, tmp_path: Path) -> None:
    folder = copy_of(stored.runs["green"], tmp_path)
    journal = folder / "journal.jsonl"
    journal.write_text(journal.read_text().replace("oak-1", "elm-1"))
    again = judge_again(folder, tmp_path / "reports")
    assert again.status == 4, again.output
    assert "the chain is broken" in again.output


def test_a_folder_without_records_is_a_usage_error(tmp_path: Path) -> None:
    again = judge_again(tmp_path, tmp_path / "reports")
    assert again.status == 4, again.output
    assert "there are no records" in again.output


def copy_of(run: Drilled, tmp_path: Path) -> Path:
    return Path(shutil.copytree(str(run.folder), tmp_path / "copy"))


LOOKS_AWAY = """\
import pytest
from redrill.drill.evidence import read_record

@pytest.fixture
def record(request, endpoint_name):
    found = read_record(request.config.getoption("redrill_record"), endpoint_name)
    return found.model_copy(update={"markers": [m.model_copy(update={"found": m.is_survivor and m.nonce or None})
                                                for m in found.markers]})

@pytest.fixture
def redrill_run():
    return None

@pytest.fixture
def endpoint():
    return None
"""


def test_the_proof_of_redeploy_reads_the_record_of_the_run_whatever_a_conftest_says(
    stored: Stored, tmp_path: Path
) -> None:
    folder, reports = copy_of(stored.runs["green"], tmp_path), tmp_path / "reports"
    file = folder / "records/oak-1.json"
    record = json.loads(file.read_text())
    stain = next(marker for marker in record["markers"] if not marker["is_survivor"])
    stain["found"] = stain["nonce"]
    file.write_text(json.dumps(record))
    reports.mkdir()
    (reports / "conftest.py").write_text(LOOKS_AWAY)
    again = judge_again(folder, reports, "-k", "stains")
    assert again.status == 1, again.output
    assert again.tests("failed") == {"test_stains_outside_the_state_paths_are_gone[oak-1]"}
    assert len(again.tests("passed")) == len(ENDPOINTS) - 1
