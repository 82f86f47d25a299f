"""The guard of mode 'relocate': where the new host is to be there must be nobody, or what an earlier drill has left."""

from collections.abc import Iterable

from redrill.drill.guards.endpoint import is_made_here, resolve
from redrill.drill.guards.protection import Controller, judge_address, judge_words
from redrill.drill.guards.state import GuardState, passes, refuses, told
from redrill.drill.reach import destination_of, make_builder
from redrill.machine.presence import is_taken
from redrill.model.fleet import Endpoint, Fleet
from redrill.provisioners.protocol import Provisioner

NAME = "new host"


def judge_landing(fleet: Fleet, controller: Controller, endpoint: Endpoint) -> GuardState:
    """Judge whether the new host of an endpoint may be made where it is to be."""
    return told(NAME, lambda: _judge(fleet, controller, endpoint), endpoint.name)


def _judge(fleet: Fleet, controller: Controller, endpoint: Endpoint) -> GuardState:
    builder = make_builder(fleet, endpoint)
    if builder is None:
        return refuses(NAME, "the fleet file does not say 'relocate:'", endpoint.name)
    new, place = endpoint.relocated, destination_of(endpoint, builder)
    addresses, _ = resolve(new, place)
    unwanted = [judge_words(fleet.guards.protected, new, addresses), judge_address(controller, new, addresses)]
    if against := [state for state in unwanted if state.forbids]:
        return refuses(NAME, f"'{new.name}': {against[0].detail}", endpoint.name)
    return _judge_place(builder, new, addresses, place.port, endpoint.name)


def _judge_place(builder: Provisioner, new: Endpoint, addresses: Iterable[str], port: int, endpoint: str) -> GuardState:
    if builder.locate() is not None:
        if not is_made_here(builder):
            return refuses(NAME, f"there is a '{new.name}' already, and redrill has not made it", endpoint)
        return passes(NAME, f"'{new.name}', which an earlier drill has left, is replaced", endpoint)
    if is_taken(addresses, port):
        return refuses(NAME, f"somebody is at the address of '{new.name}' already; free it", endpoint)
    return passes(NAME, f"there is no '{new.name}' yet", endpoint)
