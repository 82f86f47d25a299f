"""Every way in which a drill can end without a judgement; each class has one meaning to a script (its exit status)."""

from collections.abc import Sequence
from enum import IntEnum


class Exit(IntEnum):
    """Exit statuses of every redrill command and of pytest with redrill; the gravest of several wins."""

    APPROVE = 0
    REJECT = 1
    USAGE = 4
    NOTHING_JUDGED = 5
    INCOMPLETE = 6
    CLEANUP = 7
    GUARD = 10
    BUSY = 11
    BACKUP = 12
    QUARANTINED = 14
    STOPPED = 15


GRAVEST_FIRST = (
    Exit.QUARANTINED,
    Exit.CLEANUP,
    Exit.STOPPED,
    Exit.BACKUP,
    Exit.BUSY,
    Exit.GUARD,
    Exit.INCOMPLETE,
    Exit.REJECT,
)


class RedrillError(Exception):
    """The harness, a backend or the network failed: nothing can be said about the endpoint."""

    exit_code = Exit.INCOMPLETE


class FleetError(RedrillError):
    """A fleet file, an option or a plan is wrong; holds every mistake, each as ``file:line:column: path: message``."""

    exit_code = Exit.USAGE

    def __init__(self, *mistakes: str) -> None:
        super().__init__("\n".join(mistakes))
        self.mistakes = mistakes


class GuardError(RedrillError):
    """A guard refused; nothing was touched."""

    exit_code = Exit.GUARD


class EndpointBusyError(RedrillError):
    """Another drill holds the endpoint; nothing was touched."""

    exit_code = Exit.BUSY


class BackupError(RedrillError):
    """There is no way back: a backup that is not restorable, no image, no journal; nothing was destroyed."""

    exit_code = Exit.BACKUP


class StoppedError(RedrillError):
    """A kill switch, a stop condition or a signal stopped the drill."""

    exit_code = Exit.STOPPED


class CleanupError(RedrillError):
    """Something that redrill made is still there; the message lists it."""

    exit_code = Exit.CLEANUP


class MachineError(RedrillError):
    """An endpoint could not be reached, did not answer within its deadline, or closed the connection."""


class HostKeyError(MachineError):
    """An endpoint showed another host key than the pinned one; nothing was sent to it."""


class CommandError(MachineError):
    """A command on an endpoint ended with a non-zero exit status."""

    def __init__(self, machine: str, command: str, exit_status: int, stdout: bytes, stderr: bytes) -> None:
        words = (stderr or stdout).decode("utf-8", "backslashreplace").strip()
        super().__init__(f"On '{machine}' the command {command!r} ended with status {exit_status}: {words[-2000:]}")
        self.machine = machine
        self.command = command
        self.exit_status = exit_status
        self.stdout = stdout
        self.stderr = stderr


class ProvisionError(RedrillError):
    """An endpoint could not be destroyed, rebuilt or booted."""


class RestoreError(RedrillError):
    """A backup could not be put back, or what was put back is not what was backed up."""


class SettleTimeoutError(RedrillError):
    """An endpoint did not reach a steady state in time; the message says what it was waiting for last."""


class UnknownFactError(RedrillError):
    """A fact that a judgement needs could not be observed; unknown never reads as clean."""


def gravest(codes: Sequence[Exit]) -> Exit:
    """Return the exit status that wins over the others; APPROVE for none."""
    return next((code for code in GRAVEST_FIRST if code in codes), Exit.APPROVE)
