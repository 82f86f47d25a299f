"""Tests of the users' own beside ours: what they may use, how they are judged, and what they cannot break."""

from pathlib import Path

import pytest

from selftests.support.drills import Drilled
from selftests.support.orchard import Orchard, plant_orchard


@pytest.fixture(scope="module")
def orchard(tmp_path_factory: pytest.TempPathFactory) -> Orchard:
    return plant_orchard(tmp_path_factory.mktemp("orchard"))


def drill_beside(orchard: Orchard, folder: Path, test: str, *arguments: str) -> Drilled:
    """Drill 'ash-1' and judge it by our proof of redeploy and a test of one's own."""
    (folder / "test_own.py").write_text(test)
    words = ("test_own.py", "--redrill-endpoint=ash-1", "-k", "test_own or test_boot_is_new", *arguments)
    return orchard.drill(folder, *words)


JUDGES = """\
def test_notes_are_there(fleet, endpoint, record):
    assert fleet.name == "tree"
    assert record.endpoint == endpoint.name == "ash-1"
    assert record.after.hostname == "ash-1"

def test_not_about_an_endpoint():
    assert True
"""


def test_they_judge_with_the_same_fixtures(orchard: Orchard, tmp_path: Path) -> None:
    run = drill_beside(orchard, tmp_path, JUDGES)
    assert run.status == 0, run.output
    assert run.tests("passed") == {
        "test_boot_is_new[ash-1]",
        "test_notes_are_there[ash-1]",
        "test_not_about_an_endpoint",
    }


@pytest.mark.parametrize(
    ("test", "reason"),
    [
        ("def test_fails(endpoint):\n    assert endpoint.name == 'yew-1'\n", "'ash-1': 'test_fails' failed: "),
        ("def test_fails():\n    assert 1 == 2\n", "The fleet: 'test_fails' failed: assert 1 == 2."),
        (
            "import pytest\n@pytest.mark.xfail(strict=True)\ndef test_fails():\n    pass\n",
            "The fleet: 'test_fails' failed: [XPASS(strict)].",
        ),
    ],
    ids=["of an endpoint", "of the fleet", "that passes although it must not"],
)
def test_one_that_fails_rejects(orchard: Orchard, tmp_path: Path, test: str, reason: str) -> None:
    run = drill_beside(orchard, tmp_path, test)
    assert run.status == 1, run.output
    assert run.verdict["decision"] == "REJECT"
    assert run.verdict["reasons"][0].startswith(reason)


def test_one_that_breaks_leaves_the_run_incomplete(orchard: Orchard, tmp_path: Path) -> None:
    run = drill_beside(orchard, tmp_path, "def test_breaks(endpoint):\n    raise OSError('no route to host')\n")
    assert run.status == 6, run.output
    assert run.verdict["reasons"] == ["'ash-1': 'test_breaks' broke: no route to host."]


def test_there_is_no_live_host_of_a_directory_and_it_is_said(orchard: Orchard, tmp_path: Path) -> None:
    run = drill_beside(orchard, tmp_path, "def test_host(host):\n    assert host.file('/etc/passwd').exists\n")
    assert run.status == 6, run.output
    assert "is a directory" in run.verdict["reasons"][0]
    assert "testinfra needs a running system" in run.verdict["reasons"][0]


DIES = """\
import os
import pytest

def test_before(endpoint):
    pass

def test_dies(endpoint):
    os._exit(0)

@pytest.mark.parametrize("number", range(8))
def test_after(endpoint, number):
    pass
"""


def test_a_worker_that_dies_loses_no_result_and_is_never_green(orchard: Orchard, tmp_path: Path) -> None:
    run = drill_beside(orchard, tmp_path, DIES, "-n2")
    assert run.status == 6, run.output
    assert run.verdict["decision"] == "INCOMPLETE"
    assert run.red == {"test_dies[ash-1]"}
    assert len(run.tests("passed")) == 3, "all others were judged, by the worker that took its place"
    assert run.verdict["figures"]["judgements"] == 11
    assert any("crashed while running 'test_own.py::test_dies[ash-1]'" in reason for reason in run.verdict["reasons"])


def test_workers_that_die_without_end_are_never_green(orchard: Orchard, tmp_path: Path) -> None:
    run = drill_beside(orchard, tmp_path, DIES.replace("range(8)", "range(2)"), "-n2", "--max-worker-restart=0")
    assert run.status == 6, run.output
    assert "test_dies[ash-1]" in run.red
    assert run.verdict["figures"]["judgements"] == 5


def test_an_end_that_a_test_asks_for_is_never_green(orchard: Orchard, tmp_path: Path) -> None:
    test = "import pytest\ndef test_ends():\n    pytest.exit('enough', returncode=0)\ndef test_after():\n    pass\n"
    run = drill_beside(orchard, tmp_path, test)
    assert run.status == 6, run.output
    assert run.verdict["decision"] == "INCOMPLETE"
    assert "the session ended early: enough" in run.verdict["reasons"][0]


STOPS = """\
import os
import signal

def test_stops():
    os.kill(os.getpid(), signal.SIGINT)

def test_after():
    pass
"""


def test_a_signal_while_judging_is_never_green(orchard: Orchard, tmp_path: Path) -> None:
    run = drill_beside(orchard, tmp_path, STOPS)
    assert run.status == 15, run.output
    assert run.verdict["decision"] == "INCOMPLETE"
    assert run.verdict["reasons"][0] == "The session was stopped by a signal."
