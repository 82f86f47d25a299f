"""Checks that are asked on the endpoint itself: each returns what to tell of a good answer, or raises."""

import shlex
from dataclasses import dataclass

from redrill.drill.health.patience import Patience
from redrill.errors import MachineError, RedrillError
from redrill.machine.protocol import Machine
from redrill.model.checks import CommandCheck, UnitCheck

_SHOWN = 200


class UnhealthyError(RedrillError):
    """There was an answer, and it is not that of a healthy application; or nobody could be asked."""


def ask_command(machine: Machine, check: CommandCheck, patience: Patience) -> str:
    """Run a command."""
    status, text, words = _run(machine, check.run, patience)
    if status != 0:
        raise UnhealthyError(f"exit status {status}: {words}")
    if check.expect not in text:
        raise UnhealthyError(f"{text[:_SHOWN]!r} lacks {check.expect!r}")
    return text[:_SHOWN]


def _run(machine: Machine, command: str, patience: Patience) -> tuple[int, str, str]:
    try:
        result = machine.run(command, patience.deadline)
    except MachineError as error:
        raise UnhealthyError(str(error)) from error
    words = (result.stderr or result.stdout).decode("utf-8", "replace").strip()[-_SHOWN:]
    return result.exit_status, result.text, words


@dataclass(slots=True)
class Starts:
    """Remembers how often systemd had started a unit anew, for a unit may die and come back between two questions."""

    boot_id: str = ""
    number: int = 0

    def ask_unit(self, machine: Machine, check: UnitCheck, patience: Patience) -> str:
        """Ask for the state of a unit; 'active' is healthy, unless it was started anew since it was asked last."""
        if not machine.has_init:
            raise UnhealthyError("there is no running system with units")
        asked = "cat /proc/sys/kernel/random/boot_id && systemctl show -p ActiveState,SubState,NRestarts -- "
        status, text, words = _run(machine, asked + shlex.quote(check.name), patience)
        if status != 0:
            raise UnhealthyError(f"exit status {status}: {words}")
        boot_id, *lines = text.splitlines()
        facts = dict(line.partition("=")[::2] for line in lines)
        restarts = int(facts.get("NRestarts") or 0)  # units of other kinds than a service have none
        more = restarts - self.number if boot_id == self.boot_id else 0
        self.boot_id, self.number = boot_id, restarts
        state = f"{facts.get('ActiveState')} ({facts.get('SubState')})"
        if facts.get("ActiveState") != "active":
            raise UnhealthyError(f"the unit is {state}")
        if more > 0:
            raise UnhealthyError(f"the unit is {state} again: it was restarted {more} times since it was asked last")
        return state
