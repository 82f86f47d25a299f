"""What the other records of the same run say: read one after another, never all at once."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from redrill.drill.evidence import read_record, record_file, recorded_endpoints
from redrill.model.fleet import Fleet
from redrill.model.observation import Observation

MAJORITY_NEEDS = 3
"""Of two that differ, nobody knows who is the outlier."""

Stamp = tuple[tuple[str, int], ...]


def peers_of(fleet: Fleet, name: str) -> tuple[str, ...]:
    """Return the names of all endpoints of an endpoint's role, its own among them; none when it has no role."""
    role = fleet.endpoint(name).role
    return tuple(each.name for each in fleet.endpoints if role is not None and each.role == role)


def latest_observations(run_dir: Path, names: Iterable[str]) -> Iterator[tuple[str, Observation]]:
    """Yield the last observation of each endpoint that the run has one of, in the order of ``names``."""
    for name in names:
        record = read_record(run_dir, name)
        if observation := record.after or record.before:
            yield name, observation


def stamp_of(run_dir: Path, names: Iterable[str] | None = None) -> Stamp:
    """Return the names of recorded endpoints (all, or those of ``names``) with the times of their records.

    What was computed from a stamp is right as long as the stamp is the same.
    """
    recorded = recorded_endpoints(run_dir)
    wanted = recorded if names is None else sorted(set(names) & set(recorded))
    return tuple((name, record_file(run_dir, name).stat().st_mtime_ns) for name in wanted)
