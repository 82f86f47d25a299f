"""What a run leaves behind: Allure results while it goes on, and the verdict at its end."""

from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from redrill.model.verdict import Judgement, JudgementOutcome, Verdict
from redrill.plugin.run import Run, is_worker
from redrill.plugin.selection import APPLICATION, ENDPOINT
from redrill.reporting.allure_files import complete_results, write_categories, write_environment
from redrill.reporting.allure_results import name_result
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
    callspec = getattr(item, "callspec", None)
    params = callspec.params if callspec else {}
    named = {_PARAMETERS.get(name, name): value for name, value in params.items()}
    return identify(item.path, item.nodeid, named, callspec.id if callspec else "")


def plan_tests(run: Run, items: Iterable[pytest.Item]) -> None:
    """Write down which tests will be judged, so that one whose process dies is noticed."""
    write_plan(run.run_dir / _PLAN, (identify_item(item) for item in items))


def name_allure_result(item: pytest.Item) -> None:
    """Give the Allure result of the test that just ended its stable identity."""
    name_result(item.config.pluginmanager.get_plugin("allure_listener"), identify_item(item))


def write(config: pytest.Config, run: Run, verdict: Verdict) -> None:
    """Write verdict.json, summary.md and what Allure shows on its front page; let 'latest' point here."""
    results = Path(config.option.allure_report_dir)
    if results.is_dir():
        write_environment(results, _environment(run, verdict))
        write_categories(results)
    write_verdict(run.run_dir, verdict)
    write_summary(run.run_dir, verdict)
    seal(run.run_dir)
    point_latest(run.run_dir)


def note_lost_tests(config: pytest.Config, run: Run) -> None:
    """Count every planned test that left no result as broken: nothing is known of it."""
    results, plan = Path(config.option.allure_report_dir), run.run_dir / _PLAN
    if not (results.is_dir() and plan.exists()):
        return
    for lost in complete_results(results, read_plan(plan)):
        run.judgements.append(
            Judgement(
                test=lost.test,
                endpoint=lost.endpoint,
                parameters={name: value for name, value in lost.parameters.items() if name != "endpoint"},
                outcome=JudgementOutcome.BROKEN,
                message="The test ended without a result; its process died.",
            )
        )


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


def print_verdict(terminal: pytest.TerminalReporter, run: Run, verdict: Verdict) -> None:
    """Print the verdict table, the reasons, and where to look."""
    terminal.section("redrill")
    for line in render_terminal(verdict, run.run_dir, terminal._tw.fullwidth):  # noqa: SLF001 - no public way to it
        terminal.write_line(line.text, **line.markup)
