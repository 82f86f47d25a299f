"""The change ticket that a destructive run needs where the fleet file says so."""

import re
import shlex

from redrill.drill.guards.state import GuardState, off, passes, refuses
from redrill.drill.guards.stops import run_here
from redrill.model.fleet import Fleet

NAME = "change ticket"


def judge_change(fleet: Fleet, ticket: str | None) -> GuardState:
    """Judge the id of a change ticket: by its pattern, then by the check command; MachineError when that hangs."""
    change = fleet.guards.change
    if change is None:
        return off(NAME, "the fleet file asks for none")
    if not ticket:
        return refuses(NAME, f"say '--redrill-change=ID' with an id that matches '{change.pattern}'")
    if not re.fullmatch(change.pattern, ticket):
        return refuses(NAME, f"'{ticket}' does not match '{change.pattern}'")
    if change.check is None:
        return passes(NAME, f"'{ticket}' matches; nothing checks its state")
    command = f"REDRILL_CHANGE={shlex.quote(ticket)}; export REDRILL_CHANGE; {change.check}"
    status, words = run_here(fleet, command, change.timeout.total_seconds())
    if status != 0:
        return refuses(NAME, f"the check of '{ticket}' ended with {status}{words}")
    return passes(NAME, f"'{ticket}' is approved{words}")
