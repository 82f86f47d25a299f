"""What a drill has measured, beside its targets: how long each application took, and what each state class lost."""

from pydantic import Field

from redrill.model.application import Objectives
from redrill.model.canary import Consistency
from redrill.model.fleet import Fleet
from redrill.model.phases import phases_until
from redrill.model.record import DrillRecord
from redrill.model.recovery import ApplicationResult, CanaryResult
from redrill.model.values import Text, Value


class Recovery(Value):
    """How an application came back: seconds since the outage began, None for never or not measured, and its objective.

    ``is_measured``: the endpoint was wiped, so there was an outage. ``phases`` are the seconds that each part took, in
    their order, up to the first healthy answer; ``held_seconds`` how long it was watched to stay healthy;
    ``downtime_seconds`` runs from the last healthy answer before the outage. ``consistency`` says what the backup that
    it came back from held of its data, where the drill made it.
    """

    is_measured: bool
    rto_seconds: float | None = None
    objective_seconds: float | None = None
    phases: dict[str, float] = Field(default_factory=dict)
    held_seconds: float = 0.0
    downtime_seconds: float | None = None
    healthy: bool
    consistency: Consistency | None = None


class Loss(Value):
    """What a state class lost: ``rpo_seconds`` of writes (None: not measured), and the objective.

    ``written`` writes were acknowledged before the outage, ``lost`` of them did not come back; when that is not known,
    ``unknown`` says why.
    """

    application: str | None = None
    rpo_seconds: float | None = None
    objective_seconds: float | None = None
    interval_seconds: float
    written: int
    lost: int | None = None
    unknown: Text | None = None


class Neighbour(Value):
    """How an application that a drill must not harm answered: how often, and in seconds how long at once it did badly.

    ``unasked_seconds`` of the outage nobody asked it, for the drill had been interrupted; ``objective_percent`` of its
    answers may be bad.
    """

    asked: int
    failed: int
    longest_seconds: float
    unasked_seconds: float
    objective_percent: float | None = None


def recoveries_of(fleet: Fleet, record: DrillRecord) -> dict[str, Recovery]:
    """Return how each application of an endpoint came back, by name."""
    return {name: _recovery(fleet, record, name, result) for name, result in sorted(record.applications.items())}


def _recovery(fleet: Fleet, record: DrillRecord, name: str, result: ApplicationResult) -> Recovery:
    is_measured = record.wiped_at is not None
    objectives = _objectives(fleet, record.endpoint, name)
    phases: dict[str, float] = {}
    for span in phases_until(record.timeline, result.recovered_after) if is_measured else ():
        phases[span.name] = phases.get(span.name, 0.0) + span.seconds
    return Recovery(
        is_measured=is_measured,
        rto_seconds=result.recovered_after if is_measured else None,
        objective_seconds=objectives.rto.total_seconds() if objectives else None,
        phases=phases,
        held_seconds=result.held,
        downtime_seconds=result.downtime if is_measured else None,
        healthy=result.healthy,
        consistency=record.consistency_of(name) if is_measured else None,
    )


def losses_of(fleet: Fleet, record: DrillRecord) -> dict[str, Loss]:
    """Return what each state class of an endpoint lost, by name."""
    return {name: _loss(fleet, record.endpoint, result) for name, result in sorted(record.canaries.items())}


def _loss(fleet: Fleet, endpoint: str, result: CanaryResult) -> Loss:
    objectives = _objectives(fleet, endpoint, result.application)
    return Loss(
        application=result.application,
        rpo_seconds=result.loss,
        objective_seconds=objectives.rpo.total_seconds() if objectives else None,
        interval_seconds=result.interval,
        written=result.written,
        lost=None if result.unknown else result.written - result.survived,
        unknown=result.unknown,
    )


def neighbours_of(fleet: Fleet, record: DrillRecord) -> dict[str, Neighbour]:
    """Return how those fared that the drill of an endpoint must not harm, by 'endpoint/application'."""
    objectives = _objectives(fleet, record.endpoint)
    watched = [one for one in record.neighbours if one.tolerated is None and not one.is_drilled]
    return {
        f"{one.endpoint}/{one.application}": Neighbour(
            asked=one.asked,
            failed=one.failed,
            longest_seconds=one.longest,
            unasked_seconds=one.unasked,
            objective_percent=objectives.neighbour_errors if objectives else None,
        )
        for one in watched
    }


def _objectives(fleet: Fleet, name: str, application: str | None = None) -> Objectives | None:
    try:
        endpoint = fleet.endpoint(name)
        return endpoint.objectives_of(application) if application else endpoint.objectives
    except KeyError:  # a stored record may tell of what the fleet file no longer declares
        return None
