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
    ``asked`` counts the questions since then. ``last_healthy`` is the last healthy answer before, in the same seconds,
    so not above 0; ``first_healthy`` the first one of the system that came back.

    ``waited`` are the seconds until its recovery in which what it needs was not there. ``needed`` are those of that
    which were away then for being drilled themselves, and ``after_needs`` are the seconds from the moment when its own
    system and all of them were there to its recovery.
    """

    checks: tuple[CheckResult, ...]
    healthy: bool
    recovered_after: float | None = None
    held: float = 0.0
    changes: tuple[HealthChange, ...] = ()
    asked: int = 0
    last_healthy: float | None = None
    first_healthy: float | None = None
    waited: float = 0.0
    needed: tuple[str, ...] = ()
    after_needs: float | None = None

    @property
    def downtime(self) -> float | None:
        """The seconds for which its users were without it, from the last healthy answer to the recovery."""
        if self.recovered_after is None or self.last_healthy is None:
            return None
        return self.recovered_after - self.last_healthy

    @property
    def flaps(self) -> tuple[HealthChange, ...]:
        """The changes back to ill health after it had answered well for the first time since the outage."""
        since = float("inf") if self.first_healthy is None else self.first_healthy
        return tuple(change for change in self.changes if change.at > since and not change.healthy)


class CanaryResult(Value):
    """What became of the numbered writes to one state class, such as 'append /var' or an application's database.

    ``written`` were acknowledged before the outage, the last at ``last_written``; ``survived`` of them came back.
    ``last_survivor`` is when the last of them was acknowledged before any was lost. ``lost_before_backup`` are the
    numbers of those that the backup should have held, ``altered`` those that came back torn or otherwise than they were
    written, at most 100 each; an alteration cannot be seen where ``shows_alterations`` is False, for only numbers were
    read. ``loss`` is the RPO that was measured: seconds between the last survivor and the outage, 0 when nothing was
    lost. ``interval`` is the time in seconds between two writes, so how exact that is. ``unknown`` says why nothing is
    known, or not enough.
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
    shows_alterations: bool = True
    loss: float | None = None
    unknown: str | None = None


class NeighbourResult(Value):
    """How an application of another endpoint fared during a drill, from before the wipe to the end.

    ``longest`` is its longest outage in seconds. One with ``tolerated`` needs applications of the drilled endpoint,
    ``needs``, and may be down with them, and for so many seconds after they are back; ``back_after`` is after how many
    it was healthy for good, None when it was not. Others must not notice anything. ``is_drilled``: it was itself
    drilled at the same time, so nothing can be said of it. ``unasked`` are the seconds of the outage in which nobody
    asked, for the drill had been interrupted.
    """

    endpoint: str
    application: str
    asked: int
    failed: int
    longest: float = 0.0
    tolerated: float | None = None
    needs: tuple[str, ...] = ()
    back_after: float | None = None
    last_error: str = ""
    is_drilled: bool = False
    unasked: float = 0.0
