"""The state that an endpoint of the lab has before its first drill, made by its Day-1 script and nothing else."""

import shlex
from pathlib import Path

from redrill.errors import FleetError
from redrill.lab.passwords import FOLDER, hand_over
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import Location

SCRIPT = "/run/redrill-day1"


def run_day1(fleet: Fleet, endpoint: Endpoint, location: Location, deadline: Deadline) -> None:
    """Run the endpoint's Day-1 script, when it has one; CommandError when that fails.

    It is run as root by bash with REDRILL_ENDPOINT, REDRILL_ADDRESS and REDRILL_SINK_ADDRESS set. REDRILL_SECRETS is a
    folder in which each secret of its applications is a file, such as 'shop/postgresql/password', until it has ended.
    """
    if endpoint.day1 is None:
        return
    machine = SshMachine(endpoint.name, endpoint.ssh, location)
    try:
        _run_script(machine, fleet, endpoint, fleet.source.parent / endpoint.day1, deadline)
    finally:
        machine.close()


def wait_for_order(endpoint: Endpoint, location: Location, deadline: Deadline) -> None:
    """Return when the system says that it is 'running'; CommandError lists failed units and waiting jobs else."""
    machine = SshMachine(endpoint.name, endpoint.ssh, location)
    try:
        wait_until(lambda is_last_try: _is_in_order(machine, is_last_try), deadline, interval=0.1)
    finally:
        machine.close()


def sink_address(fleet: Fleet, endpoint: Endpoint) -> str:
    """Return the address of the endpoint's log sink; '' when it has none within the fleet."""
    sink = endpoint.log_sink.settings.get("endpoint") if endpoint.log_sink else None
    if sink is None:
        return ""
    try:
        return str(fleet.endpoint(sink).address)
    except KeyError:
        where = f"endpoints.{endpoint.name}.log_sink.endpoint"
        raise FleetError(f"{where}: the fleet '{fleet.name}' has no endpoint '{sink}'") from None


def _run_script(machine: SshMachine, fleet: Fleet, endpoint: Endpoint, script: Path, deadline: Deadline) -> None:
    variables = {
        "REDRILL_ENDPOINT": endpoint.name,
        "REDRILL_ADDRESS": str(endpoint.address),
        "REDRILL_SINK_ADDRESS": sink_address(fleet, endpoint),
        "REDRILL_SECRETS": FOLDER,
    }
    words = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
    # Not piped into a shell: what the script runs could read the rest of it as its own input.
    with script.open("rb") as source:
        machine.send(f"cat >{SCRIPT}", source, deadline).checked()
    hand_over(machine, endpoint, deadline)
    machine.run(f"{words} bash {SCRIPT} </dev/null", deadline).checked()
    machine.run(f"rm -rf {SCRIPT} {FOLDER}", deadline).checked()


def _is_in_order(machine: SshMachine, is_last_try: bool) -> bool | None:
    soon = Deadline.after(5)
    if machine.run("systemctl is-system-running", soon).text == "running":
        return True
    if is_last_try:
        machine.run("systemctl --failed --no-legend --plain; systemctl list-jobs --no-legend; false", soon).checked()
    return None
