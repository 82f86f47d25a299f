"""Runs of small records on disk, for the analyses that look at an endpoint and at the others of the run."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redrill.analysis.drift import Drift
from redrill.drill.evidence import write_manifest, write_record
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Entry, EntryKind, Manifest
from redrill.model.observation import Observation
from redrill.model.record import DrillRecord, ImageFacts
from redrill.model.values import Mode

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def observe_sample(name: str, **facts: Any) -> Observation:
    """Return an observation of the endpoint ``name`` with these facts."""
    return Observation(taken_at=NOW, hostname=name, machine_id=f"id of {name}", boot_id="b", root_id="r", **facts)


def file_entry(path: str, sha256: str = "0" * 64, mode: int = 0o644) -> Entry:
    """Return the entry of a file of root's."""
    return Entry(path, EntryKind.FILE, mode, 0, 0, size=1, sha256=sha256)


def manifest_of(folder: Path, name: str, *entries: Entry) -> Path:
    """Write a manifest of a run and return its name in the run."""
    return write_manifest(Manifest({entry.path: entry for entry in entries}), folder / name).relative_to(folder)


def record_run(
    folder: Path,
    after: Mapping[str, Observation],
    before: Mapping[str, Observation] | None = None,
    image: Path | None = None,
) -> dict[str, Drift]:
    """Write one record for each endpoint, all of one role, and return what to judge of each."""
    fleet = Fleet(
        name="shop", source=folder / "fleet.yml", endpoints=tuple(Endpoint(name=each, role="web") for each in after)
    )
    drifts = {}
    for endpoint in fleet.endpoints:
        record = DrillRecord(
            run="run",
            endpoint=endpoint.name,
            mode=Mode.REPLACE if before else Mode.OBSERVE,
            started=NOW,
            ended=NOW,
            phases=(),
            before=(before or {}).get(endpoint.name),
            after=after[endpoint.name],
            image_wanted=ImageFacts(name="web", version="1", digest="sha256:1", manifest=image) if image else None,
        )
        write_record(folder, record)
        drifts[endpoint.name] = Drift(folder, fleet, record, endpoint)
    return drifts
