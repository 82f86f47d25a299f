"""All guards of one endpoint, over what was found out about it: for the plan, and again right before the wipe."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

from redrill.drill.guards.limits import judge_clock
from redrill.drill.guards.live import Identity, LiveFacts, read_live
from redrill.drill.guards.protection import (
    Controller,
    judge_address,
    judge_protected,
    judge_self,
    judge_words,
)
from redrill.drill.guards.schedule import judge_interval
from redrill.drill.guards.state import GuardState, off, passes, refuses, told, unknown
from redrill.drill.guards.token import NAME as TOKEN
from redrill.drill.guards.token import judge_token
from redrill.drill.reach import locate, make_provisioner, reach
from redrill.errors import CommandError, HostKeyError, MachineError, RedrillError
from redrill.machine.ssh_config import resolve_hops
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import ImageFacts, Location
from redrill.provisioners.protocol import Identified, Maker, Provisioner

READ_SECONDS = 10.0
"""How long an endpoint may take to say who it is."""


@dataclass(frozen=True, slots=True)
class Survey:
    """What was found out about an endpoint: ``facts`` are None when it could not, or must not, be asked (``trouble``).

    ``addresses`` are those that its address stands for, ``places`` what no two endpoints may share. A silent one gave
    no answer at all: it gets no permit, and its drill ends where it cannot connect. One that answers as somebody else
    is not silent, it is a wrong host.
    """

    endpoint: Endpoint
    location: Location | None = None
    addresses: tuple[str, ...] = ()
    places: frozenset[str] = frozenset()
    facts: LiveFacts | None = None
    image: ImageFacts | None = None
    is_made_here: bool = False
    trouble: str = ""
    is_silent: bool = False

    @property
    def identity(self) -> Identity:
        """Who it is; nothing known when it was not asked."""
        return self.facts.identity if self.facts else Identity()


def survey(fleet: Fleet, endpoint: Endpoint, controller: Controller) -> Survey:
    """Find out about an endpoint, read-only; one that is protected or the controller is not even connected to."""
    found = Survey(endpoint, trouble="it was not asked")
    try:
        provisioner = make_provisioner(fleet, endpoint)
        location = locate(fleet, endpoint)
        addresses, places = resolve(endpoint, location)
        found = Survey(endpoint, location, addresses, places, is_made_here=is_made_here(provisioner))
        if any(state.forbids for state in _judge_unasked(fleet, controller, found)):
            return replace(found, trouble="it is never connected to")
        found = replace(found, image=provisioner.describe_image() if provisioner else None)
        return replace(found, facts=_ask(fleet, endpoint, location, resource_of(provisioner)))
    except (RedrillError, OSError, ValueError) as error:
        is_silent = isinstance(error, MachineError) and not isinstance(error, HostKeyError | CommandError)
        return replace(found, trouble=str(error) or type(error).__name__, is_silent=is_silent)


def is_made_here(provisioner: Provisioner | None) -> bool:
    """Whether the provisioner says that it made the endpoint itself; one that cannot say so did not."""
    return isinstance(provisioner, Maker) and provisioner.made_it()


def resource_of(provisioner: Provisioner | None) -> str:
    """Return the provisioner's own id of what it would destroy, '' when it has none."""
    return provisioner.resource_id() if isinstance(provisioner, Identified) else ""


def _ask(fleet: Fleet, endpoint: Endpoint, location: Location, resource: str) -> LiveFacts:
    deadline = Deadline.after(READ_SECONDS)
    machine = reach(endpoint, location, deadline)
    try:
        return read_live(machine, fleet.guards, resource, deadline)
    finally:
        machine.close()


def resolve(endpoint: Endpoint, location: Location) -> tuple[tuple[str, ...], frozenset[str]]:
    """Return what the address stands for, and the places; MachineError when nobody knows the name."""
    if location.root is not None:
        return (), frozenset({str(location.root.resolve())})
    hops = resolve_hops(endpoint.name, endpoint.ssh, location)
    host, port = hops[-1].host, hops[-1].port
    if len(hops) > 1:  # the name means what it means beyond the jump host
        return (), frozenset({f"{host} port {port} behind {hops[-2].host}"})
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise MachineError(f"the address '{host}' cannot be resolved: {error}") from error
    addresses = tuple(dict.fromkeys(str(info[4][0]) for info in found))
    return addresses, frozenset(f"{address} port {port}" for address in addresses)


def _judge_unasked(fleet: Fleet, controller: Controller, found: Survey) -> list[GuardState]:
    return [
        judge_words(fleet.guards.protected, found.endpoint, found.addresses),
        judge_address(controller, found.endpoint, found.addresses),
    ]


def judge_endpoint(fleet: Fleet, controller: Controller, found: Survey, now: datetime) -> Iterator[GuardState]:
    """Yield the state of every guard of one endpoint; where it could not be asked, what is known without it counts."""
    endpoint, facts = found.endpoint, found.facts
    yield _judge_opt_in(endpoint)
    unasked = _judge_unasked(fleet, controller, found)
    if facts is None:
        yield from (state for state in unasked if state.forbids)
        yield unknown("identity", found.trouble, endpoint.name)
        return
    root = found.location.root if found.location else None
    protected = fleet.guards.protected
    yield told("protected", lambda: judge_protected(protected, endpoint, found.addresses, facts), endpoint.name)
    yield unasked[1] if unasked[1].forbids else judge_self(controller, endpoint, root, facts)
    yield _judge_identity(endpoint, facts)
    yield _judge_token(fleet, found, facts, now)
    yield judge_clock(fleet, endpoint, facts)
    yield judge_interval(fleet, endpoint, facts.identity, now)


def _judge_opt_in(endpoint: Endpoint) -> GuardState:
    name = "expendable"
    if not endpoint.expendable:
        return refuses(name, "the fleet file does not say 'expendable: true'", endpoint.name)
    return passes(name, "the fleet file says so", endpoint.name)


def _judge_identity(endpoint: Endpoint, facts: LiveFacts) -> GuardState:
    if not facts.identity.words:
        return unknown("identity", "it has neither machine-id nor firmware UUID nor resource id", endpoint.name)
    if facts.has_init and "machine_id" in facts.unknown:
        return unknown("identity", f"machine-id: {facts.unknown['machine_id']}", endpoint.name)
    return passes("identity", facts.identity.digest, endpoint.name)


def _judge_token(fleet: Fleet, found: Survey, facts: LiveFacts, now: datetime) -> GuardState:
    name = found.endpoint.name
    if fleet.disposable and found.is_made_here:
        return off(TOKEN, "the fleet is disposable and the provisioner made this endpoint itself", name)
    if not fleet.guards.allow_token.required:
        return off(TOKEN, "the fleet file does not require it", name)
    owners = (0,) if facts.has_init else (0, os.geteuid())
    return judge_token(fleet, found.endpoint, facts, now, owners)


def place_of(found: Survey) -> str:
    """Return the one address or directory that stands for an endpoint in a plan."""
    location = found.location
    if location is None:
        return "nowhere"
    return str(location.root.resolve()) if location.root else f"{location.address} port {location.port}"
