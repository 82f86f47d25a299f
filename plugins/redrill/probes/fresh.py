"""What a fresh system says of itself before anything is restored over it."""

from typing import Any

from redrill.machine.protocol import Machine, Result
from redrill.model.deadline import Deadline
from redrill.probes.facts.accounts import ACCOUNT_FACTS
from redrill.probes.facts.fact import NOT_APPLICABLE
from redrill.probes.facts.system import SYSTEM_FACTS

_FACTS = {fact.name: fact for fact in (*SYSTEM_FACTS, *ACCOUNT_FACTS)}

Fresh = tuple[dict[str, str] | None, dict[str, int] | None, dict[str, int] | None]
"""Versions by package, numbers by user, numbers by group; None for what there is no database of."""


def read_fresh(machine: Machine, deadline: Deadline) -> Fresh:
    """Return the packages, users and groups of a fresh system, in one round trip."""
    wanted = [_FACTS[name] for name in ("packages", "users", "groups")]
    packages, users, groups = machine.batch([fact.command for fact in wanted], deadline)
    return (
        None if packages.exit_status == NOT_APPLICABLE else _parse("packages", packages),
        {name: account.uid for name, account in _parse("users", users).items()} if users.exit_status == 0 else None,
        _parse("groups", groups) if groups.exit_status == 0 else None,
    )


def _parse(name: str, result: Result) -> dict[str, Any]:
    found: dict[str, Any] = _FACTS[name].parse(result.checked().text)[name]
    return found
