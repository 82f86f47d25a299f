"""What all findings of a run come to, and which waivers and ignore rules want to be looked at."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

from redrill.analysis.weighing import tell_waiver
from redrill.model.finding import Finding
from redrill.model.fleet import Fleet
from redrill.model.rules import IgnoreRule
from redrill.model.waivers import Waiver, Waivers
from redrill.model.weighed import State, Tally, Weighed


@dataclass(frozen=True, slots=True)
class Scope:
    """What there is to judge, and what a run has judged: names of endpoints with those of promises.

    ``is_drill``: it was a drill; a run that only observes leaves promises out that need one.
    """

    fleet: Fleet
    promises: Collection[str]
    judged: Collection[tuple[str, str]]
    is_drill: bool

    def has_judged(self, promise: str | None, endpoints: Collection[str]) -> bool:
        """Whether findings against a promise (None: any) at one of the endpoints would have been seen."""
        if promise is None:
            return self.is_drill and any(endpoint in endpoints for endpoint, _ in self.judged)
        return any(endpoint in endpoints and slug(other) == slug(promise) for endpoint, other in self.judged)

    def has_promise(self, promise: str | None) -> bool:
        """Whether there is such a promise; None means any."""
        return promise is None or slug(promise) in map(slug, self.promises)


def slug(promise: str) -> str:
    """Return a promise as the ids of findings spell it."""
    return promise.replace(" ", "-")


def tally(weighed: Sequence[Weighed], scope: Scope, waivers: Waivers) -> Tally:
    """Return what the findings of a run come to.

    What is about things that the run did not judge is not called unused.
    """
    counts: dict[str, Counter[State]] = {promise: Counter() for _, promise in sorted(scope.judged)}
    for one in weighed:
        counts.setdefault(one.finding.promise, Counter())[one.state] += 1
    return Tally(
        promises={promise: dict(states) for promise, states in counts.items()},
        waivers=f"{waivers.source}, sha256 {waivers.digest[:16]}" if waivers.source else "",
        waived=_count_by_waiver(weighed, State.WAIVED),
        expired=_count_by_waiver(weighed, State.OPEN),
        escalated=tuple(tell_escalated(name, waiver) for name, waiver in sorted(waivers.escalated.items())),
        unused=(*_unused_waivers(weighed, scope, waivers), *_unused_rules(weighed, scope)),
    )


def _count_by_waiver(weighed: Iterable[Weighed], state: State) -> tuple[str, ...]:
    counts = Counter(one.told for one in weighed if one.waiver and one.state is state)
    return tuple(f"{told} ({number} finding{'s' * (number > 1)})" for told, number in sorted(counts.items()))


def tell_escalated(name: str, waiver: Waiver) -> str:
    """Return one line about a waiver that was put off too often."""
    when = f"extended {waiver.extended} times, until {waiver.expires}"
    return tell_waiver(name, waiver, f"{when}: {waiver.reason}")


def _unused_waivers(weighed: Sequence[Weighed], scope: Scope, waivers: Waivers) -> Iterator[str]:
    findings = [one.finding for one in weighed if one.state in (State.OPEN, State.WAIVED)]
    by_id: dict[str, list[Finding]] = {}
    for finding in findings:
        by_id.setdefault(finding.id, []).append(finding)
    for name, waiver in waivers.waivers.items():
        meant = findings if waiver.finding is None else by_id.get(waiver.finding, [])
        endpoints = [each.name for each in scope.fleet.endpoints if waiver.is_about(each.name)]
        why = _why_unused(scope, waiver.promise, endpoints)
        if why and not any(map(waiver.covers, meant)):
            yield tell_waiver(name, waiver, f"{why}; remove it")


def _unused_rules(weighed: Sequence[Weighed], scope: Scope) -> Iterator[str]:
    """Yield a line for each rule that covers nothing at any endpoint that has it: inherited ones are one rule."""
    rules: dict[IgnoreRule, set[str]] = {}
    for endpoint in scope.fleet.endpoints:
        for rule in endpoint.ignore:
            rules.setdefault(rule, set()).add(endpoint.name)
    for rule, endpoints in rules.items():
        why = _why_unused(scope, rule.promise, endpoints)
        if why and not any(one.finding.endpoint in endpoints and rule.covers(one.finding) for one in weighed):
            yield f"the ignore rule for {rule} ({rule.reason}) {why}; remove it"


def _why_unused(scope: Scope, promise: str | None, endpoints: Collection[str]) -> str:
    """Return why something that covers no finding is of no use; '' when another run may need it."""
    if not scope.has_promise(promise):
        return "names no promise that there is"
    if not endpoints:
        return "is about no endpoint of the fleet"
    return "matched nothing in this run" if scope.has_judged(promise, endpoints) else ""
