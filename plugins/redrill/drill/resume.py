"""What interrupted runs left behind: which endpoints are still to be finished, and which a person gives up."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from redrill.drill.authorize import Permit
from redrill.drill.bench import Bench
from redrill.drill.checkpoint import Checkpoint, read_checkpoint, rebuild_bench, write_checkpoint
from redrill.drill.evidence import read_record, recorded_endpoints
from redrill.drill.journal import Journal, read_journal
from redrill.drill.locks import abandon as abandon_lock
from redrill.drill.locks import identify, open_locks
from redrill.errors import FleetError
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.values import Mode


@dataclass(frozen=True, slots=True)
class Quarantined:
    """An endpoint that a run destroyed and did not bring back."""

    run_dir: Path
    endpoint: str
    wiped_at: datetime
    why: str


def endpoints_of(run_dir: Path) -> tuple[str, ...]:
    """Return the endpoints that a run set out to drill; FleetError when the folder is no run."""
    try:
        events = read_journal(run_dir / "journal.jsonl")
    except (OSError, ValueError) as error:
        raise FleetError(f"'{run_dir}' is not the folder of a run: {error}.") from None
    started = (event["endpoints"] for event in events if event["event"] == "run started")
    return tuple(dict.fromkeys(name for names in started for name in names))


def stored_fleet(run_dir: Path) -> Fleet:
    """Return the fleet that a run was about, as it was then; FleetError when the folder holds none."""
    try:
        return Fleet.model_validate(json.loads((run_dir / "fleet.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise FleetError(f"'{run_dir}' is not the folder of a run: {error}.") from None


def mode_of(run_dir: Path) -> Mode:
    """Return the mode of a run."""
    events = read_journal(run_dir / "journal.jsonl")
    return next(Mode(event["mode"]) for event in events if event["event"] == "run started")


def untouched_of(run_dir: Path, endpoints: Sequence[Endpoint]) -> tuple[Endpoint, ...]:
    """Return those of the endpoints that a run has neither wiped nor finished."""
    rest = {name for name, point in unfinished(run_dir).items() if point is None or not point.is_wiped}
    return tuple(endpoint for endpoint in endpoints if endpoint.name in rest)


def unfinished(run_dir: Path) -> dict[str, Checkpoint | None]:
    """Return the endpoints of a run whose drills are not over, with the checkpoint that each got to."""
    recorded = {name for name in recorded_endpoints(run_dir) if read_record(run_dir, name).failure is None}
    found = {name: read_checkpoint(run_dir, name) for name in endpoints_of(run_dir)}
    over = {name for name, point in found.items() if point and (point.is_over or point.abandoned)}
    return {name: point for name, point in found.items() if name not in over and (point or name not in recorded)}


def find_unfinished(fleet: Fleet, run_dir: Path, permits: Mapping[str, Permit]) -> tuple[list[Bench], list[Bench]]:
    """Return the workbenches of the endpoints that were wiped and have not recovered, and of those never wiped."""
    wiped: list[Bench] = []
    untouched: list[Bench] = []
    for name, point in unfinished(run_dir).items():
        endpoint = fleet.endpoint(name)
        if point is None:
            bench = Bench(fleet, endpoint, mode_of(run_dir), run_dir)
        else:
            bench = rebuild_bench(fleet, endpoint, run_dir, point)
        bench.permit = permits.get(name)
        (wiped if point is not None and point.is_wiped else untouched).append(bench)
    return wiped, untouched


def find_quarantined(runs: Path) -> list[Quarantined]:
    """Return every quarantined endpoint of the runs below a folder, oldest run first."""
    found = []
    for run_dir, name, point in _checkpoints(runs):
        if point.is_quarantined and point.record.wiped_at:
            failure = point.record.failure
            why = f"{failure.step.value}: {failure.message}" if failure else "its run was interrupted"
            found.append(Quarantined(run_dir, name, point.record.wiped_at, why))
    return found


def find_still(runs: Path) -> list[tuple[Path, str]]:
    """Return the runs below a folder, with the endpoints, that have left something stopped or frozen for a backup."""
    return [(run_dir, name) for run_dir, name, point in _checkpoints(runs) if point.is_still]


def _checkpoints(runs: Path) -> Iterator[tuple[Path, str, Checkpoint]]:
    # The second drill of a run has a folder of its own inside that of the run.
    for file in sorted([*runs.glob("*/records/*/checkpoint.json"), *runs.glob("*/*-again/records/*/checkpoint.json")]):
        run_dir, name = file.parents[2], file.parent.name
        if point := read_checkpoint(run_dir, name):
            yield run_dir, name, point


def abandon(fleet: Fleet, run_dir: Path, endpoint: str, reason: str) -> None:
    """Give up an endpoint that a run destroyed, or stopped: a person takes it over. FleetError when it did neither."""
    point = read_checkpoint(run_dir, endpoint)
    if point is None or not (point.is_quarantined or point.is_still):
        raise FleetError(f"Endpoint '{endpoint}' is not quarantined by the run '{run_dir.name}'; see 'redrill status'.")
    if not reason.strip():
        raise FleetError("Say why the endpoint is given up; the reason stays in the journal.")
    if point.record.home is not None:
        abandon_lock(open_locks(fleet), endpoint, identify(point.record.home), run_dir.name, reason)
    Journal(run_dir / "journal.jsonl").write("abandoned", endpoint, reason=reason)
    write_checkpoint(run_dir, point.model_copy(update={"abandoned": reason}))
