"""In which order endpoints are drilled: a canary first, then wave after wave, until too much has broken."""

from collections.abc import Collection, Mapping, Sequence

from redrill.drill.guards.stops import require_go
from redrill.errors import GuardError, StoppedError
from redrill.model.fleet import Fleet
from redrill.model.guards import Guards
from redrill.model.record import DrillRecord

Names = tuple[str, ...]


def form_waves(
    names: Sequence[str], guards: Guards, needs: Mapping[str, Collection[str]] | None = None
) -> tuple[Names, ...]:
    """Return the waves, in the order of the names; no two members of an anti-affinity group are in one wave.

    What a name needs (of the names) is in its own wave or an earlier one. GuardError when some that need each other
    fit into no wave together.
    """
    waves: list[Names] = []
    rest = list(names)
    size = guards.waves.canary or guards.waves.size
    while rest:
        wave: list[str] = []
        for name in rest:
            group = _with_needs(name, rest, needs or {}) - set(wave)
            if len(wave) + len(group) <= size and not _clashes([*wave, *group], guards):
                wave += group
        if not wave:
            bound = min((sorted(_with_needs(name, rest, needs or {})) for name in rest), key=len)
            raise GuardError(
                f"The endpoints {', '.join(map(repr, bound))} need each other, so they must be drilled at once, but no "
                f"wave holds them together: the next has room for {size}, and 'anti_affinity' may keep them apart."
            )
        waves.append(tuple(name for name in rest if name in wave))
        rest = [name for name in rest if name not in wave]
        size = guards.waves.size
    return tuple(waves)


def _with_needs(name: str, rest: Collection[str], needs: Mapping[str, Collection[str]]) -> set[str]:
    """Return a name with all that it needs, directly or not, of those that are left."""
    found, ahead = set[str](), [name]
    while ahead:
        found.add(each := ahead.pop())
        ahead += [needed for needed in needs.get(each, ()) if needed in rest and needed not in found]
    return found


def _clashes(wave: Collection[str], guards: Guards) -> bool:
    return any(len(set(group).intersection(wave)) > 1 for group in guards.anti_affinity)


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
