"""The drill of a session: in its main process, before the first test."""

import sys
import traceback

import pytest

from redrill.drill.authorize import Authorized, authorize
from redrill.drill.engine import resume_drill, run_drill
from redrill.drill.planning import Request
from redrill.drill.progress import LineProgress, LiveProgress
from redrill.drill.resume import untouched_of
from redrill.errors import Exit, FleetError, GuardError, RedrillError
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
                resume_drill(run.fleet, run.run_dir, progress, authorized.permits)
            else:
                run_drill(run.fleet, endpoints, run.mode, run.run_dir, progress, authorized=authorized)
    except FleetError as error:
        raise pytest.UsageError(*error.mistakes) from None
    except Exception as error:  # noqa: BLE001 - what was drilled all the same is judged; the verdict cannot be green
        sys.stderr.write(redact(traceback.format_exc()))
        code = error.exit_code if isinstance(error, RedrillError) else Exit.INCOMPLETE
        run.fail(f"The drill broke: {type(error).__name__}: {error}", code)


def _authorize(config: pytest.Config, run: Run, endpoints: tuple[Endpoint, ...]) -> Authorized:
    """Ask every guard before anything is touched; a refusal ends the session with its own exit status.

    A resumed run finishes the endpoints that it has wiped, whatever the guards say; they are asked about the others.
    """
    if not endpoints:
        return Authorized(())
    said = (config.getoption("redrill_environment"), config.getoption("redrill_change"))
    try:
        return authorize(
            Request(run.fleet, endpoints, run.mode, *said), config.getoption("redrill_confirm"), run.run_dir
        )
    except FleetError as error:
        raise pytest.UsageError(*error.mistakes) from None
    except OSError as error:
        end_unwritten(run, error)
    except GuardError as error:
        run.fail(str(error), error.exit_code)
        pytest.exit(str(error), returncode=error.exit_code)
