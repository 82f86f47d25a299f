"""A controller killed at any moment of a drill of real endpoints: the resume ends with APPROVE, all data is there."""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrill.model.deadline import Deadline, pause
from redrill.model.fleet import Fleet
from selftests.support.drills import resume_run
from selftests.support.labs import connect, running_lab

KILLS = int(os.environ.get("REDRILL_SELFTEST_KILLS", "5"))
"""How many drills are killed; each takes about half a minute."""

LONGEST = 14.0
"""Seconds after the first line of the journal; now and then the drill is over before, a moment like any other."""


@pytest.fixture(scope="module")
def killed_lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_lab(tmp_path_factory.mktemp("killed"), "killed", "198.18.70") as fleet:
        yield fleet


def start_drill(fleet: Fleet, reports: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", "--pyargs", "redrill_suites", "-p", "no:cacheprovider", "-q"]
    options = [f"--redrill-fleet={fleet.source}", f"--redrill-reports={reports}", "--redrill-environment=lab"]
    reports.mkdir(parents=True)
    with (reports / "output").open("wb") as output:
        return subprocess.Popen(
            [*command, *options, "--redrill-mode=replace"], cwd=reports, stdout=output, stderr=output
        )


def wait_for_journal(reports: Path) -> Path:
    deadline = Deadline.after(60)
    while not deadline.is_over:
        found = list(reports.glob("runs/*/journal.jsonl"))
        if found:
            return found[0].parent
        pause(0.02)
    raise AssertionError((reports / "output").read_text())


@pytest.mark.parametrize("seed", range(KILLS))
def test_a_killed_drill_is_finished_by_a_resume(killed_lab: Fleet, tmp_path: Path, seed: int) -> None:
    moment = random.Random(seed * 7919 + 17).uniform(0, LONGEST)
    reports = tmp_path / "reports"
    process = start_drill(killed_lab, reports)
    run_dir = wait_for_journal(reports)
    pause(moment)
    process.send_signal(signal.SIGKILL)
    process.wait()

    drilled = resume_run(run_dir, reports)
    assert (drilled.status, drilled.verdict.get("decision")) == (0, "APPROVE"), (
        f"killed after {moment:.2f} s: {drilled.output}"
    )
    database = connect(killed_lab, "db-1")
    count = "PGPASSFILE=/etc/shop/pgpass psql -h 127.0.0.1 -U shop -Atc 'SELECT count(*) FROM orders' shop"
    assert database.run(count, Deadline.after(30)).text == "200000"
    database.close()
