"""Crash points for tests: the process dies, as by kill -9, at a chosen moment of a chosen phase."""

import os

from redrill.model.record import Step

VARIABLE = "REDRILL_CRASH_AT"
"""'[ENDPOINT:]STEP:MOMENT', such as 'web-1:redeploy:done'; spaces of a step are written as '-'."""

MOMENTS = ("before", "done", "after")
"""After the line of intent; after the work but before its outcome is written; after the outcome."""


def crash_here(endpoint: str, step: Step, moment: str) -> None:
    """Die when this is the crash point that the environment asks for; else do nothing."""
    wanted = os.environ.get(VARIABLE)
    point = f"{step.value.replace(' ', '-')}:{moment}"
    if wanted and wanted in {point, f"{endpoint}:{point}"}:
        os._exit(137)
