"""What owns the state of a running system must stand still while its files are restored under it."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from redrill.errors import RestoreError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Endpoint
from redrill.model.values import STATE_PATHS
from redrill.probes.processes import GROUPS, NAMES, parse_names, parse_units

BOOT_SECONDS = 300.0
"""How long a fresh system may take to start everything that it starts by itself."""

PATIENCE = 30.0
"""How long owners may take to go, from the first that was asked to the last that was killed."""

_ESSENTIAL = re.compile(
    r"(sshd?(@.*)?|dropbear|dbus|dbus-broker|systemd-(udevd|networkd|resolved|logind)|NetworkManager|networking|"
    r"ifup@.*|dhcpcd(@.*)?|dhclient(@.*)?|wpa_supplicant(@.*)?|iwd|connman|tailscaled|wg-quick@.*|openvpn.*)"
    r"\.(service|socket)|(systemd-udevd-.*)\.socket|init\.scope"
)
"""What keeps the endpoint reachable. Their leases and timestamps in /var are worth less than the way in."""

_TIMED = ("*.timer", "*.path")
_RESTING = ("inactive", "failed")
_HELD = " -o ".join(f"-lname {path} -o -lname '{path}/*'" for path in STATE_PATHS)
_WRITABLE = f"^[^ ]+ .w.s [^/]* ({'|'.join(STATE_PATHS)})/"

_LOOK = (
    "echo $$ $(id -u)",
    # Names hold newlines: a line of one must never pass for the number of a process that is then killed.
    rf"find /proc/[0-9]*/fd /proc/[0-9]*/cwd /proc/[0-9]*/root \( {_HELD} \) -printf '%p\0%l\0' 2>/dev/null; true",
    f"grep -slE '{_WRITABLE}' /proc/[0-9]*/maps; true",
    GROUPS,
    NAMES,
)


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that holds a file of the state paths ('': mapped, and which is not known).

    ``unit`` is the system unit that it belongs to, '' for none.
    """

    pid: int
    name: str
    unit: str
    path: str

    def __str__(self) -> str:
        """Return who it is and what it holds, as part of a sentence."""
        what = f"'{self.path}'" if self.path else "a file that it has mapped"
        return f"'{self.name}' (process {self.pid} of {self.unit or 'no unit'}) holds {what}"


def stop_owners(machine: Machine, endpoint: Endpoint, deadline: Deadline) -> None:
    """Stop the declared units and whatever else holds files of the state paths; journald lets go of /var.

    Nothing may start later either: the boot has to be over, and timers, paths and sockets that would start an owner
    again are stopped too; only a reboot brings them back. What does not stop is killed: it owns nothing that is worth
    keeping. Raises RestoreError naming what is still there: a restore under a running owner destroys its data. What
    opens a file, writes and closes it again is not seen here, but by the comparison after the restore.
    """
    _wait_for_boot(machine, deadline.within(BOOT_SECONDS))
    declared = [unit for application in endpoint.applications.values() for unit in application.units]
    # Before anything is stopped: what is said then must not go to /var.
    machine.run("journalctl --relinquish-var", deadline).checked()
    _stop(machine, [*_TIMED, *declared, *_starting(machine, deadline)], deadline)
    evicted = _Eviction(machine).work(deadline.within(PATIENCE))
    _require_rest(machine, [*declared, *evicted], deadline)


def _wait_for_boot(machine: Machine, deadline: Deadline) -> None:
    """Return when no start is waiting any more: a unit that starts during the restore would write over it."""
    seconds = max(1, int(deadline.remaining))
    # The command's own time-out comes first; its end must still be heard.
    state = machine.run(f"timeout {seconds} systemctl is-system-running --wait", Deadline.after(seconds + 10)).text
    if state in {"", "initializing", "starting", "stopping"}:
        jobs = machine.run("systemctl list-jobs --no-legend --no-pager", Deadline.after(10)).text
        raise RestoreError(
            f"'{machine.name}' is still '{state or 'starting'}' {seconds} s after it answered, and a unit that starts "
            f"late would write over what is restored. Its waiting jobs: {' '.join(jobs.split()) or 'none'}."
        )


def _starting(machine: Machine, deadline: Deadline) -> list[str]:
    """Return services that are not up yet, among them those that failed and wait to be started again."""
    command = "systemctl list-units --type=service --state=activating --plain --full --no-legend --no-pager"
    return [line.split()[0] for line in machine.run(command, deadline).checked().text.splitlines()]


class _Eviction:
    """Asks holders to go: first their units, then the processes, then without asking."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._stopped: set[str] = set()
        self._warned: set[int] = set()

    def work(self, deadline: Deadline) -> list[str]:
        """Return the units that were stopped when nobody holds anything; RestoreError at the deadline."""
        wait_until(lambda is_last_try: self._is_done(deadline, is_last_try=is_last_try), deadline)
        return sorted(self._stopped)

    def _is_done(self, deadline: Deadline, *, is_last_try: bool) -> bool | None:
        soon = Deadline.after(deadline.budget)
        holders = find_holders(self._machine, soon)
        if holders and is_last_try:
            raise RestoreError(
                f"On '{self._machine.name}' these cannot be stopped: {'; '.join(map(str, holders))}. A restore under "
                "them would destroy data: ship them disabled in the image, or restore offline."
            )
        units = {holder.unit for holder in holders if holder.unit} - self._stopped
        if units:
            self._stopped |= units
            _stop(self._machine, sorted(units), soon)
        elif holders:
            self._kill({holder.pid for holder in holders}, soon)
        return None if holders else True

    def _kill(self, pids: set[int], deadline: Deadline) -> None:
        for signal, chosen in (("KILL", pids & self._warned), ("TERM", pids - self._warned)):
            if chosen:
                self._machine.run(f"kill -s {signal} {' '.join(map(str, sorted(chosen)))}", deadline)
        self._warned |= pids


def find_holders(machine: Machine, deadline: Deadline) -> list[Holder]:
    """Return the processes that hold files of the state paths, but for those that keep the endpoint reachable."""
    own, links, maps, groups, names = (result.checked().text for result in machine.batch(_LOOK, deadline))
    own_pid, own_uid = map(int, own.split())
    unit_of, name_of = parse_units(groups), parse_names(names)
    spared = {unit_of.get(own_pid, ""), f"user@{own_uid}.service"} - {""}
    holders: dict[int, Holder] = {}
    for pid, path in _held(links, maps):
        unit = unit_of.get(pid, "")
        if pid != own_pid and unit not in spared and not _ESSENTIAL.fullmatch(unit):
            holders.setdefault(pid, Holder(pid, name_of.get(pid, "?"), unit, path))
    return list(holders.values())


def _held(links: str, maps: str) -> Iterable[tuple[int, str]]:
    words = links.split("\0")
    for place, path in zip(words[::2], words[1::2], strict=False):
        yield int(place.split("/")[2]), path
    for place in maps.splitlines():
        yield int(place.split("/")[2]), ""


def _stop(machine: Machine, units: Sequence[str], deadline: Deadline) -> None:
    """Stop units with what would start them again; one that the image lacks or that refuses is judged later."""
    named = " ".join(shlex.quote(unit) for unit in units if unit not in _TIMED)
    triggers = machine.run(f"systemctl show --property=TriggeredBy --value -- {named}", deadline).text if named else ""
    chosen = [unit for unit in (*triggers.split(), *units) if not _ESSENTIAL.fullmatch(unit)]
    words = " ".join(map(shlex.quote, chosen))
    machine.run(f"timeout {int(PATIENCE)} systemctl stop --quiet -- {words} 2>/dev/null", deadline)


def _require_rest(machine: Machine, units: Sequence[str], deadline: Deadline) -> None:
    """Raise RestoreError unless all units are at rest: one that is about to be started again holds nothing yet."""
    commands = [f"systemctl show --property=ActiveState --value -- {shlex.quote(unit)}" for unit in units]
    states = [result.text for result in machine.batch(commands, deadline)]
    moving = [f"'{unit}' is {state}" for unit, state in zip(units, states, strict=True) if state not in _RESTING]
    if moving:
        raise RestoreError(
            f"On '{machine.name}' units that own data do not stop: {', '.join(moving)}. A restore under them would "
            "destroy their data: ship them disabled in the image, or restore offline."
        )
