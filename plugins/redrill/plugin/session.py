"""The hooks of a session that has a fleet: drill once in the main process, hear every report, reach the verdict."""

import sys
from collections.abc import Generator
from typing import Any

import pytest

from redrill.errors import Exit, RedrillError
from redrill.plugin import history, reports
from redrill.plugin.judgements import find_crash, mark_report, read_judgement
from redrill.plugin.run import RUN, Run, end_unwritten, is_worker, open_run
from redrill.plugin.selection import parametrize, refuse_inapplicable


def open_session(config: pytest.Config) -> None:
    """Open the run that the options ask for and take part in the session; FleetError, GuardError."""
    run = open_run(config)
    config.stash[RUN] = run
    if not run.is_dry:
        reports.configure(config, run)
    config.pluginmanager.register(sys.modules[__name__], "redrill-session")
    if not is_worker(config):
        if not run.is_dry and run.fleet.waivers:
            reports.keep_waivers(run)
        config.pluginmanager.register(_Listener(run), "redrill-listener")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of pytest-xdist where the run is kept."""
    node.workerinput["redrill_run_dir"] = str(node.config.stash[RUN].run_dir)


def pytest_report_header(config: pytest.Config) -> str:
    """Say at the start what this run is about."""
    run = config.stash[RUN]
    what = "judged again" if run.is_replay else f"mode {run.mode.value}"
    where = "nothing is touched" if run.is_dry else run.run_dir
    return f"redrill: fleet '{run.fleet.name}' ({run.fleet.environment}), {what}: {', '.join(run.names)}; {where}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Parametrise by endpoint and application."""
    parametrize(metafunc, metafunc.config.stash[RUN])


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist tells the main process that this worker is ready
def pytest_collection_finish(session: pytest.Session) -> None:
    """Write down what is going to be judged. Each worker does: no one of them is sure to live."""
    run = session.config.stash[RUN]
    if not session.items or run.is_dry:
        return
    try:
        reports.plan_tests(run, session.items)
    except OSError as error:
        if is_worker(session.config):
            raise
        end_unwritten(run, error)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Drill before the first test; the loop that follows judges."""
    if not is_worker(session.config) and session.items:
        _drill_once(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    """Drill when the first worker has collected: no worker runs a test before all of them have."""
    _drill_once(node.config)


def _drill_once(config: pytest.Config) -> None:
    run = config.stash[RUN]
    if run.is_drilled or run.is_dry:
        return
    if run.uncollected and not config.option.continue_on_collection_errors:
        raise pytest.Session.Interrupted(f"nothing was drilled: {run.uncollected} could not be collected")
    run.is_drilled = True
    wanted = {identity.endpoint for identity in reports.planned_tests(run)}
    run.drilled = tuple(name for name in run.names if name in wanted)
    if run.drilled and not run.is_replay:
        from redrill.plugin.drilling import drill  # noqa: PLC0415 - what acts is not for workers, which only judge

        drill(config, run)
        history.keep_baseline(run)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip what does not apply to the endpoint or the mode."""
    refuse_inapplicable(item, item.config.stash[RUN])


@pytest.hookimpl(wrapper=True, tryfirst=True)  # outside of allure-pytest's own wrapper
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Put onto each report which endpoint it judges and how."""
    report = yield
    mark_report(item, call, report)
    history.show_timeline(item, report)
    if report.when == "teardown":
        reports.name_allure_result(item)
    return report


class _Listener:
    """Hears in the main process every report, and what ends the session early."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Keep the judgement that a report carries."""
        judgement, crash = read_judgement(report), find_crash(report)
        if judgement is not None:
            self._run.judgements.append(judgement)
        if crash is not None:
            self._run.fail(crash)

    @pytest.hookimpl(tryfirst=True)
    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """Note a file of tests that could not be collected: what it would have judged is not known."""
        if report.failed and report.nodeid not in self._run.uncollected:
            self._run.uncollected.append(report.nodeid)
            last = (report.longreprtext.strip().splitlines() or ["no reason was given"])[-1]
            self._run.fail(f"'{report.nodeid}' could not be collected: {last.removeprefix('E').strip()}")

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note why the session ends early: a signal stops it, all else leaves it incomplete."""
        if excinfo.type is KeyboardInterrupt:  # pytest and pytest-xdist derive theirs from it
            self._run.stopped = "the session was stopped by a signal"
            self._run.fail("The session was stopped by a signal.", Exit.STOPPED)
        else:
            self._run.stopped = f"the session ended early: {excinfo.value}"

    def pytest_internalerror(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Note that pytest itself, or a plugin of it, broke."""
        self._run.stopped = "the session broke"
        self._run.fail(f"The session broke: {excinfo.typename}: {excinfo.value}")


@pytest.hookimpl(wrapper=True, trylast=True)  # after what other plugins write, before the terminal's summary
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
    """Reach the verdict, write it down, and end with its exit status."""
    run = session.config.stash[RUN]
    if run.is_dry or is_worker(session.config):
        return (yield)
    try:
        yield
    except OSError as error:
        run.fail(f"What pytest reports could not be written: {error}")
    _conclude(session, run, exitstatus)
    return None


def _conclude(session: pytest.Session, run: Run, exitstatus: int) -> None:
    config = session.config
    if exitstatus == pytest.ExitCode.USAGE_ERROR:
        reports.discard(run)
        return
    run.stopped = run.stopped or str(session.shouldfail or session.shouldstop or "")
    try:
        reports.note_missing_results(config, run)
        reports.gather(run)
        verdict = history.remember(run, run.conclude())
        reports.write(config, run, verdict)
    except (RedrillError, OSError, ValueError) as error:
        run.trouble = f"No verdict could be written: {type(error).__name__}: {error}"
        session.exitstatus = run.worst().value
    else:
        run.verdict = verdict
        session.exitstatus = verdict.exit_code.value


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print the verdict table and where to look next."""
    reports.print_verdict(terminalreporter, config.stash[RUN])
