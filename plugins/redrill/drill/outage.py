"""The clock of one outage: everything that is measured of a recovery is told in seconds since it began."""

import time
from datetime import UTC, datetime, timedelta

from redrill.model.recovery import Span

_START = (datetime.now(UTC), time.monotonic())


def clock_now() -> datetime:
    """Return the controller's time (UTC) by a clock that never steps: what is measured by it can be subtracted."""
    start, monotonic = _START
    return start + timedelta(seconds=time.monotonic() - monotonic)


class OutageClock:
    """Seconds since the outage began, by the controller's monotonic clock; None before it has begun.

    After ``resume`` in another process the time until then is taken from the wall clock.
    """

    def __init__(self) -> None:
        self.began_at: datetime | None = None
        self._began = 0.0
        self.spans: list[Span] = []

    def begin(self) -> datetime:
        """Start to measure, now; whatever was measured before is forgotten."""
        self.began_at, self._began, self.spans = clock_now(), time.monotonic(), []
        return self.began_at

    def resume(self, began_at: datetime, spans: tuple[Span, ...]) -> None:
        """Go on with an outage that began in a process that has died."""
        self.began_at, self.spans = began_at, list(spans)
        self._began = time.monotonic() - (datetime.now(UTC) - began_at).total_seconds()

    @property
    def now(self) -> float | None:
        """Seconds since the outage began."""
        return None if self.began_at is None else time.monotonic() - self._began

    def at(self, monotonic: float) -> float:
        """Return a moment of ``time.monotonic`` in seconds since the outage began."""
        return monotonic - self._began

    def moment(self, seconds: float) -> datetime | None:
        """Return the wall clock's time so many seconds after the outage began."""
        return None if self.began_at is None else self.began_at + timedelta(seconds=seconds)

    def mark(self, name: str) -> None:
        """Note that a part of the recovery has just ended that began where the one before it did end."""
        now = self.now
        if now is not None:
            started = self.spans[-1].ended if self.spans else 0.0
            # After a resume the time is the wall clock's, which somebody may have set back.
            self.spans.append(Span(name=name, started=started, ended=max(now, started)))
