"""What the ledger keeps of a drill, and what a later drill is compared with."""

from collections.abc import Sequence
from datetime import datetime

from redrill.model.phases import phases_until
from redrill.model.record import DrillRecord
from redrill.model.recovery import Span
from redrill.model.values import Mode, Value
from redrill.model.verdict import Decision


class Measurement(Value):
    """What one drill measured of one application; times in seconds since the outage began at ``began``.

    ``recovered_after`` is None for one that never came back, ``losses`` are the RPO of each state class of its own or
    of its endpoint, None where that is not known. ``is_interrupted``: the run died and was resumed, so that the time is
    that of a person, too.
    """

    run: str
    fleet: str
    endpoint: str
    application: str
    mode: Mode
    image: str
    began: datetime
    recovered_after: float | None
    downtime: float | None
    held: float
    verdict: Decision
    is_interrupted: bool = False
    phases: tuple[Span, ...] = ()
    losses: dict[str, float | None] = {}


class Baseline(Value):
    """What a run was compared with, as it was then: for each 'endpoint/application' the times of earlier drills.

    They are comparable (same endpoint, application and mode; neither interrupted nor without end), in seconds, the
    newest first. ``unknown`` says why the ledger could not be read; ``interrupted`` are the endpoints whose own drill
    was.
    """

    earlier: dict[str, tuple[float, ...]] = {}
    interrupted: tuple[str, ...] = ()
    unknown: str | None = None

    def of(self, endpoint: str, application: str) -> tuple[float, ...]:
        """Return the times of the earlier drills of an application."""
        return self.earlier.get(key_of(endpoint, application), ())


def key_of(endpoint: str, application: str) -> str:
    """Return how a baseline names an application."""
    return f"{endpoint}/{application}"


def measurements_of(
    fleet: str, record: DrillRecord, verdict: Decision, interrupted: Sequence[str] = ()
) -> list[Measurement]:
    """Return what a drill measured of each application; nothing of a drill that wiped nothing or did not end well."""
    began = record.outage_at or record.wiped_at
    is_broken = record.failure is not None and not record.failure.is_of_clean_up
    if began is None or is_broken:
        return []
    image = record.image_deployed or record.image_wanted
    return [
        Measurement(
            run=record.run,
            fleet=fleet,
            endpoint=record.endpoint,
            application=name,
            mode=record.mode,
            image=f"{image.name} {image.version}" if image else "",
            began=began,
            recovered_after=result.recovered_after,
            downtime=result.downtime,
            held=result.held,
            verdict=verdict,
            is_interrupted=record.endpoint in interrupted,
            phases=phases_until(record.timeline, result.recovered_after),
            losses={key: canary.loss for key, canary in record.canaries.items() if canary.application in {None, name}},
        )
        for name, result in sorted(record.applications.items())
    ]
