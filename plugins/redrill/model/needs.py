"""Which applications need which others, and name which others as neighbours: a graph over a whole fleet."""

from collections.abc import Iterator, Mapping, Sequence

from redrill.model.application import Application
from redrill.model.fleet import Endpoint

Place = tuple[str | int, ...]
"""Where something stands in the fleet file, below 'endpoints'."""


def applications_of(endpoints: Sequence[Endpoint]) -> dict[str, Application]:
    """Return all applications by the way others name them: 'endpoint/application'."""
    return {
        f"{endpoint.name}/{name}": application
        for endpoint in endpoints
        for name, application in endpoint.applications.items()
    }


def unknown_references(endpoints: Sequence[Endpoint]) -> Iterator[tuple[Place, str]]:
    """Yield the place of each need and neighbour that no endpoint of the fleet has, with its name."""
    known = applications_of(endpoints)
    for endpoint in endpoints:
        for index, name in enumerate(endpoint.neighbours):
            if name not in known:
                yield (endpoint.name, "neighbours", index), name
        for application, needed in _needs_of(endpoint):
            if needed not in known:
                yield (endpoint.name, "applications", application, "needs", needed), needed


def _needs_of(endpoint: Endpoint) -> Iterator[tuple[str, str]]:
    for name, application in endpoint.applications.items():
        yield from ((name, needed) for needed in application.needs)


def find_circle(applications: Mapping[str, Application]) -> tuple[str, ...]:
    """Return applications of which each needs the next and the last the first; () when there are none."""
    done: set[str] = set()

    def follow(name: str, path: tuple[str, ...]) -> tuple[str, ...]:
        if name in path:
            return path[path.index(name) :]
        if name in done or name not in applications:
            return ()
        for needed in applications[name].needs:
            if circle := follow(needed, (*path, name)):
                return circle
        done.add(name)
        return ()

    return next((circle for name in applications if (circle := follow(name, ()))), ())


def needed_endpoints(endpoints: Sequence[Endpoint]) -> dict[str, frozenset[str]]:
    """Return for each endpoint the others that have an application which one of its own needs."""
    return {
        endpoint.name: frozenset(needed.partition("/")[0] for _, needed in _needs_of(endpoint)) - {endpoint.name}
        for endpoint in endpoints
    }
