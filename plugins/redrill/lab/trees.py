"""The part of a lab that are directories: deployed and given their Day-1 state without root, removed again."""

import shlex
import shutil
from pathlib import Path

from redrill.drill.locks import forget, identify, open_locks
from redrill.errors import FleetError
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
    """Deploy an endpoint and run its Day-1 script, unless it stands already; CommandError when the script fails."""
    provisioner = TreeProvisioner(fleet, endpoint)
    if provisioner.locate():
        report(f"{endpoint.name}: stands already.")
        return
    deadline = Deadline.after(DAY1_SECONDS)
    location = provisioner.redeploy(deadline)
    forget(open_locks(fleet), endpoint.name, identify(location), "the lab made it anew")
    if endpoint.day1 and location.root:
        variables = f"REDRILL_ENDPOINT={endpoint.name} REDRILL_SINK={shlex.quote(_sink_path(fleet, endpoint))}"
        machine = LocalMachine(endpoint.name, location.root)
        machine.run(f"{variables} sh {shlex.quote(str(endpoint.day1))}", deadline).checked()
    report(f"{endpoint.name}: stands in {location.root}.")


def take_down_tree(fleet: Fleet, endpoint: Endpoint) -> None:
    """Remove an endpoint with its backups and its log sink; what is not there is no error."""
    TreeProvisioner(fleet, endpoint).remove()
    settings = TreeProvisioner.Settings.model_validate(endpoint.provisioner.settings if endpoint.provisioner else {})
    for backend, name in ((endpoint.repository, "directory"), (endpoint.log_sink, "path")):
        path = Path(str(backend.settings.get(name, ""))) if backend else Path()
        if path.is_relative_to(settings.directory) and path != settings.directory:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    if settings.directory.is_dir() and not any(settings.directory.iterdir()):
        settings.directory.rmdir()


def tree_row(fleet: Fleet, endpoint: Endpoint) -> LabRow:
    """Return what stands of an endpoint."""
    location = TreeProvisioner(fleet, endpoint).locate()
    return LabRow(endpoint.name, str(location.root) if location else "", "running" if location else "absent", None)


def _sink_path(fleet: Fleet, endpoint: Endpoint) -> str:
    path = endpoint.log_sink.settings.get("path") if endpoint.log_sink else None
    if endpoint.log_sink and path is None:
        raise FleetError(f"{fleet.source}: endpoint '{endpoint.name}': a directory logs to a 'file' sink only.")
    return str(path or "/dev/null")
