"""Runs of a fleet that is not disposable: planned, confirmed, refused, stopped between two waves."""

import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from redrill.machine.walker import walk
from redrill.model.manifest import Manifest
from selftests.support.drills import Drilled, run_pytest, run_redrill
from selftests.support.guarded import guarded_fleet, put_token
from selftests.support.orchard import SUITES, redeploys
from selftests.support.trees import root_of

DRILL = "--redrill-mode=replace"


def redrill(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "redrill.cli", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def plan(fleet: Path, *arguments: str) -> str:
    """Return the id that ``redrill plan`` prints."""
    done = redrill("plan", fleet, "--mode", "replace", "--environment", "lab", *arguments)
    assert done.returncode == 0, done.stdout + done.stderr
    found = re.search(r"--confirm (\S+)$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    return found[1]


def drill(fleet: Path, *arguments: str) -> Drilled:
    return run_redrill(fleet, fleet.parent / "reports", DRILL, *arguments)


def state_of(folder: Path) -> Manifest:
    return walk(folder / "lab", ("/",))


def assert_was_refused(run: Drilled, *words: str) -> None:
    assert run.status == 10, run.output
    assert (run.verdict["decision"], run.verdict["exit_code"]) == ("INCOMPLETE", 10)
    assert redeploys(run) == {}
    assert "Traceback" not in run.output
    assert "INTERNALERROR" not in run.output
    for word in words:
        assert word in run.output
        assert word in run.verdict["reasons"][0]


def test_a_plan_that_was_confirmed_is_done_and_a_second_time_too(tmp_path: Path) -> None:
    fleet = guarded_fleet(tmp_path)
    choice = "--redrill-endpoint=ash-1"
    confirmed = plan(fleet, "--endpoint", "ash-1")
    for _ in range(2):
        run = drill(fleet, choice, f"--redrill-confirm={confirmed}")
        assert run.status == 0, run.output
        assert redeploys(run) == {"ash-1": 1}
        assert run.records["ash-1"]["phases"][5]["detail"].startswith(f"plan {confirmed}")


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "two workers"])
def test_a_plan_that_nobody_confirmed_touches_nothing(tmp_path: Path, workers: tuple[str, ...]) -> None:
    fleet = guarded_fleet(tmp_path)
    before = state_of(tmp_path)
    run = drill(fleet, *workers)
    assert_was_refused(run, "run 'redrill plan', read it, and confirm its id")
    assert run.folder
    assert (run.folder / "plan.json").exists()
    assert state_of(tmp_path) == before


def test_a_run_for_no_environment_touches_nothing(tmp_path: Path) -> None:
    fleet = guarded_fleet(tmp_path)
    before = state_of(tmp_path)
    run = run_pytest(tmp_path / "reports", *SUITES, f"--redrill-fleet={fleet}", DRILL, "--redrill-environment=prod")
    assert_was_refused(run, "the fleet file is for 'lab', the run for 'prod'")
    assert state_of(tmp_path) == before


def test_what_may_be_down_for_longer_than_the_window_is_open_touches_nothing(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    window = f"[{{from: '{now:%H:%M}', to: '{now + timedelta(hours=1):%H:%M}'}}]"
    fleet = guarded_fleet(tmp_path, windows=window)
    fleet.write_text(fleet.read_text().replace("rto: 30s", "rto: 2h"))
    planned = redrill("plan", fleet, "--mode", "replace", "--environment", "lab")
    assert planned.returncode == 10
    assert "but 'oak-1' may be down for 2h200ms" in planned.stderr
    before = state_of(tmp_path)
    assert_was_refused(drill(fleet), "change window: it closes at", "but 'oak-1' may be down for 2h200ms")
    assert state_of(tmp_path) == before


def test_an_endpoint_that_fell_silent_since_the_plan_makes_it_another_plan(tmp_path: Path) -> None:
    fleet = guarded_fleet(tmp_path)
    confirmed = plan(fleet)
    (root_of(tmp_path, "oak-1") / "run/boot-id").unlink()
    before = state_of(tmp_path)
    run = drill(fleet, f"--redrill-confirm={confirmed}")
    assert_was_refused(run, "is not what would be done now", "the identity of 'oak-1'")
    assert state_of(tmp_path) == before


def test_to_look_at_the_tests_asks_no_guard_and_no_endpoint(tmp_path: Path) -> None:
    fleet = guarded_fleet(tmp_path, stop_conditions="[{run: 'touch asked; false'}]")
    for look in ("--collect-only", "--setup-plan"):
        assert drill(fleet, look).status == 0
    assert not (tmp_path / "asked").exists()


def test_after_a_canary_that_breaks_no_further_wave_starts(tmp_path: Path) -> None:
    fleet = guarded_fleet(tmp_path, kill_switch="{file: stop}")
    (root_of(tmp_path, "oak-1") / "etc/rc.start/99-fail").write_text("exit 1\n")
    run = drill(fleet, f"--redrill-confirm={plan(fleet)}")
    assert run.status == 14, run.output
    assert redeploys(run) == {"oak-1": 1}
    failures = {name: record["failure"]["exit_code"] for name, record in run.records.items()}
    assert failures == {"oak-1": 14, "elm-1": 15, "ash-1": 15}
    assert "the drill of 'oak-1' broke" in run.records["elm-1"]["failure"]["message"]


def test_a_kill_switch_that_is_set_during_a_drill_lets_what_was_wiped_recover_first(tmp_path: Path) -> None:
    fleet = guarded_fleet(tmp_path, kill_switch="{file: stop}")
    (root_of(tmp_path, "oak-1") / "etc/rc.start/99-stop").write_text(f"touch '{tmp_path}/stop'\n")
    run = drill(fleet, f"--redrill-confirm={plan(fleet)}")
    assert run.status == 15, run.output
    assert redeploys(run) == {"oak-1": 1}
    assert run.records["oak-1"]["failure"] is None
    assert {run.records[name]["wiped_at"] for name in ("elm-1", "ash-1")} == {None}
    decisions = {one["endpoint"]: one["decision"] for one in run.verdict["endpoints"]}
    assert decisions == {"oak-1": "APPROVE", "elm-1": "INCOMPLETE", "ash-1": "INCOMPLETE"}


def test_a_token_that_vanishes_during_the_drill_keeps_the_endpoint(tmp_path: Path) -> None:
    fleet = guarded_fleet(tmp_path, stop_conditions=f"[{{run: 'test ! -e spoil || rm -f {_token(tmp_path)}'}}]")
    confirmed = plan(fleet, "--endpoint", "oak-1")
    text = fleet.parent / "tests"
    text.mkdir()
    (text / "conftest.py").write_text(f"def pytest_collection_finish():\n    open({str(tmp_path / 'spoil')!r}, 'w')\n")
    (text / "test_own.py").write_text("def test_record(record):\n    pass\n")
    run = drill(fleet, "--redrill-endpoint=oak-1", f"--redrill-confirm={confirmed}", str(text))
    assert run.status == 10, run.output
    assert redeploys(run) == {}
    assert run.records["oak-1"]["failure"]["step"] == "arm"


def _token(folder: Path) -> Path:
    return root_of(folder, "oak-1") / "etc/redrill/allow"


def test_the_printed_token_is_the_one_that_works(tmp_path: Path) -> None:
    fleet = guarded_fleet(tmp_path)
    _token(tmp_path).unlink()
    refused = redrill("plan", fleet, "--mode", "replace", "--environment", "lab", "--endpoint", "oak-1")
    assert refused.returncode == 10
    assert "allow token of 'oak-1': the endpoint has no '/etc/redrill/allow'" in refused.stderr
    before = state_of(tmp_path)
    printed = redrill("allow", fleet, "oak-1", "--until", "2099-12-31")
    assert printed.returncode == 0, printed.stderr
    assert state_of(tmp_path) == before
    put_token(tmp_path, "oak-1", printed.stdout)
    assert plan(fleet, "--endpoint", "oak-1")


def test_a_second_drill_within_the_interval_is_refused(tmp_path: Path) -> None:
    fleet = guarded_fleet(tmp_path, min_interval="12h")
    confirmed = plan(fleet, "--endpoint", "oak-1")
    options = ("--redrill-endpoint=oak-1", f"--redrill-confirm={confirmed}")
    assert drill(fleet, *options).status == 0
    assert_was_refused(drill(fleet, *options), "not again before")
