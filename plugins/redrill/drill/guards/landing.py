"""The guard of mode 'relocate': where the new host is to be there must be nobody, or what an earlier drill has left."""

from collections.abc import Iterable

from redrill.drill.guards.endpoint import is_made_here, resolve
from redrill.drill.guards.protection import Controller, judge_address, judge_words
from redrill.drill.guards.state import GuardState, passes, refuses, told
from redrill.drill.reach import destination_of, make_builder, make_provisioner
from redrill.machine.presence import is_taken
from redrill.model.fleet import Endpoint, Fleet
from redrill.provisioners.protocol import Provisioner, Removable, Stoppable

NAME = "new host"


def judge_landing(fleet: Fleet, controller: Controller, endpoint: Endpoint) -> GuardState:
    """Judge whether the new host of an endpoint may be made, and the old one be stopped and started again."""
    return told(NAME, lambda: _judge(fleet, controller, endpoint), endpoint.name)


def _judge(fleet: Fleet, controller: Controller, endpoint: Endpoint) -> GuardState:
    builder = make_builder(fleet, endpoint)
    if builder is None:
        return refuses(NAME, "the fleet file does not say 'relocate:'", endpoint.name)
    if missing := _missing_ability(make_provisioner(fleet, endpoint), builder, endpoint):
        return refuses(NAME, missing, endpoint.name)
    new, place = endpoint.relocated, destination_of(endpoint, builder)
    addresses, _ = resolve(new, place)
    unwanted = [judge_words(fleet.guards.protected, new, addresses), judge_address(controller, new, addresses)]
    if against := [state for state in unwanted if state.forbids]:
        return refuses(NAME, f"'{new.name}': {against[0].detail}", endpoint.name)
    return _judge_place(builder, new, addresses, place.port, endpoint.name)


def _missing_ability(old: Provisioner | None, builder: Provisioner, endpoint: Endpoint) -> str:
    """Return what the provisioners cannot do of all that is needed, in words."""
    if not isinstance(old, Stoppable):
        return "the provisioner of the old host cannot stop and start it"
    is_rehearsal = endpoint.relocate is not None and endpoint.relocate.keep == "old"
    gone = builder if is_rehearsal else old
    return "" if isinstance(gone, Removable) else "the provisioner of the host that is not kept cannot remove it"


def _judge_place(builder: Provisioner, new: Endpoint, addresses: Iterable[str], port: int, endpoint: str) -> GuardState:
    if builder.locate() is not None:
        if not is_made_here(builder):
            return refuses(NAME, f"there is a '{new.name}' already, and redrill has not made it", endpoint)
        return passes(NAME, f"'{new.name}', which an earlier drill has left, is replaced", endpoint)
    if is_taken(addresses, port):
        return refuses(NAME, f"somebody is at the address of '{new.name}' already; free it", endpoint)
    return passes(NAME, f"there is no '{new.name}' yet", endpoint)
