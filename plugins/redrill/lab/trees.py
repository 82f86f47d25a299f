"""The part of a lab that are directories: deployed and given their Day-1 state without root, removed again."""

import shlex
import shutil
from pathlib import Path

from redrill.drill.locks import forget, identify, open_locks
from redrill.drill.reach import tell_move
from redrill.errors import FleetError, GuardError
from redrill.lab.report import LabRow, Report
from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.provisioners.tree import TreeProvisioner

DAY1_SECONDS = 60.0


def trees_of(fleet: Fleet) -> tuple[Endpoint, ...]:
    """Return the endpoints that are directories."""
    return tuple(each for each in fleet.endpoints if each.provisioner and each.provisioner.kind == "tree")


def bring_up_tree(fleet: Fleet, endpoint: Endpoint, report: Report) -> None:
    """Deploy an endpoint and run its Day-1 script, unless it stands already; CommandError when the script fails.

    GuardError for one that has moved to a new host, for nobody wants two of it, and for a directory of the owner's.
    """
    provisioner = TreeProvisioner(fleet, endpoint)
    if provisioner.locate():
        report(f"{endpoint.name}: stands already.")
        return
    if words := tell_move(fleet, endpoint):
        raise GuardError(f"The endpoint '{endpoint.name}' is not made anew: it is not up{words}")
    root = provisioner.destination().root
    if root and root.exists() and not provisioner.made_it():
        raise GuardError(
            f"'{root}' was there before, and redrill has not made it: move it away, or name another folder."
        )
    deadline = Deadline.after(DAY1_SECONDS)
    location = provisioner.redeploy(deadline)
    forget(open_locks(fleet), endpoint.name, identify(location), "the lab made it anew")
    if endpoint.day1 and location.root:
        variables = f"REDRILL_ENDPOINT={endpoint.name} REDRILL_SINK={shlex.quote(_sink_path(fleet, endpoint))}"
        machine = LocalMachine(endpoint.name, location.root)
        machine.run(f"{variables} sh {shlex.quote(str(endpoint.day1))}", deadline).checked()
    report(f"{endpoint.name}: stands in {location.root}.")


def take_down_tree(fleet: Fleet, endpoint: Endpoint) -> None:
    """Remove an endpoint with its new host, its backups and its log sink; what is not there is no error."""
    for host in _hosts(endpoint):
        TreeProvisioner(fleet, host).remove()
    settings = TreeProvisioner.Settings.model_validate(endpoint.provisioner.settings if endpoint.provisioner else {})
    for backend, name in ((endpoint.repository, "directory"), (endpoint.log_sink, "path")):
        path = Path(str(backend.settings.get(name, ""))) if backend else Path()
        if path.is_relative_to(settings.directory) and path != settings.directory:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if settings.directory.is_dir() and not any(settings.directory.iterdir()):
        settings.directory.rmdir()


def tree_rows(fleet: Fleet, endpoint: Endpoint) -> list[LabRow]:
    """Return what stands of an endpoint, and of a new host that a drill has left of it."""
    own, *new = (_row(fleet, host) for host in _hosts(endpoint))
    return [own, *(row for row in new if row.state != "absent")]


def _row(fleet: Fleet, host: Endpoint) -> LabRow:
    provisioner = TreeProvisioner(fleet, host)
    root = provisioner.destination().root
    state = "running" if provisioner.locate() else ("stopped" if root and root.exists() else "absent")
    return LabRow(host.name, str(root) if state != "absent" else "", state, None)


def _hosts(endpoint: Endpoint) -> list[Endpoint]:
    """Return an endpoint, and as what its new host is, where that is a directory as well."""
    new = endpoint.relocated.provisioner
    moves = endpoint.relocate is not None and new is not None and new.kind == "tree"
    return [endpoint, *([endpoint.relocated] if moves else [])]


def _sink_path(fleet: Fleet, endpoint: Endpoint) -> str:
    path = endpoint.log_sink.settings.get("path") if endpoint.log_sink else None
    if endpoint.log_sink and path is None:
        raise FleetError(f"{fleet.source}: endpoint '{endpoint.name}': a directory logs to a 'file' sink only.")
    return str(path or "/dev/null")
