"""What became of applications, from what they answered; moments are told in seconds since the outage began."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from redrill.drill.health.log import Change, longest_of, outages, seconds_of
from redrill.drill.health.probe import Probe
from redrill.drill.health.site import Around, Site
from redrill.model.application import Need
from redrill.model.fleet import Endpoint
from redrill.model.recovery import ApplicationResult, HealthChange, NeighbourResult

At = Callable[[float], float]
"""From a moment of the monotonic clock to seconds since the outage began."""


@dataclass(frozen=True, slots=True)
class Recovery:
    """One application that was watched until it held, or hope was given up; moments of the monotonic clock."""

    probe: Probe
    held: tuple[float, float] | None
    ended: float

    def tell(self, at: At) -> ApplicationResult:
        """Return how it came back."""
        log = self.probe.log
        zero = -at(0.0)
        last = log.last_healthy(before=zero)
        since, seconds = self.held or (None, log.held)
        return ApplicationResult(
            checks=self.probe.checks,
            healthy=since is not None,
            recovered_after=None if since is None else max(0.0, at(since)),
            held=seconds,
            changes=tell_changes(log.changes, at),
            asked=log.count(zero, self.ended)[0],
            last_healthy=None if last is None else at(last),
            first_healthy=None if log.first_healthy is None else at(log.first_healthy),
        )


def tell_changes(changes: Sequence[Change], at: At) -> tuple[HealthChange, ...]:
    """Return the changes since the outage began; the first is the state that there was then, if it is known."""
    before = [change for change in changes if at(change.at) <= 0][-1:]
    after = [change for change in changes if at(change.at) > 0]
    return tuple(HealthChange(at=max(0.0, at(c.at)), healthy=c.healthy, detail=c.detail) for c in (*before, *after))


def with_needs(
    result: ApplicationResult, recovery: Recovery, site: Site, began: float, is_up_at: float
) -> ApplicationResult:
    """Return a result with how long what the application needs was not there; ``is_up_at``: its own system was up."""
    needs = recovery.probe.application.needs
    recovered = recovery.held[0] if recovery.held else None
    probes = {name: probe for name in needs if (probe := site.probe(name))}
    away = {name: outages(list(p.log.changes), began, recovered or recovery.ended) for name, p in probes.items()}
    # What is drilled earlier or later than this shows nothing of how its outage is borne.
    needed = tuple(name for name, gaps in away.items() if gaps and site.is_drilled(name))
    gaps = [gap for each in away.values() for gap in each]
    returns = [streak for name in needed if (streak := probes[name].log.streak) is not None]
    after = max(0.0, recovered - max([is_up_at, *returns])) if needed and recovered is not None else None
    return result.model_copy(update={"waited": seconds_of(gaps), "needed": needed, "after_needs": after})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What was asked around the drill of one endpoint in a time ``since`` to ``until`` of the monotonic clock."""

    site: Site
    endpoint: Endpoint
    since: float
    until: float

    def tell(self, results: Mapping[str, ApplicationResult], at: At) -> list[NeighbourResult]:
        """Return how those fared that the drill must not harm, and those that need the endpoint's applications."""
        around = self.site.around(self.endpoint)
        return [self._tell(name, results, at) for name in (*around.neighbours, *around.dependents)]

    def _tell(self, name: str, results: Mapping[str, ApplicationResult], at: At) -> NeighbourResult:
        host, _, application = name.partition("/")
        probe, is_drilled = self.site.probe(name), self.site.is_drilled(name)
        if is_drilled or probe is None:
            return NeighbourResult(endpoint=host, application=application, asked=0, failed=0, is_drilled=is_drilled)
        needs = needs_of(probe.application.needs, self.endpoint)
        asked, failed = probe.log.count(self.since, self.until)
        return NeighbourResult(
            endpoint=host,
            application=application,
            asked=asked,
            failed=failed,
            longest=longest_of(outages(list(probe.log.changes), self.since, self.until)),
            tolerated=tolerated(needs.values()) if needs else None,
            needs=tuple(needs),
            back_after=_back_after(probe, [results.get(each) for each in needs], at) if needs else None,
            last_error=probe.log.last_error if failed else "",
            unasked=max(0.0, at(self.since)),
        )


def needs_of(needs: Mapping[str, Need], endpoint: Endpoint) -> dict[str, Need]:
    """Return those needs that are applications of an endpoint, by their short names."""
    return {name.partition("/")[2]: need for name, need in needs.items() if name.startswith(f"{endpoint.name}/")}


def tolerated(needs: Iterable[Need]) -> float:
    """Return for how many seconds what has several needs may stay down after them."""
    return max(need.tolerate.total_seconds() for need in needs)


def _back_after(probe: Probe, needed: Sequence[ApplicationResult | None], at: At) -> float | None:
    returns = [result.recovered_after for result in needed if result and result.recovered_after is not None]
    last = probe.log.changes[-1] if probe.log.changes else None
    if len(returns) < len(needed) or last is None or not last.healthy:
        return None
    return max(0.0, at(last.at) - max(returns))


def around_not_drilled(site: Site, around: Around) -> list[str]:
    """Return what is asked around an endpoint, but for what it merely needs."""
    return [name for name in (*around.neighbours, *around.dependents) if not site.is_drilled(name)]
