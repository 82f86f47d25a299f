"""The steady state of a system, as its service manager sees it."""

from redrill.errors import SettleTimeoutError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline

STEADY = ("running", "degraded")


def wait_for_system(machine: Machine, deadline: Deadline) -> str:
    """Wait until the system has started all it has to start, and return 'running' or 'degraded'.

    SettleTimeoutError when it is still at it when the time is up; a directory has nothing to wait for.
    """
    if not machine.has_init:
        return "no running system"
    seconds = max(1, int(deadline.remaining))
    # A stream of its own: the shared shell must stay free for others meanwhile.
    with machine.receive(f"timeout {seconds} systemctl is-system-running --wait; true", deadline) as stream:
        state = b"".join(stream).decode().strip() or "unknown"
    if state not in STEADY:
        raise SettleTimeoutError(f"Endpoint '{machine.name}' is still '{state}' after {deadline.budget:g} s.")
    return state
