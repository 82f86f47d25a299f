"""The hooks of pytest: a thin leaf that opens the run, drills once in the main process, and reports at the end."""

from collections.abc import Generator, Iterable
from typing import Any, NoReturn

import pytest

from redrill.drill.engine import run_drill
from redrill.drill.progress import LineProgress, LiveProgress
from redrill.errors import FleetError, GuardError
from redrill.plugin import reports
from redrill.plugin.judgements import mark_report, read_judgement
from redrill.plugin.options import add_options
from redrill.plugin.run import RUN, Run, is_worker, open_run
from redrill.plugin.selection import endpoint_in, endpoint_of, needs_endpoint, parametrize, refuse_inapplicable

_MARKERS = (
    "redrill_requires(*needs): what the endpoint must declare for a test to apply; 'drill': a mode that redeploys",
    "redrill_severity(level): how much a failure matters: blocker, critical, normal, minor or trivial",
)
_NO_FLEET = (
    "redrill needs a fleet: say '--redrill-fleet fleet.yml', or '--redrill-record DIR' to judge a stored run again."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    add_options(parser)


@pytest.hookimpl(tryfirst=True)  # before allure-pytest, which reads where its results go
def pytest_configure(config: pytest.Config) -> None:
    """Open the run that the options ask for; refuse a wrong fleet (exit 4) or a forbidden target (exit 10)."""
    for line in _MARKERS:
        config.addinivalue_line("markers", line)
    try:
        run = open_run(config)
    except FleetError as error:
        raise pytest.UsageError(*error.mistakes) from None
    except GuardError as error:
        _leave(error)
    if run is None and any(argument.startswith("redrill_suites") for argument in config.args):
        raise pytest.UsageError(_NO_FLEET)
    if run is not None:
        config.stash[RUN] = run
        reports.configure(config, run)


def _leave(error: GuardError) -> NoReturn:
    pytest.exit(str(error), returncode=error.exit_code)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the run is kept."""
    run = node.config.stash.get(RUN, None)
    if run is not None:
        node.workerinput["redrill_run_dir"] = str(run.run_dir)


def pytest_report_header(config: pytest.Config) -> str | None:
    """Say at the start what this run is about."""
    run = config.stash.get(RUN, None)
    if run is None:
        return None
    what = "judged again" if run.is_replay else f"mode {run.mode.value}"
    return f"redrill: fleet '{run.fleet.name}' ({run.fleet.environment}), {what}: {', '.join(run.names)}; {run.run_dir}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise by endpoint and application."""
    parametrize(metafunc)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse tests of endpoints without a fleet: that is a usage error, never a skip."""
    if RUN not in config.stash and any(needs_endpoint(item) for item in items):
        raise pytest.UsageError(_NO_FLEET)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Drill before the first test; the loop that follows judges."""
    config = session.config
    run = config.stash.get(RUN, None)
    if run is None or is_worker(config) or not session.items or config.option.collectonly:
        return
    if session.testsfailed and not config.option.continue_on_collection_errors:
        return
    _drill(config, run, {endpoint_of(item) for item in session.items})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any, ids: Iterable[str]) -> None:
    """Drill when the first worker has collected: no worker runs a test before all of them have."""
    config = node.config
    run = config.stash.get(RUN, None)
    if run is not None and not config.option.collectonly:
        _drill(config, run, {endpoint_in(node_id, run) for node_id in ids})


def _drill(config: pytest.Config, run: Run, wanted: set[str | None]) -> None:
    if run.is_drilled:
        return
    run.is_drilled = True
    endpoints = [endpoint for endpoint in run.endpoints if endpoint.name in wanted]
    run.drilled = tuple(endpoint.name for endpoint in endpoints)
    if not endpoints:
        return
    # The terminal writer's file is the real one: what goes there is not captured.
    stream = config.get_terminal_writer()._file  # noqa: SLF001 - pytest offers no public way to it
    stream.write("\n")
    progress = LiveProgress(stream, len(endpoints)) if stream.isatty() else LineProgress(stream)
    with progress:
        run_drill(run.fleet, endpoints, run.mode, run.run_dir, progress)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what does not apply to the endpoint or the mode."""
    run = item.config.stash.get(RUN, None)
    if run is not None:
        refuse_inapplicable(item, run)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Write down what is going to be judged: once, by the main process or the first worker."""
    run = session.config.stash.get(RUN, None)
    is_first = not is_worker(session.config) or session.config.workerinput["workerid"] == "gw0"  # type: ignore[attr-defined]
    if run is not None and session.items and is_first and not session.config.option.collectonly:
        reports.plan_tests(run, session.items)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of allure-pytest's own wrapper
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put onto each report which endpoint it judges and how."""
    report = yield
    if RUN in item.config.stash:
        mark_report(item, call, report)
        if report.when == "teardown":
            reports.name_allure_result(item)
    return report


class JudgementCollector:
    """Hears every report in the main process."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the judgement that a report carries."""
        judgement = read_judgement(report)
        if judgement is not None:
            self._run.judgements.append(judgement)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Listen to all reports in the main process."""
    run = session.config.stash.get(RUN, None)
    if run is not None and not is_worker(session.config):
        session.config.pluginmanager.register(JudgementCollector(run), "redrill-judgements")


_OWN_STATUS = {pytest.ExitCode.INTERRUPTED, pytest.ExitCode.INTERNAL_ERROR, pytest.ExitCode.USAGE_ERROR}


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Reach the verdict, write it down, and end with its exit status."""
    run = session.config.stash.get(RUN, None)
    if run is None or is_worker(session.config) or session.config.option.collectonly or exitstatus in _OWN_STATUS:
        return
    reports.note_lost_tests(session.config, run)
    verdict = run.conclude(run.drilled)
    reports.write(session.config, run, verdict)
    session.exitstatus = verdict.exit_code.value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the verdict table and where to look next."""
    run = config.stash.get(RUN, None)
    if run is not None and run.verdict is not None:
        reports.print_verdict(terminalreporter, run, run.verdict)
