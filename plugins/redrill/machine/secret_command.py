"""Commands on the controller that print a secret, such as ``pass show shop/restic``."""

import os
import signal
import subprocess
from contextlib import suppress

from redrill.errors import MachineError
from redrill.model.deadline import Deadline


def run_secret_command(command: str, deadline: Deadline) -> bytes:
    """Return what a shell command of the controller prints; MachineError, which never quotes it, when it fails.

    It has the environment of redrill, no standard input, and its standard error is thrown away.
    """
    try:
        process = subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,
        )
    except (OSError, ValueError) as error:
        raise MachineError(f"it could not be started: {type(error).__name__}") from None
    with process:
        try:
            output, _ = process.communicate(timeout=max(deadline.remaining, 0.001))
        except subprocess.TimeoutExpired:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise MachineError(f"it did not end within {deadline.budget:g} s") from None
    if process.returncode != 0:
        raise MachineError(f"it ended with status {process.returncode}")
    return output
