"""The parts of a recovery: what the time until an application was healthy was spent on."""

from collections.abc import Sequence

from redrill.model.recovery import Span
from redrill.model.values import spell_seconds

READY = "ready"
"""The part that is an application's own: from the last common part to its first healthy answer."""


def phases_until(spans: Sequence[Span], recovered_after: float | None) -> tuple[Span, ...]:
    """Return the parts of an endpoint's recovery as far as an application had to wait for them, and its own.

    All there are, for one that never came back. Times are seconds since the outage began.
    """
    if recovered_after is None or not spans:
        return tuple(spans)
    before = [
        span.model_copy(update={"ended": min(span.ended, recovered_after)})
        for span in spans
        if span.started < recovered_after and span.name != READY
    ]
    last = before[-1].ended if before else 0.0
    own = [Span(name=READY, started=last, ended=recovered_after)] if last < recovered_after else []
    return (*before, *own)


def tell_longest(spans: Sequence[Span]) -> str:
    """Return the longest part of a recovery, such as 'longest: restore 41 s of 55 s'; '' when no part is known."""
    if not spans:
        return ""
    longest = max(spans, key=lambda span: span.seconds)
    return f"longest: {longest.name} {spell_seconds(longest.seconds)} of {spell_seconds(spans[-1].ended)}"
