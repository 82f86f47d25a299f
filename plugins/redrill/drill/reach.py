"""Finding an endpoint and opening a live handle of it."""

from redrill.backends import load_backend
from redrill.errors import FleetError, MachineError, RedrillError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
from redrill.machine.ssh_machine import OldBoot, SshMachine, wait_for_ssh
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import Location
from redrill.provisioners.protocol import Destined, Provisioner


def make_provisioner(fleet: Fleet, endpoint: Endpoint) -> Provisioner | None:
    """Return the provisioner that the fleet file declares for an endpoint, if any."""
    if endpoint.provisioner is None:
        return None
    made: Provisioner = load_backend("provisioners", endpoint.provisioner.kind)(fleet, endpoint)
    return made


def make_builder(fleet: Fleet, endpoint: Endpoint) -> Provisioner | None:
    """Return the provisioner of an endpoint's new host, which calls it by the host's own name and address."""
    return make_provisioner(fleet, endpoint.relocated) if endpoint.relocate else None


def destination_of(endpoint: Endpoint, builder: Provisioner) -> Location:
    """Return where the new host of an endpoint will be; its host keys are not known yet."""
    if isinstance(builder, Destined):
        return builder.destination()
    new = endpoint.relocated
    if new.address is None:
        raise FleetError(f"endpoints.{endpoint.name}.relocate: the new host '{new.name}' needs an 'address:'.")
    return Location(address=new.address, port=new.ssh.port)


def locate(fleet: Fleet, endpoint: Endpoint) -> Location:
    """Return where an endpoint is now, by its provisioner, else by the fleet file; MachineError when it is nowhere."""
    provisioner = make_provisioner(fleet, endpoint)
    if provisioner is not None:
        location = provisioner.locate()
        if location is None:
            advice = tell_move(fleet, endpoint) or "; bring it up first (the lab: 'redrill lab up')."
            raise MachineError(f"Endpoint '{endpoint.name}' is not up{advice}")
        return location
    if endpoint.address is None:
        raise FleetError(f"{fleet.source}: endpoint '{endpoint.name}' has neither 'address:' nor 'provisioner:'.")
    return Location(address=endpoint.address, port=endpoint.ssh.port, host_keys=endpoint.ssh.host_keys)


def tell_move(fleet: Fleet, endpoint: Endpoint) -> str:
    """Return how a sentence about an endpoint that is not up ends when its new host is; '' when that is not up."""
    try:
        builder = make_builder(fleet, endpoint)
        if builder is None or builder.locate() is None:
            return ""
    except RedrillError:  # a wrong 'relocate:' is told where somebody wants to go there
        return ""
    return (
        f", but its new host '{endpoint.relocated.name}' is. If it has moved for good, {describe_move(endpoint)}. "
        "If a drill was interrupted, resume that."
    )


def describe_move(endpoint: Endpoint) -> str:
    """Return what the owner of a fleet file has to change in it once an endpoint has moved for good."""
    new, host = endpoint.relocate, endpoint.relocated
    said = [f"call the endpoint '{host.name}'", *([f"give it 'address: {host.address}'"] if host.address else [])]
    said += ["give it the provisioner of 'relocate:'"] if new and new.provisioner else []
    return f"say so in the fleet file: {', '.join(said)} and take its 'relocate:' out"


def reach(endpoint: Endpoint, location: Location, deadline: Deadline, old: OldBoot | None = None) -> Machine:
    """Return a live handle of the endpoint at ``location``, believing only another boot than the old one.

    Raises MachineError when it does not answer in time, or when the old boot goes on answering.
    """
    if location.root is not None:
        return LocalMachine(endpoint.name, location.root)
    return wait_for_ssh(lambda: SshMachine(endpoint.name, endpoint.ssh, location), deadline, old)
