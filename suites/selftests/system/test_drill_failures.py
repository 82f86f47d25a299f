"""A drill that breaks before the wipe leaves its endpoint as it found it, says why, and does not disturb the others."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from redrill.drill.engine import run_drill
from redrill.drill.journal import read_journal
from redrill.errors import Exit
from redrill.loader import load_fleet
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.model.record import Step
from redrill.model.values import Mode
from selftests.support import failing_backends
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import connect
from selftests.support.trees import root_of, tree_fleet

BROKEN, OTHERS = "oak-1", ("elm-1", "ash-1")


@pytest.fixture(scope="module", autouse=True)
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("backends")
    failing_backends.install(folder)
    with pytest.MonkeyPatch.context() as patch:
        path = (str(folder), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
        yield


def change(file: Path, endpoint: str, settings: Mapping[str, Any]) -> Path:
    """Write the fleet file anew with what an endpoint says otherwise."""
    document = yaml.safe_load(file.read_text())
    document["endpoints"][endpoint] |= settings
    changed = file.with_name("changed.yml")
    changed.write_text(json.dumps(document))
    return changed


def drill(folder: Path, settings: Mapping[str, Any]) -> Drilled:
    """Drill three directories of which one has other settings."""
    return run_redrill(change(tree_fleet(folder), BROKEN, settings), folder / "reports", "--redrill-mode=replace")


def repository(kind: str, directory: Path) -> dict[str, Any]:
    return {"repository": {"kind": kind, "directory": str(directory)}}


def markers_in(root: Path) -> list[str]:
    return [str(path) for path in root.rglob(".redrill-*")]


def test_a_backup_that_fails_leaves_no_marker_and_no_canary_behind(tmp_path: Path) -> None:
    drilled = drill(tmp_path, repository("full", tmp_path / "full"))
    assert drilled.status == Exit.BACKUP, drilled.output
    assert drilled.records[BROKEN]["failure"]["message"] == "No space is left on the device."
    assert drilled.records[BROKEN]["wiped_at"] is None
    root = root_of(tmp_path, BROKEN)
    assert markers_in(root) == []
    assert not (root / "var/lib/app/canaries").exists()


def test_the_others_are_drilled_and_judged(tmp_path: Path) -> None:
    drilled = drill(tmp_path, repository("full", tmp_path / "full"))
    assert {name: drilled.records[name]["failure"] for name in OTHERS} == dict.fromkeys(OTHERS)
    decisions = {each["endpoint"]: each["decision"] for each in drilled.verdict["endpoints"]}
    assert decisions == {BROKEN: "INCOMPLETE", **dict.fromkeys(OTHERS, "APPROVE")}


def test_an_error_that_nobody_foresaw_reaches_the_record_and_nothing_else(tmp_path: Path) -> None:
    drilled = drill(tmp_path, repository("buggy", tmp_path / "buggy"))
    failure = drilled.records[BROKEN]["failure"]
    assert (failure["step"], failure["error"], failure["message"]) == (
        Step.BACK_UP,
        "ZeroDivisionError",
        "division by zero",
    )
    assert drilled.status == Exit.INCOMPLETE, drilled.output
    assert {name: drilled.records[name]["failure"] for name in OTHERS} == dict.fromkeys(OTHERS)


def test_an_endpoint_that_vanishes_is_told_of_with_what_could_not_be_undone(tmp_path: Path) -> None:
    drilled = drill(tmp_path, repository("vanishing", tmp_path / "vanishing"))
    assert drilled.status == Exit.CLEANUP, drilled.output
    failure = drilled.records[BROKEN]["failure"]
    assert "Afterwards it could not be left as it was found" in failure["message"]
    assert drilled.folder
    events = read_journal(drilled.folder / "journal.jsonl")
    assert [event["endpoint"] for event in events if event["event"] == "stand-down failed"] == [BROKEN]
    assert not [event for event in events if (event["endpoint"], event.get("step")) == (BROKEN, "redeploy")]


def test_markers_that_were_planted_before_planting_failed_are_removed(tmp_path: Path) -> None:
    fleet = tree_fleet(tmp_path)
    root = root_of(tmp_path, BROKEN)
    shutil.rmtree(root / "srv")
    (root / "srv").symlink_to("/proc/self")  # a directory in which nobody can make a file
    drilled = run_redrill(fleet, tmp_path / "reports", "--redrill-mode=replace", f"--redrill-endpoint={BROKEN}")
    assert drilled.records[BROKEN]["failure"]["step"] == Step.PLANT, drilled.output
    assert markers_in(root) == []


def test_a_canary_that_fails_at_first_stops_those_that_work_already(tmp_path: Path) -> None:
    check = {"command": {"run": "true"}}
    works = {"write": 'echo "$REDRILL_CANARY" >>"$ROOT/var/lib/app/works"', "read": 'cat "$ROOT/var/lib/app/works"'}
    works["clear"] = 'rm "$ROOT/var/lib/app/works"'
    applications = {
        "a-works": {**check, "canary": works},
        "b-fails": {**check, "canary": {"write": "exit 3", "read": "true"}},
    }
    drilled = drill(tmp_path, {"role": None, "applications": applications})
    assert drilled.records[BROKEN]["failure"]["step"] == Step.PLANT, drilled.output
    message = "On 'oak-1' the first canary write to 'b-fails' failed: it ended with an error and said nothing"
    assert drilled.records[BROKEN]["failure"]["message"] == message
    assert not (root_of(tmp_path, BROKEN) / "var/lib/app/works").exists()


class GoneTerminal:
    """A progress display whose terminal has gone away."""

    def phase_started(self, *_words: object) -> None:
        raise BrokenPipeError

    def phase_ended(self, *_words: object) -> None:
        raise OSError(5, "Input/output error")

    def drill_ended(self, *_words: object) -> None:
        raise ValueError("I/O operation on closed file.")


def test_a_terminal_that_has_gone_away_breaks_no_drill(tmp_path: Path) -> None:
    fleet = load_fleet(tree_fleet(tmp_path))
    run_dir = tmp_path / "run"
    run_dir.mkdir()
    records = run_drill(fleet, fleet.endpoints, Mode.OBSERVE, run_dir, GoneTerminal())
    assert [(record.endpoint, record.failure) for record in records] == [
        (name, None) for name in (endpoint.name for endpoint in fleet.endpoints)
    ]


def test_applications_run_again_after_a_backup_that_failed(lab: Fleet, tmp_path: Path) -> None:
    changed = change(lab.source, "kv-1", repository("full", tmp_path / "full"))
    drilled = run_redrill(changed, tmp_path / "reports", "--redrill-mode=replace", "--redrill-endpoint=kv-1")
    assert drilled.status == Exit.BACKUP, drilled.output
    machine = connect(lab, "kv-1")
    try:
        left = "ls -d /.redrill-* /*/.redrill-* /usr/local/.redrill-* /var/lib/.redrill-* 2>/dev/null | wc -l"
        canaries = "REDISCLI_AUTH=$(cat /etc/shop/redis-password) redis-cli -e -n 1 DBSIZE"
        active = "systemctl is-active redis-server"
        seen = [result.checked().text for result in machine.batch([active, left, canaries], Deadline.after(30))]
    finally:
        machine.close()
    assert seen == ["active", "0", "0"]


def test_a_unit_that_did_not_run_before_the_drill_is_not_started(lab: Fleet, tmp_path: Path) -> None:
    units = {"applications": {"shop": {"units": ["nginx.service", "redis-server.service"]}}}
    changed = change(lab.source, "web-1", {**repository("full", tmp_path / "full"), **units})
    drilled = run_redrill(changed, tmp_path / "reports", "--redrill-mode=replace", "--redrill-endpoint=web-1")
    assert drilled.status == Exit.BACKUP, drilled.output
    machine = connect(lab, "web-1")
    try:
        assert machine.run("systemctl is-active nginx redis-server", Deadline.after(30)).text == "active\ninactive"
    finally:
        machine.close()
