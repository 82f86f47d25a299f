"""All that is asked while the endpoints of one wave are drilled: their applications, and those around them."""

import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from redrill.drill.health.asking import Target
from redrill.drill.health.probe import Moment, Probe
from redrill.drill.reach import locate, reach
from redrill.errors import RedrillError
from redrill.machine.protocol import Machine
from redrill.model.application import Application
from redrill.model.checks import NEEDS_MACHINE
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.needs import applications_of
from redrill.model.record import Location

_CONNECT_SECONDS = 30.0


class Subject(Protocol):
    """A drill of one endpoint, as far as its applications can be asked."""

    endpoint: Endpoint

    @property
    def target(self) -> Target:
        """Where its applications are asked now."""

    @property
    def moment(self) -> Moment:
        """What is going on with it."""


@dataclass(frozen=True, slots=True)
class Around:
    """The applications of other endpoints that the drill of one has to do with, by 'endpoint/application'.

    ``neighbours`` must not notice it; ``dependents`` need one of its own; ``needed`` are what its own need.
    """

    neighbours: tuple[str, ...]
    dependents: tuple[str, ...]
    needed: tuple[str, ...]

    @classmethod
    def of(cls, fleet: Fleet, endpoint: Endpoint) -> "Around":
        """Look around an endpoint."""
        own = f"{endpoint.name}/"
        others = {name: each for name, each in applications_of(fleet.endpoints).items() if not name.startswith(own)}
        needed = [name for each in endpoint.applications.values() for name in each.needs]
        dependents = [name for name, each in others.items() if any(need.startswith(own) for need in each.needs)]
        neighbours = [name for name in endpoint.neighbours if name in others and name not in dependents]
        return cls(*(tuple(dict.fromkeys(names)) for names in (neighbours, dependents, needed)))

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys([*self.neighbours, *self.dependents, *self.needed])


class Site:
    """The probes of one wave: an application is asked by one thread, however many drills want to know."""

    def __init__(self, fleet: Fleet, subjects: Iterable[Subject]) -> None:
        self._fleet = fleet
        self._subjects = {subject.endpoint.name: subject for subject in subjects}
        self._probes: dict[str, Probe] = {}
        self._outsiders: dict[str, _Outsider] = {}
        self._users: dict[str, set[str]] = {}
        self._turn = threading.Lock()

    def is_drilled(self, name: str) -> bool:
        """Whether an application is on an endpoint that is drilled in this wave."""
        return name.partition("/")[0] in self._subjects

    def around(self, endpoint: Endpoint) -> Around:
        """Return what the drill of an endpoint has to do with."""
        return Around.of(self._fleet, endpoint)

    def begin(self, subject: Subject, *, has_neighbours: bool) -> None:
        """Ask the endpoint's own applications from now on, and those around it that are not drilled themselves."""
        endpoint = subject.endpoint
        for short, application in endpoint.applications.items():
            self._start(f"{endpoint.name}/{short}", application, endpoint.name, subject)
        known = applications_of(self._fleet.endpoints)
        for name in self.around(endpoint) if has_neighbours else ():
            if self.is_drilled(name):
                self._use(name, endpoint.name)
            else:
                self._start(name, known[name], endpoint.name, None)

    def probe(self, name: str) -> Probe | None:
        """Return the probe of 'endpoint/application', None when it is not asked."""
        return self._probes.get(name)

    def own_probes(self, endpoint: Endpoint) -> Mapping[str, Probe]:
        """Return the probes of an endpoint's own applications, by their short names."""
        found = {name: self._probes.get(f"{endpoint.name}/{name}") for name in endpoint.applications}
        return {name: probe for name, probe in found.items() if probe}

    def leave(self, endpoint: str, names: Iterable[str] | None = None) -> None:
        """One drill wants to know no more (of these applications); what nobody wants to know is asked no more.

        What a drilled endpoint has answered stays known; around it, who comes later begins to ask anew. What has to be
        asked on an endpoint is not asked without its drill, whose connection ends with it.
        """
        with self._turn:
            left = [name for name in (self._users if names is None else names) if endpoint in self._users.get(name, ())]
            for name in left:
                self._users[name].discard(endpoint)
            unused = [name for name in left if not self._users[name] and name in self._probes]
            if names is None:
                unused += [name for name in self._probes if name not in unused and self._is_asked_on(endpoint, name)]
            idle = [self._probes[name] if self.is_drilled(name) else self._probes.pop(name) for name in unused]
            hosts = {name.partition("/")[0] for name, users in self._users.items() if users}
            gone = [self._outsiders.pop(host) for host in list(self._outsiders) if host not in hosts]
        for probe in idle:
            probe.stop()
        for outsider in gone:
            outsider.close()

    def _is_asked_on(self, endpoint: str, name: str) -> bool:
        return name.startswith(f"{endpoint}/") and _needs_machine(self._probes[name].application)

    def _use(self, name: str, user: str) -> None:
        with self._turn:
            self._users.setdefault(name, set()).add(user)

    def _start(self, name: str, application: Application, user: str, subject: Subject | None) -> None:
        self._use(name, user)
        with self._turn:
            if name not in self._probes:
                target, moment = (
                    (lambda: subject.target, lambda: subject.moment)
                    if subject
                    else (self._outsider(name.partition("/")[0], application).target, lambda: Moment.WATCHED)
                )
                self._probes[name] = Probe(name, application, target, moment)
            self._probes[name].start()

    def _outsider(self, host: str, application: Application) -> "_Outsider":
        outsider = self._outsiders.setdefault(host, _Outsider(self._fleet, self._fleet.endpoint(host)))
        outsider.has_inside = outsider.has_inside or _needs_machine(application)
        return outsider


def _needs_machine(application: Application) -> bool:
    return any(isinstance(each, NEEDS_MACHINE) for each in application.checks)


@dataclass(slots=True)
class _Outsider:
    """An endpoint that is not drilled; it is logged in to only where a check must be asked there."""

    fleet: Fleet
    endpoint: Endpoint
    has_inside: bool = False
    _location: Location | None = None
    _machine: Machine | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def target(self) -> Target:
        """Return where it is asked; a RedrillError when it is nowhere, or cannot be logged in to."""
        with self._turn:
            self._location = self._location or locate(self.fleet, self.endpoint)
            if self.has_inside and self._machine is None:
                self._machine = reach(self.endpoint, self._location, Deadline.after(_CONNECT_SECONDS))
            return Target(self._location.address, self._machine)

    def close(self) -> None:
        """Log out."""
        with self._turn, suppress(RedrillError):
            if self._machine is not None:
                self._machine.close()
                self._machine = None
