"""The table of outcomes: what happened to an endpoint, the fleet file or the harness decides the exit status."""

import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from redrill.model.manifest import ATTRIBUTES, Manifest, compare
from selftests.support.drills import ENVIRONMENT, Drilled, read_run, run_pytest, run_redrill
from selftests.support.orchard import ENDPOINTS, SUITES, Orchard, plant_orchard, redeploys

NO_TIMES = [name for name in ATTRIBUTES if name != "mtime_ns"]


@pytest.fixture
def orchard(tmp_path: Path) -> Orchard:
    return plant_orchard(tmp_path)


@pytest.fixture
def reports(tmp_path: Path) -> Path:
    return tmp_path / "reports"


def decisions(run: Drilled) -> dict[str, str]:
    return {one["endpoint"]: one["decision"] for one in run.verdict["endpoints"]}


def first_cause(run: Drilled, endpoint: str) -> str:
    return next(str(one["first_cause"]) for one in run.verdict["endpoints"] if one["endpoint"] == endpoint)


def assert_others_are_approved(run: Drilled, broken: str) -> None:
    assert decisions(run) == {name: "INCOMPLETE" if name == broken else "APPROVE" for name in ENDPOINTS}
    assert (
        run.tests("broken")
        == run.red
        == {test for test in run.outcomes if f"[{broken}" in test and run.outcomes[test] != "skipped"}
    )


def assert_is_one_message(run: Drilled, *words: str) -> None:
    assert "Traceback" not in run.output
    assert "INTERNALERROR" not in run.output
    for word in words:
        assert run.output.count(word) == 1, run.output
    assert run.folder is None


def state_of(orchard: Orchard, endpoint: str) -> Manifest:
    everything = orchard.manifest()
    return Manifest({path: entry for path, entry in everything.entries.items() if path.startswith(f"/{endpoint}/")})


@contextmanager
def slow_drill(orchard: Orchard, reports: Path) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A drill in which 'oak-1' does not finish its boot before the context is left, and what it has printed."""
    reports.mkdir(parents=True)
    go, output = orchard.folder / "go", list[str]()
    script = orchard.root("oak-1") / "etc/rc.start/70-slow"
    script.write_text(f"i=0\nwhile [ ! -e '{go}' ] && [ $((i += 1)) -lt 1200 ]; do sleep 0.05; done\n")
    options = (f"--redrill-fleet={orchard.fleet}", "--redrill-mode=replace", *ENVIRONMENT)
    command = [sys.executable, "-m", "pytest", *SUITES, *options]
    command += [f"--redrill-reports={reports}"]
    with subprocess.Popen(command, cwd=reports, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        while sum(line.endswith("s  complete\n") for line in output) < 2 and process.poll() is None:
            output.append(process.stdout.readline())
        yield process, output
        go.touch()
        output.append(process.stdout.read())


# ---- the harness is broken -----------------------------------------------------------------------------------------


def test_an_unreadable_log_sink_is_broken_and_never_a_failed_endpoint(orchard: Orchard, reports: Path) -> None:
    orchard.edit("sink.log", "another.log")
    run = orchard.drill(reports)
    assert run.status == 6, run.output
    assert run.verdict["decision"] == "INCOMPLETE"
    assert run.tests("failed") == set()
    assert {test.partition("[")[0] for test in run.tests("broken")} == {
        "test_message_before_the_wipe_is_at_the_sink",
        "test_endpoint_logs_to_the_sink_now",
        "test_messages_carry_host_and_boot",
    }
    assert "another.log' cannot be read" in run.verdict["reasons"][0]


@pytest.mark.parametrize(
    "options",
    [(), ("-n2",), ("--redrill-mode=replace",)],
    ids=["observed", "observed by two workers", "redeployed"],
)
def test_an_unreachable_endpoint_is_incomplete_and_the_others_are_judged(
    orchard: Orchard, reports: Path, options: tuple[str, ...]
) -> None:
    shutil.rmtree(orchard.root("oak-1"))
    run = run_redrill(orchard.fleet, reports, *options)
    assert run.status == 6, run.output
    assert_others_are_approved(run, "oak-1")
    assert "'oak-1' is not up" in first_cause(run, "oak-1")
    assert "Blocked by an earlier failure: the drill of 'oak-1' broke in phase 'preflight'" in run.output


def test_a_verdict_that_cannot_be_written_is_incomplete(orchard: Orchard, reports: Path) -> None:
    (reports / "latest").mkdir(parents=True)
    run = orchard.drill(reports)
    assert run.status == 6, run.output
    assert run.verdict == {}
    assert "No verdict could be written: RedrillError" in run.output
    assert "Traceback" not in run.output


@pytest.mark.parametrize("arguments", [(), ("-n2",)], ids=["alone", "two workers"])
def test_a_file_of_tests_that_cannot_be_collected_drills_nothing(
    orchard: Orchard, reports: Path, arguments: tuple[str, ...]
) -> None:
    reports.mkdir()
    (reports / "test_own.py").write_text("import a_module_that_is_not_there\n")
    run = orchard.drill(reports, "test_own.py", *arguments)
    assert run.status == 6, run.output
    assert redeploys(run) == orchard.boots == Counter()
    assert "'test_own.py' could not be collected: ModuleNotFoundError" in run.verdict["reasons"][0]


def test_a_signal_after_the_wipe_leaves_the_endpoint_quarantined(orchard: Orchard, reports: Path) -> None:
    with slow_drill(orchard, reports) as (process, output):
        process.send_signal(signal.SIGINT)
    run = read_run(reports, process.returncode, "".join(output))
    assert run.status == 14, run.output
    assert_others_are_approved(run, "oak-1")
    assert "signal SIGINT" in first_cause(run, "oak-1")
    assert orchard.boots == redeploys(run) == Counter(ENDPOINTS)


# ---- the fleet or an option is wrong -------------------------------------------------------------------------------

OWN_TEST = "def test_own(endpoint):\n    assert endpoint\n"


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "two workers"])
@pytest.mark.parametrize("tests", [SUITES, ("test_own.py",)], ids=["our suites", "a test of one's own"])
def test_no_fleet_is_a_usage_error(reports: Path, tests: tuple[str, ...], workers: tuple[str, ...]) -> None:
    reports.mkdir()
    (reports / "test_own.py").write_text(OWN_TEST)
    run = run_pytest(reports, *tests, *workers)
    assert run.status == 4, run.output
    assert_is_one_message(run, "ERROR: redrill needs a fleet: say '--redrill-fleet fleet.yml'")


FIVE_MISTAKES = """\
fleet: Shop
environment: yes
endpoints:
  web-1: {address: 10.0.0, tag: [front]}
  db-1:
    ssh: {port: 99999}
    provisioner: {kind: tre}
"""


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "two workers"])
def test_every_mistake_of_a_fleet_file_is_told_with_its_place(reports: Path, workers: tuple[str, ...]) -> None:
    reports.mkdir()
    (reports / "fleet.yml").write_text(FIVE_MISTAKES)
    run = run_pytest(reports, *SUITES, "--redrill-fleet=fleet.yml", *workers)
    assert run.status == 4, run.output
    places = ("1:8", "4:20", "4:28", "6:17", "7:25")
    assert_is_one_message(run, *(f"ERROR: fleet.yml:{place}: " for place in places))
    assert run.output.count("fleet.yml:") == 5, run.output


@pytest.mark.parametrize("sort", ["endpoint", "role", "tag"])
def test_an_unknown_choice_is_a_usage_error(orchard: Orchard, reports: Path, sort: str) -> None:
    run = orchard.drill(reports, f"--redrill-{sort}=oak-2")
    assert run.status == 4, run.output
    assert_is_one_message(run, f"The fleet has no {sort} 'oak-2'; it has: ")


def test_a_path_that_is_not_there_is_a_usage_error_that_leaves_no_run(orchard: Orchard, reports: Path) -> None:
    run = orchard.drill(reports, "test_that_is_not_there.py")
    assert run.status == 4, run.output
    assert run.folder is None
    assert orchard.boots == Counter()


# ---- nothing must be touched ---------------------------------------------------------------------------------------


def test_an_endpoint_that_is_not_expendable_is_refused_and_untouched(orchard: Orchard, reports: Path) -> None:
    orchard.edit("oak-1: {role: app", "oak-1: {role: app, expendable: false")
    before = orchard.manifest()
    run = orchard.drill(reports, "--redrill-endpoint=oak-1")
    assert run.status == 10, run.output
    assert_is_one_message(run, "Nothing was touched. Mode 'replace' must not wipe 'oak-1'")
    assert orchard.manifest() == before


def test_an_endpoint_that_another_drill_holds_is_left_alone(orchard: Orchard, reports: Path) -> None:
    with slow_drill(orchard, reports / "first") as (process, output):
        second = orchard.drill(reports / "second")
    first = read_run(reports / "first", process.returncode, "".join(output))
    assert second.status == 11, second.output
    assert_others_are_approved(second, "oak-1")
    assert first.folder
    assert first.folder.name in first_cause(second, "oak-1")
    assert first.status == 0, first.output
    assert redeploys(first) + redeploys(second) == orchard.boots == Counter({"oak-1": 1, "elm-1": 2, "ash-1": 2})


def test_without_a_good_backup_nothing_is_wiped(orchard: Orchard, reports: Path) -> None:
    (orchard.folder / "lab/backups").write_text("not a folder\n")
    before = orchard.manifest()
    run = orchard.drill(reports)
    assert run.status == 12, run.output
    assert {record["failure"]["step"] for record in run.records.values()} == {"back up"}
    assert redeploys(run) == orchard.boots == Counter()
    differences = compare(before, orchard.manifest(), NO_TIMES)
    assert {difference.path for difference in differences} == {"/sink.log"}, "what was planted is removed again"


# ---- something broke after the wipe --------------------------------------------------------------------------------


def test_an_endpoint_that_does_not_boot_again_is_quarantined(orchard: Orchard, reports: Path) -> None:
    (orchard.root("oak-1") / "etc/rc.start/99-fail").write_text("exit 1\n")
    run = orchard.drill(reports)
    assert run.status == 14, run.output
    assert run.verdict["decision"] == "INCOMPLETE"
    assert_others_are_approved(run, "oak-1")
    assert "99-fail" in first_cause(run, "oak-1")


# ---- the gravest wins ----------------------------------------------------------------------------------------------


def test_the_gravest_of_several_wins_and_all_are_told(orchard: Orchard, reports: Path) -> None:
    (orchard.root("elm-1") / "opt/leak").write_text("made by hand\n")
    (orchard.root("oak-1") / "etc/rc.start/99-fail").write_text("exit 1\n")
    run = orchard.drill(reports)
    assert run.status == 14, run.output
    assert decisions(run) == {"oak-1": "INCOMPLETE", "elm-1": "REJECT", "ash-1": "APPROVE"}
    assert ["oak-1" in run.verdict["reasons"][0], "elm-1" in run.verdict["reasons"][1]] == [True, True]


@pytest.mark.parametrize("workers", [(), ("-n2",)], ids=["alone", "two workers"])
def test_stopping_at_the_first_failure_leaves_the_rest_unjudged(
    orchard: Orchard, reports: Path, workers: tuple[str, ...]
) -> None:
    (orchard.root("oak-1") / "opt/leak").write_text("made by hand\n")
    run = orchard.drill(reports, "-x", *workers)
    assert run.status == 6, run.output
    assert "'oak-1': 'test_nothing_leaks' failed" in "\n".join(run.verdict["reasons"])
    assert sum(one["counts"]["blocked"] for one in run.verdict["endpoints"]) > 0
    collected = re.search(r"(?:collected |\[)(\d+) items", run.output)
    assert collected, run.output
    assert len(run.outcomes) == int(collected[1]), "what did not run has a result, too"
