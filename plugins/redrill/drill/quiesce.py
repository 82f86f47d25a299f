"""How the data of an endpoint stands still for a backup, as its applications declare, and goes on afterwards."""

import shlex
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from redrill.drill.bench import Bench
from redrill.drill.checkpoint import save_checkpoint
from redrill.errors import BackupError, MachineError, SettleTimeoutError
from redrill.machine.protocol import Machine, Result
from redrill.model.canary import Hooks
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Endpoint
from redrill.probes.processes import GROUPS, parse_units

_FREEZE_SECONDS = 30.0
_MOVING = frozenset({"active", "activating", "reloading", "deactivating"})
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


def require_still(bench: Bench, deadline: Deadline) -> None:
    """Raise BackupError when something of what was to stand still did not until the backup was made."""
    machine, endpoint = bench.machine, bench.endpoint
    if not machine.has_init:
        return
    units = _units(endpoint, "stop", "pause")
    asked = machine.batch([f"systemctl is-active -- {shlex.quote(unit)}" for unit in units], deadline)
    going = [unit for unit, result in zip(units, asked, strict=True) if _MOVING.intersection(result.text.split())]
    going += [unit for unit in _units(endpoint, "freeze") if _going(machine, [unit], deadline)]
    if going:
        raise BackupError(
            f"While the backup of '{endpoint.name}' was made, {', '.join(map(repr, going))} did not stand still, so it "
            "may hold half of a change. Nothing was wiped. Find what starts it (a socket, a timer, a watchdog, another "
            "unit), then drill again."
        )


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

    Everything is tried, and what hangs leaves time for the rest, before MachineError says what did not work.
    """
    undoings = _undoings(bench, is_whole=is_whole)
    troubles = []
    for index, undo in enumerate(undoings):
        try:
            undo(deadline.within(deadline.remaining / (len(undoings) - index)))
        except MachineError as error:
            troubles.append(str(error))
    bench.is_still = False
    bench.is_quiesced = bench.is_quiesced and bool(troubles or not is_whole)
    with suppress(OSError):  # a resume would only undo it once more
        save_checkpoint(bench)
    if troubles:
        what = "; ".join(troubles)
        raise MachineError(f"On '{bench.endpoint.name}' what was made still for the backup stays so: {what}")


def _undoings(bench: Bench, *, is_whole: bool) -> list[Callable[[Deadline], None]]:
    """Return what has to be done, the surest first: what is frozen, what was stopped, then the hooks of the owner."""
    undoings: list[Callable[[Deadline], None]] = [partial(_unhook, bench, name) for name in reversed(bench.hooked)]
    if bench.is_quiesced and bench.machine.has_init:
        stopped = _units(bench.endpoint, "pause", *(["stop"] if is_whole else []))
        if units := [unit for unit in stopped if _ran_before(bench, unit)]:
            undoings.insert(0, partial(_start, bench.machine, units))
        if frozen := _units(bench.endpoint, "freeze"):
            undoings.insert(0, partial(_thaw, bench.machine, frozen))
    return undoings


def _thaw(machine: Machine, units: Sequence[str], deadline: Deadline) -> None:
    _signal(machine, _pids(machine, units, deadline), "CONT", deadline)


def _start(machine: Machine, units: Sequence[str], deadline: Deadline) -> None:
    result = machine.run(f"systemctl start -- {' '.join(map(shlex.quote, units))}", deadline)
    _require_success(result, "'systemctl start'")


def _unhook(bench: Bench, name: str, deadline: Deadline) -> None:
    what = f"the command 'after' of '{name}'"
    try:
        result = bench.machine.run(hooks_of(bench.endpoint)[name].after, deadline)
    except MachineError as error:
        raise MachineError(f"{what}: {error}") from error
    _require_success(result, what)
    bench.hooked = tuple(each for each in bench.hooked if each != name)


def _require_success(result: Result, what: str) -> None:
    words = (result.stderr or result.stdout).decode("utf-8", "backslashreplace").strip()
    if result.exit_status != 0:
        raise MachineError(f"{what} ended with status {result.exit_status}: {words[-500:]}")


def _ran_before(bench: Bench, unit: str) -> bool:
    """Whether a unit ran before the drill; one of which that is not known counts as one that did."""
    seen = bench.evidence.before.units if bench.evidence.before else {}
    return unit not in seen or seen[unit].active.startswith("active")


def _freeze(machine: Machine, units: Sequence[str], deadline: Deadline) -> None:
    """Stop every process of the units where it is; SettleTimeoutError when one does not, or goes on making others."""

    def is_frozen(is_last_try: bool) -> bool | None:
        soon = Deadline.after(_FREEZE_SECONDS) if is_last_try else deadline
        going = _going(machine, units, soon)
        _signal(machine, going, "STOP", soon)
        if going and is_last_try:
            raise SettleTimeoutError(f"On '{machine.name}' {len(going)} processes of {', '.join(units)} do not freeze.")
        return None if going else True

    wait_until(is_frozen, deadline, interval=0.02)


def _going(machine: Machine, units: Sequence[str], deadline: Deadline) -> list[int]:
    """Return the processes of the units that are not frozen."""
    stopped = _stopped(machine, deadline)  # asked first: who is made later is in the units, and goes
    return [pid for pid in _pids(machine, units, deadline) if pid not in stopped]


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
