"""What owns the state of a running system must stand still while its files are restored under it."""

import re
import shlex

from redrill.errors import RestoreError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint

_ESSENTIAL = re.compile(
    r"(ssh|sshd|dbus|dbus-broker|systemd-(journald|udevd|networkd|resolved|logind|timesyncd)|NetworkManager|wpa_supplicant|"
    r"polkit|getty@.*|serial-getty@.*|console-getty|user@.*|ssh@.*|sshd@.*)\.service|init\.scope|session-.*\.scope"
)
"""What keeps the endpoint reachable; none of it owns data in the state paths that a restore would tear apart."""

_HOLDERS = r"""
find /proc/[0-9]*/fd /proc/[0-9]*/cwd \( -lname '/var/*' -o -lname '/home/*' \) -printf '%p\n' 2>/dev/null |
  cut -d/ -f3 | sort -u |
  while read -r pid; do sed -n 's|^0::||p; s|^1:name=systemd:||p' /proc/$pid/cgroup 2>/dev/null | head -n 1; done |
  sort -u
"""


def stop_owners(machine: Machine, endpoint: Endpoint, deadline: Deadline) -> None:
    """Stop the declared units, then every service that holds files of the state paths; journald lets go of /var.

    Raises RestoreError naming what still holds them: a restore under a running owner destroys its data.
    """
    declared = [unit for application in endpoint.applications.values() for unit in application.units]
    _stop(machine, declared, deadline)
    _stop(machine, ["systemd-journal-flush.service", *_holders(machine, deadline)], deadline)
    machine.run("journalctl --relinquish-var", deadline).checked()
    left = _holders(machine, deadline)
    if left:
        raise RestoreError(
            f"On '{endpoint.name}' these units still hold files of the state paths and cannot be stopped: "
            f"{', '.join(left)}. Declare them as 'units' of an application, or ship them disabled in the image."
        )


def _stop(machine: Machine, units: list[str], deadline: Deadline) -> None:
    if units:
        # An unknown unit is not an error: the fresh image may not have it.
        words = " ".join(map(shlex.quote, units))
        machine.run(f"systemctl stop --quiet -- {words} 2>/dev/null", deadline)


def _holders(machine: Machine, deadline: Deadline) -> list[str]:
    groups = machine.run(_HOLDERS, deadline).checked().text.splitlines()
    units = {next((part for part in reversed(group.split("/")) if "." in part), "") for group in groups}
    return sorted(unit for unit in units if unit and not _ESSENTIAL.fullmatch(unit))
