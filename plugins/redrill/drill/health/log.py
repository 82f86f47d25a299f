"""What an application answered over time; moments are seconds of one monotonic clock."""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Interval = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Change:
    """From this moment on the answers were others than before; the first answer is a change, too."""

    at: float
    healthy: bool
    detail: str = ""


@dataclass(slots=True)
class HealthLog:
    """The answers of one application; moments never go back.

    After ``expect_return`` only what answers from then on counts as its return: ``first_healthy`` is the first healthy
    answer, and ``streak`` the begin of the healthy answers without a break that the last one belongs to.
    """

    changes: list[Change] = field(default_factory=list)
    streak: float | None = None
    first_healthy: float | None = None
    last: float | None = None
    last_error: str = ""
    _asked: "array[float]" = field(default_factory=lambda: array("d"))
    _failed: "array[float]" = field(default_factory=lambda: array("d"))
    _is_stale: bool = False

    def note(self, at: float, *, healthy: bool, detail: str = "") -> None:
        """Take in an answer."""
        if not self.changes or self.changes[-1].healthy != healthy:
            self.changes.append(Change(at, healthy, detail))
        self._asked.append(at)
        self.last = at
        if not healthy:
            self._failed.append(at)
            self.last_error, self.streak, self._is_stale = detail, None, False
        elif not self._is_stale:
            self.streak = at if self.streak is None else self.streak
            self.first_healthy = at if self.first_healthy is None else self.first_healthy

    def expect_return(self) -> None:
        """From now on the application may come back; what is healthy now is still the system that ends."""
        self._is_stale = self.streak is not None
        self.streak = self.first_healthy = None

    def confirm_return(self) -> None:
        """What answers from now on is the system that came back, also where no break was seen."""
        self._is_stale = False

    @property
    def is_healthy(self) -> bool:
        """Whether the last answer that counts was healthy."""
        return self.streak is not None

    @property
    def held(self) -> float:
        """For how many seconds it has been healthy without a break."""
        return 0.0 if self.streak is None or self.last is None else self.last - self.streak

    def count(self, since: float, until: float) -> tuple[int, int]:
        """Return how many answers there were in a time, and how many of them were not healthy."""
        asked, failed = ((bisect_left(all_, since), bisect_left(all_, until)) for all_ in (self._asked, self._failed))
        return asked[1] - asked[0], failed[1] - failed[0]

    def last_healthy(self, before: float) -> float | None:
        """Return the last healthy answer before a moment."""
        failed = set(self._failed)
        return next((at for at in reversed(self._asked) if at <= before and at not in failed), None)


def outages(changes: Sequence[Change], since: float, until: float) -> list[Interval]:
    """Return the intervals within a time in which the answers were not healthy; before the first one nothing is known.

    They begin with the first bad answer and end with the next good one.
    """
    ends = [change.at for change in changes[1:]] + [until]
    bad = [(change.at, end) for change, end in zip(changes, ends, strict=False) if not change.healthy]
    clipped = [(max(since, start), min(until, end)) for start, end in bad]
    return [(start, end) for start, end in clipped if end > start]


def seconds_of(intervals: Iterable[Interval]) -> float:
    """Return the seconds that are in at least one of the intervals."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(intervals):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total


def longest_of(intervals: Iterable[Interval]) -> float:
    """Return the length of the longest interval, 0 when there is none."""
    return max((end - start for start, end in intervals), default=0.0)
