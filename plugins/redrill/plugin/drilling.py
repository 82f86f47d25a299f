"""The drill of a session: in its main process, before the first test."""

import sys
import traceback

import pytest

from redrill.drill.authorize import Authorized, authorize
from redrill.drill.engine import resume_drill, run_drill
from redrill.drill.planning import Plan, Request
from redrill.drill.progress import LineProgress, LiveProgress
from redrill.drill.resume import untouched_of
from redrill.errors import Exit, FleetError, GuardError, RedrillError
from redrill.laws.again import drill_again, for_laws
from redrill.model.fleet import Endpoint
from redrill.plugin.run import Run, end_unwritten
from redrill.redaction import redact


def drill(config: pytest.Config, run: Run) -> None:
    """Ask the guards, then drill what the collected tests are about, and show how it goes; UsageError, Exit."""
    # The terminal writer's file is the real one: what goes there is not captured.
    stream = config.get_terminal_writer()._file  # noqa: SLF001 - pytest offers no public way to it
    stream.write("\n")
    progress = LiveProgress(stream, len(run.drilled)) if stream.isatty() else LineProgress(stream)
    endpoints = tuple(endpoint for endpoint in run.endpoints if endpoint.name in run.drilled)
    authorized = _authorize(config, run, untouched_of(run.run_dir, endpoints) if run.is_resumed else endpoints)
    try:
        with progress:
            if run.is_resumed:
                resume_drill(run.fleet, run.run_dir, progress, authorized)
            else:
                run_drill(run.fleet, endpoints, run.mode, run.run_dir, progress, authorized=authorized)
            if config.getoption("redrill_laws"):
                _drill_again(config, run, endpoints, authorized.plan, progress)
    except FleetError as error:
        raise pytest.UsageError(*error.mistakes) from None
    except Exception as error:  # noqa: BLE001 - what was drilled all the same is judged; the verdict cannot be green
        sys.stderr.write(redact(traceback.format_exc()))
        code = error.exit_code if isinstance(error, RedrillError) else Exit.INCOMPLETE
        run.fail(f"The drill broke: {type(error).__name__}: {error}", code)


def _drill_again(
    config: pytest.Config,
    run: Run,
    endpoints: tuple[Endpoint, ...],
    plan: Plan | None,
    progress: LineProgress | LiveProgress,
) -> None:
    """Drill the endpoints that are whole a second time; one that breaks breaks the run, as in the first drill."""
    whole = tuple(each for each in endpoints if run.record(each.name).failure is None)
    if whole:
        for record in drill_again(_request(config, run, whole), plan, run.run_dir, progress):
            if record.failure:
                message = f"The second drill of '{record.endpoint}' broke: {record.failure.message}"
                run.fail(message, record.failure.exit_code)


def _request(config: pytest.Config, run: Run, endpoints: tuple[Endpoint, ...]) -> Request:
    said = (config.getoption("redrill_environment"), config.getoption("redrill_change"))
    request = Request(run.fleet, endpoints, run.mode, *said)
    return for_laws(request) if config.getoption("redrill_laws") else request


def _authorize(config: pytest.Config, run: Run, endpoints: tuple[Endpoint, ...]) -> Authorized:
    """Ask every guard before anything is touched; a refusal ends the session with its own exit status.

    A resumed run finishes the endpoints that it has wiped, whatever the guards say; they are asked about the others,
    and after a refusal these are only put back into service.
    """
    if not endpoints:
        return Authorized(())
    try:
        authorized = authorize(_request(config, run, endpoints), config.getoption("redrill_confirm"), run.run_dir)
    except OSError as error:
        end_unwritten(run, error)
    except (FleetError, GuardError) as error:
        if run.is_resumed:
            run.fail(str(error), error.exit_code)
            return Authorized(())
        if isinstance(error, FleetError):
            raise pytest.UsageError(*error.mistakes) from None
        run.fail(str(error), error.exit_code)
        pytest.exit(str(error), returncode=error.exit_code)
    return authorized
