"""What stops a drill: the kill switch and the stop conditions; asked again before every step that cannot be undone."""

import http
import urllib.parse
from functools import partial

from redrill.drill.guards.state import GuardState, off, passes, refuses, told, unknown
from redrill.errors import StoppedError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.web import UNANSWERED, get
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.model.guards import KillSwitch, StopCondition

KILL, STOP = "kill switch", "stop condition"


def judge_stops(fleet: Fleet) -> list[GuardState]:
    """Ask the kill switch and every stop condition now."""
    guards = fleet.guards
    states = [told(KILL, lambda: _judge_file(guards.kill_switch))]
    if guards.kill_switch.url:
        states.append(told(KILL, lambda: _judge_url(guards.kill_switch)))
    if not guards.stop_conditions:
        states.append(off(STOP, "the fleet file declares none"))
    return states + [told(STOP, partial(_judge_condition, fleet, condition)) for condition in guards.stop_conditions]


def require_go(fleet: Fleet) -> None:
    """Raise StoppedError when the kill switch or a stop condition stops the drill, or cannot be asked."""
    against = [state for state in judge_stops(fleet) if state.forbids]
    if against:
        raise StoppedError(f"The drill was stopped before anything more was wiped: {against[0]}.")


def _judge_file(switch: KillSwitch) -> GuardState:
    try:
        switch.file.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return passes(KILL, f"'{switch.file}' does not exist")
    return refuses(KILL, f"'{switch.file}' exists; remove it to allow drills again")


def _judge_url(switch: KillSwitch) -> GuardState:
    url = urllib.parse.urlsplit(switch.url or "")
    is_tls = url.scheme == "https"
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    shown = f"{url.scheme}://{url.hostname}{url.path}"
    deadline = Deadline.after(switch.timeout.total_seconds())
    try:
        status, _ = get(url.hostname or "", url.port or (443 if is_tls else 80), path, deadline, is_tls=is_tls)
    except UNANSWERED as error:
        return unknown(KILL, f"'{shown}' does not answer: {type(error).__name__}: {error}")
    if status != http.HTTPStatus.OK:
        return refuses(KILL, f"'{shown}' answers with status {status}; only 200 allows drills")
    return passes(KILL, f"'{shown}' answers with status 200")


def _judge_condition(fleet: Fleet, condition: StopCondition) -> GuardState:
    status, words = run_here(fleet, condition.run, condition.timeout.total_seconds())
    shown = f"'{condition.run}' ended with {status}{words}"
    if status == 0:
        return passes(STOP, shown)
    return (refuses if status == 1 else unknown)(STOP, shown)


def run_here(fleet: Fleet, command: str, seconds: float) -> tuple[int, str]:
    """Run a shell command of the fleet file on the controller, in that file's folder; return its status and last words.

    MachineError when it does not end in time.
    """
    result = LocalMachine("the controller", fleet.source.parent).run(command, Deadline.after(seconds))
    lines = (result.stdout + result.stderr).decode("utf-8", "replace").strip().splitlines()
    return result.exit_status, f": {lines[-1][:200]}" if lines else ""
