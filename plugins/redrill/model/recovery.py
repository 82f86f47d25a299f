"""What was measured of a recovery: phases, health over time, numbered writes, and what it did to others."""

from datetime import datetime

from redrill.model.values import Value


class Span(Value):
    """One part of a recovery, in seconds since the outage began, by the controller's monotonic clock."""

    name: str
    started: float
    ended: float

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.ended - self.started


class CheckResult(Value):
    """The last answer of one health check."""

    check: str
    healthy: bool
    detail: str = ""


class HealthChange(Value):
    """From this moment on, in seconds since the outage began, an application answered otherwise than before."""

    at: float
    healthy: bool
    detail: str = ""


class ApplicationResult(Value):
    """How an application came back.

    ``recovered_after`` is the time in seconds from the begin of the outage to the first healthy answer of the streak
    that was then held for ``held`` seconds (from the start of settling when nothing was wiped). ``changes`` are all
    changes of its health, as it was seen from outside; the first is its state at the begin of the outage.
    ``asked`` counts the questions since then. ``waited`` are the seconds in which what it needs was
    not there.
    """

    checks: tuple[CheckResult, ...]
    healthy: bool
    recovered_after: float | None = None
    held: float = 0.0
    changes: tuple[HealthChange, ...] = ()
    asked: int = 0
    waited: float = 0.0
    writes: tuple[int, ...] | None = None
    survived: tuple[int, ...] | None = None


class CanaryResult(Value):
    """What became of the numbered writes to one state class, such as 'append /var' or an application's database.

    ``written`` were acknowledged before the outage, the last at ``last_written``; ``survived`` of them came back, the
    last of which was written at ``last_survivor``. ``lost_before_backup`` are the numbers of those that the backup
    should have held, ``altered`` those that came back torn or otherwise than they were written, at most 100 each.
    ``loss`` is the RPO that was measured: seconds between the last survivor and the outage, 0 when nothing was lost.
    ``interval`` is the time in seconds between two writes, so how exact that is. ``unknown`` says why nothing is known.
    """

    kind: str
    application: str | None = None
    interval: float
    written: int
    survived: int = 0
    last_written: datetime | None = None
    last_survivor: datetime | None = None
    lost_before_backup: tuple[int, ...] = ()
    altered: tuple[int, ...] = ()
    loss: float | None = None
    unknown: str | None = None


class NeighbourResult(Value):
    """How an application of another endpoint fared during a drill.

    ``longest`` is its longest outage in seconds, ``tolerated`` how long one was allowed to be because it needs what was
    drilled; None for one that must not notice anything.
    """

    endpoint: str
    application: str
    asked: int
    failed: int
    longest: float = 0.0
    tolerated: float | None = None
    last_error: str = ""
