"""Findings weighed by the owner's rules: ignored for a reason, accepted for a while, or open."""

from collections.abc import Callable, Iterable, Sequence
from datetime import date

from redrill.model.finding import Finding, Severity
from redrill.model.rules import IgnoreRule
from redrill.model.waivers import Waiver, Waivers
from redrill.model.weighed import State, Weighed

_GRAVEST_FIRST = tuple(Severity)
_STATES = tuple(State)

FindWaiver = Callable[[Finding], tuple[str, Waiver] | None]


def weigh(findings: Iterable[Finding], rules: Sequence[IgnoreRule], waivers: Waivers, today: date) -> list[Weighed]:
    """Return the findings with their states: open ones first, each state gravest first, then by group and subject.

    An ignore rule wins over everything; a note is never waived, since it breaks nothing; of several waivers that cover
    a finding the one that lasts longest counts. ``today`` is the day, in UTC, by which waivers expire.
    """
    find_waiver = waiver_finder(waivers)
    return sorted((_weigh_one(finding, rules, find_waiver, today) for finding in findings), key=_rank)


def _weigh_one(finding: Finding, rules: Sequence[IgnoreRule], find_waiver: FindWaiver, today: date) -> Weighed:
    rule = next((rule for rule in rules if rule.covers(finding)), None)
    if rule is not None:
        return Weighed(finding=finding, state=State.IGNORED, told=rule.reason)
    if finding.severity is Severity.NOTE:
        return Weighed(finding=finding, state=State.NOTE)
    name, waiver = find_waiver(finding) or ("", None)
    if waiver is None:
        return Weighed(finding=finding, state=State.OPEN)
    is_over = waiver.expires < today
    told = tell_waiver(name, waiver, f"{'expired on' if is_over else 'until'} {waiver.expires}: {waiver.reason}")
    return Weighed(finding=finding, state=State.OPEN if is_over else State.WAIVED, waiver=name, told=told)


def waiver_finder(waivers: Waivers) -> FindWaiver:
    """Return what finds the waiver of a finding, be it expired or not; those by id may be thousands."""
    by_id: dict[str | None, list[tuple[str, Waiver]]] = {}
    for name, waiver in waivers.waivers.items():
        by_id.setdefault(waiver.finding, []).append((name, waiver))

    def find(finding: Finding) -> tuple[str, Waiver] | None:
        candidates = by_id.get(finding.id, []) + by_id.get(None, [])
        covering = [(name, waiver) for name, waiver in candidates if waiver.covers(finding)]
        return max(covering, key=lambda pair: pair[1].expires, default=None)

    return find


def _rank(one: Weighed) -> tuple[object, ...]:
    finding = one.finding
    severity = _GRAVEST_FIRST.index(finding.severity)
    return _STATES.index(one.state), severity, finding.group, finding.subject, finding.kind, finding.endpoint


def tell_waiver(name: str, waiver: Waiver, what: str) -> str:
    """Return one line about a waiver: which it is, who answers for it, and what is to be said."""
    return f"waiver '{name}' of {waiver.owner}, {waiver.ticket}, {what}"
