"""What a run leaves behind: Allure results while it goes on, and the verdict at its end."""

import shutil
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from redrill.analysis.promises import PROMISES
from redrill.analysis.tallying import Scope, tally
from redrill.drill.disk import refuse_without_disk
from redrill.drill.waivers import write_waivers
from redrill.model.verdict import Judgement, JudgementOutcome, Verdict
from redrill.plugin.names import APPLICATION, ENDPOINT
from redrill.plugin.run import Run, is_worker
from redrill.plugin.selection import parameters_of
from redrill.reporting.allure_files import BLOCKED, LOST, complete_results, write_categories, write_environment
from redrill.reporting.allure_results import name_result
from redrill.reporting.findings import gather_findings
from redrill.reporting.identity import Identity, identify, read_plan, write_plan
from redrill.reporting.run_folder import point_latest, seal
from redrill.reporting.summary import render_terminal, write_summary, write_verdict

_PLAN = "tests.jsonl"
_RESULTS = "allure-results"
_PARAMETERS = {ENDPOINT: "endpoint", APPLICATION: "application"}


def configure(config: pytest.Config, run: Run) -> None:
    """Send Allure's results and JUnit's XML into the run's folder, unless the user named other places.

    A worker of pytest-xdist inherits no option that the main process set itself, so it does the same again.
    """
    if not getattr(config.option, "allure_report_dir", None):
        config.option.allure_report_dir = str(run.run_dir / _RESULTS)
    if not is_worker(config) and not getattr(config.option, "xmlpath", None):
        config.option.xmlpath = str(run.run_dir / "junit.xml")


def identify_item(item: pytest.Item) -> Identity:
    """Return who a test is, with its parameters by their short names."""
    named = {_PARAMETERS.get(name, name): value for name, value in parameters_of(item).items()}
    return identify(item.path, item.nodeid, named, item.callspec.id if hasattr(item, "callspec") else "")


def plan_tests(run: Run, items: Iterable[pytest.Item]) -> None:
    """Write down which tests will be judged, so that one whose process dies is noticed."""
    write_plan(run.run_dir / _PLAN, (identify_item(item) for item in items))


def planned_tests(run: Run) -> tuple[Identity, ...]:
    """Return the tests that are going to be judged; none when nothing was collected."""
    plan = run.run_dir / _PLAN
    return read_plan(plan) if plan.exists() else ()


def name_allure_result(item: pytest.Item) -> None:
    """Give the Allure result of the test that just ended its stable identity and its severity."""
    marker = item.get_closest_marker("redrill_severity")
    severity = str(marker.args[0]) if marker and marker.args else None
    name_result(item.config.pluginmanager.get_plugin("allure_listener"), identify_item(item), severity=severity)


def write(config: pytest.Config, run: Run, verdict: Verdict) -> None:
    """Write what Allure shows on its front page, summary.md and last verdict.json; let 'latest' point here."""
    results = Path(config.option.allure_report_dir)
    if results.is_dir():
        write_environment(results, _environment(run, verdict))
        write_categories(results)
    write_summary(run.run_dir, verdict)
    seal(run.run_dir)
    point_latest(run.run_dir)
    write_verdict(run.run_dir, verdict)


def keep_waivers(run: Run) -> None:
    """Write down the waivers in force, for the workers and for whoever judges the run again; RedrillError."""
    try:
        write_waivers(run.run_dir, run.waivers)
    except OSError as error:
        raise refuse_without_disk(error, run.run_dir, run.mode) from error


def gather(run: Run) -> None:
    """Gather the findings of all processes and count them."""
    weighed, judged = gather_findings(run.run_dir)
    run.tally = tally(weighed, Scope(run.fleet, PROMISES, judged, run.mode.is_destructive), run.waivers)


def discard(run: Run) -> None:
    """Remove the folder of a run that never began, because pytest was asked for something that it cannot do."""
    if not run.is_drilled:
        shutil.rmtree(run.run_dir)


def note_missing_results(config: pytest.Config, run: Run) -> None:
    """Count every planned test without a result: as blocked when the session ended early, else as broken."""
    planned = planned_tests(run)
    outcome = JudgementOutcome.BLOCKED if run.stopped else JudgementOutcome.BROKEN
    message = f"{BLOCKED}: {run.stopped}." if run.stopped else LOST
    if Path(config.option.allure_report_dir).is_dir():
        complete_results(Path(config.option.allure_report_dir), planned, message)
    judged = {_key(one.test, one.endpoint, one.parameters) for one in run.judgements}
    for identity in planned:
        parameters = {name: value for name, value in identity.parameters.items() if name != "endpoint"}
        if _key(identity.test, identity.endpoint, parameters) not in judged:
            run.judgements.append(
                Judgement(
                    test=identity.test,
                    endpoint=identity.endpoint,
                    parameters=parameters,
                    outcome=outcome,
                    message=message,
                )
            )


def _key(test: str, endpoint: str | None, parameters: dict[str, str]) -> tuple[str, str | None, frozenset[Any]]:
    return test, endpoint, frozenset(parameters.items())


def _environment(run: Run, verdict: Verdict) -> dict[str, str]:
    facts: dict[str, Any] = {
        "verdict": verdict.decision.value,
        "run": run.run_dir.name,
        "fleet": run.fleet.name,
        "environment": run.fleet.environment,
        "mode": run.mode.value,
        "endpoints": ", ".join(run.names),
        "redrill": version("redrill"),
    }
    images = {e.image.name: e.image.version for e in run.endpoints if e.image}
    return facts | {f"image {name}": number for name, number in sorted(images.items())}


def print_verdict(terminal: pytest.TerminalReporter, run: Run) -> None:
    """Print the verdict table, the reasons, and where to look; or why there is no verdict."""
    if run.verdict is None and not run.trouble:
        return
    terminal.section("redrill")
    if run.verdict is None:
        terminal.write_line(f"INCOMPLETE (exit {run.worst()}): {run.trouble}", red=True, bold=True)
        return
    for line in render_terminal(run.verdict, run.run_dir, terminal._tw.fullwidth):  # noqa: SLF001 - no public way to it
        terminal.write_line(line.text, **line.markup)
