"""In which order endpoints are drilled: a canary first, then wave after wave, until too much has broken."""

from collections.abc import Sequence

from redrill.drill.guards.stops import require_go
from redrill.errors import StoppedError
from redrill.model.fleet import Fleet
from redrill.model.guards import Guards
from redrill.model.record import DrillRecord

Names = tuple[str, ...]


def form_waves(names: Sequence[str], guards: Guards) -> tuple[Names, ...]:
    """Return the waves, in the order of the names; no two members of an anti-affinity group are in one wave."""
    waves: list[Names] = []
    rest = list(names)
    size = guards.waves.canary or guards.waves.size
    while rest:
        wave: list[str] = []
        for name in rest:
            if len(wave) < size and not _clashes(name, wave, guards):
                wave.append(name)
        waves.append(tuple(wave))
        rest = [name for name in rest if name not in wave]
        size = guards.waves.size
    return tuple(waves)


def _clashes(name: str, wave: Sequence[str], guards: Guards) -> bool:
    return any(name in group and not set(group).isdisjoint(wave) for group in guards.anti_affinity)


def why_stop(fleet: Fleet, records: Sequence[DrillRecord]) -> StoppedError | None:
    """Return why no further wave may start: broken drills, the kill switch or a stop condition; None to go on."""
    broken = [record.endpoint for record in records if record.failure]
    most = fleet.guards.waves.stop_after_failures
    if len(broken) >= most:
        names = ", ".join(f"'{name}'" for name in broken)
        return StoppedError(f"It was not started, for the drill of {names} broke (stop_after_failures: {most}).")
    try:
        require_go(fleet)
    except StoppedError as error:
        return error
    return None
