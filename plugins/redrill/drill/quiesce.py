"""How the data of an endpoint stands still for a backup, as its applications declare, and goes on afterwards."""

import shlex
from collections.abc import Sequence

from redrill.drill.bench import Bench
from redrill.drill.checkpoint import save_checkpoint
from redrill.errors import MachineError, SettleTimeoutError
from redrill.machine.protocol import Machine, Result
from redrill.model.canary import Hooks
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Endpoint
from redrill.probes.processes import GROUPS, parse_units

_FREEZE_SECONDS = 30.0
_STATES = "grep -sHE '^State:' /proc/[0-9]*/status; true"
_JOURNAL = ("journalctl --rotate --quiet", "journalctl --sync --quiet")


def quiesce(bench: Bench, deadline: Deadline) -> None:
    """Stop or freeze the units that own data, and close the journal's files; MachineError when one goes on.

    That it is begun is written down before: ``go_on`` undoes it, also in another process.
    """
    machine, endpoint = bench.machine, bench.endpoint
    bench.is_quiesced = bench.is_still = True
    save_checkpoint(bench)
    if machine.has_init:
        units = _units(endpoint, "stop", "pause")
        words = " ".join(map(shlex.quote, units))
        stop = [f"systemctl stop -- {words} && ! systemctl is-active --quiet -- {words}"] if units else []
        for result in machine.batch([*stop, *_JOURNAL], deadline):
            result.checked()
        if frozen := _units(endpoint, "freeze"):
            _freeze(machine, frozen, deadline.within(_FREEZE_SECONDS))


def held_classes(endpoint: Endpoint) -> list[str]:
    """Return the state classes that stand still for the backup, so that nobody writes to them: of applications."""
    classes = endpoint.state_classes.items()
    return [name for name, each in classes if each.application and endpoint.quiesce_of(each.application) != "live"]


def file_classes(endpoint: Endpoint) -> list[str]:
    """Return the state classes that are files of the drill's own.

    Nobody writes to them while the backup is cut: a file that is replaced then gives its inode to the next new one, and
    tar, which knows hard links by the inode, takes the two for one.
    """
    return [name for name, each in endpoint.state_classes.items() if each.canary.kind in ("append", "rename")]


def stopped_classes(endpoint: Endpoint) -> list[str]:
    """Return the state classes that stand still until the wipe."""
    classes = endpoint.state_classes
    return [name for name in held_classes(endpoint) if endpoint.quiesce_of(str(classes[name].application)) == "stop"]


def run_hooks_before(bench: Bench, deadline: Deadline) -> None:
    """Run what applications declare to be run before a backup, in their order; MachineError when one fails."""
    for name, hooks in hooks_of(bench.endpoint).items():
        bench.hooked = (*bench.hooked, name)
        save_checkpoint(bench)
        bench.machine.run(hooks.before, deadline).checked()


def hooks_of(endpoint: Endpoint) -> dict[str, Hooks]:
    """Return the hooks by application."""
    declared = {name: endpoint.quiesce_of(name) for name in endpoint.applications}
    return {name: how for name, how in declared.items() if isinstance(how, Hooks)}


def go_on(bench: Bench, deadline: Deadline, *, is_whole: bool) -> None:
    """Undo what makes the data still; with ``is_whole`` also start what was to stay stopped until the wipe.

    Everything is tried before MachineError says what did not work.
    """
    endpoint, troubles = bench.endpoint, list[str]()
    for name in reversed(bench.hooked):
        result = bench.machine.run(hooks_of(endpoint)[name].after, deadline)
        if result.exit_status == 0:
            bench.hooked = tuple(each for each in bench.hooked if each != name)
        else:
            troubles.append(_tell(result, f"the command 'after' of '{name}'"))
    if bench.is_quiesced and bench.machine.has_init:
        if frozen := _units(endpoint, "freeze"):
            _signal(bench.machine, _pids(bench.machine, frozen, deadline), "CONT", deadline)
        stopped = _units(endpoint, "pause", *(["stop"] if is_whole else []))
        if units := [unit for unit in stopped if _ran_before(bench, unit)]:
            result = bench.machine.run(f"systemctl start -- {' '.join(map(shlex.quote, units))}", deadline)
            troubles += [_tell(result, "'systemctl start'")] if result.exit_status else []
    bench.is_still = False
    if troubles:
        raise MachineError(f"On '{endpoint.name}' what was made still for the backup stays so: {'; '.join(troubles)}")


def _tell(result: Result, what: str) -> str:
    words = (result.stderr or result.stdout).decode("utf-8", "backslashreplace").strip()
    return f"{what} ended with status {result.exit_status}: {words[-500:]}"


def _ran_before(bench: Bench, unit: str) -> bool:
    """Whether a unit ran before the drill; one of which that is not known counts as one that did."""
    seen = bench.evidence.before.units if bench.evidence.before else {}
    return unit not in seen or seen[unit].active.startswith("active")


def _freeze(machine: Machine, units: Sequence[str], deadline: Deadline) -> None:
    """Stop every process of the units where it is; SettleTimeoutError when one does not, or goes on making others."""

    def is_frozen(is_last_try: bool) -> bool | None:
        soon = Deadline.after(_FREEZE_SECONDS) if is_last_try else deadline
        stopped = _stopped(machine, soon)  # asked first: who is made later is in the units, and goes
        going = [pid for pid in _pids(machine, units, soon) if pid not in stopped]
        _signal(machine, going, "STOP", soon)
        if going and is_last_try:
            raise SettleTimeoutError(f"On '{machine.name}' {len(going)} processes of {', '.join(units)} do not freeze.")
        return None if going else True

    wait_until(is_frozen, deadline, interval=0.02)


def _pids(machine: Machine, units: Sequence[str], deadline: Deadline) -> list[int]:
    found = parse_units(_ask(machine, GROUPS, deadline))
    return [pid for pid, unit in found.items() if unit in units]


def _stopped(machine: Machine, deadline: Deadline) -> set[int]:
    lines = _ask(machine, _STATES, deadline).splitlines()
    return {int(line.split("/")[2]) for line in lines if line.partition("State:")[2].split()[:1] in (["T"], ["Z"])}


def _signal(machine: Machine, pids: Sequence[int], signal: str, deadline: Deadline) -> None:
    """Send a signal to those processes that are still there."""
    if pids:
        _ask(machine, f"kill -s {signal} {' '.join(map(str, pids))} 2>/dev/null; true", deadline)


def _ask(machine: Machine, command: str, deadline: Deadline) -> str:
    """Return what a command prints; not in the shell that all share, which may wait for what is frozen."""
    return machine.send(command, iter(()), deadline).checked().text


def _units(endpoint: Endpoint, *ways: str) -> list[str]:
    """Return the units of all applications that are made still in one of these ways."""
    chosen = (each for name, each in endpoint.applications.items() if endpoint.quiesce_of(name) in ways)
    return list(dict.fromkeys(unit for each in chosen for unit in each.units))
