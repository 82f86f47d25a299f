"""The state of one pytest session with redrill: what it is about, and what was judged so far."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from redrill.drill.evidence import read_record, recorded_endpoints
from redrill.drill.plan import choose_targets
from redrill.errors import FleetError
from redrill.loader import load_fleet, select_endpoints
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import DrillRecord
from redrill.model.values import Mode
from redrill.model.verdict import Judgement, RunFailure, Verdict, reach_verdict
from redrill.reporting.run_folder import new_run_folder


@dataclass(slots=True)
class Run:
    """One session. ``run_dir`` takes the output; records and manifests are read below ``evidence_dir``.

    Both are the same unless stored records are judged again.
    """

    fleet: Fleet
    endpoints: tuple[Endpoint, ...]
    mode: Mode
    run_dir: Path
    evidence_dir: Path
    is_drilled: bool = False
    judgements: list[Judgement] = field(default_factory=list)
    failures: list[RunFailure] = field(default_factory=list)
    verdict: Verdict | None = None
    drilled: tuple[str, ...] = ()

    @property
    def is_replay(self) -> bool:
        """Whether stored records are judged again."""
        return self.run_dir != self.evidence_dir

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the endpoints, in the order of the fleet."""
        return tuple(endpoint.name for endpoint in self.endpoints)

    def record(self, endpoint: str) -> DrillRecord:
        """Return an endpoint's record; FleetError when there is none."""
        return read_record(self.evidence_dir, endpoint)

    def conclude(self, endpoints: Sequence[str]) -> Verdict:
        """Reach the verdict over everything judged."""
        records = {name: self.record(name) for name in endpoints if name in recorded_endpoints(self.evidence_dir)}
        self.verdict = reach_verdict(
            self.fleet, self.run_dir.name, self.mode, endpoints, records, self.judgements, self.failures
        )
        return self.verdict


RUN = pytest.StashKey[Run]()
"""Where the session's run hangs in ``config.stash``."""


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def open_run(config: pytest.Config) -> Run | None:
    """Return the run that the options ask for, None when they ask for none.

    Raises FleetError and GuardError before anything is touched.
    """
    records: Path | None = config.getoption("redrill_record")
    file: Path | None = config.getoption("redrill_fleet")
    if records is not None:
        return _open_replay(config, records)
    if file is None:
        return None
    fleet, mode = load_fleet(file), Mode(config.getoption("redrill_mode"))
    selected = _select(config, fleet)
    is_explicit = bool(
        config.getoption("redrill_endpoint") or config.getoption("redrill_role") or config.getoption("redrill_tag")
    )
    endpoints = choose_targets(selected, mode, is_explicit=is_explicit)
    run_dir = _run_dir(config)
    return Run(fleet, endpoints, mode, run_dir, run_dir)


def _open_replay(config: pytest.Config, records: Path) -> Run:
    evidence_dir = (records.parent if records.name == "records" else records).resolve()
    names = recorded_endpoints(evidence_dir)
    if not names:
        raise FleetError(f"--redrill-record '{records}': there are no records; name the folder of a run.")
    try:
        fleet = Fleet.model_validate(json.loads((evidence_dir / "fleet.json").read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise FleetError(f"--redrill-record '{records}': its 'fleet.json' cannot be read: {error}.") from error
    endpoints = tuple(endpoint for endpoint in _select(config, fleet) if endpoint.name in names)
    mode = read_record(evidence_dir, names[0]).mode
    return Run(fleet, endpoints, mode, _run_dir(config), evidence_dir, is_drilled=True, drilled=names)


def _select(config: pytest.Config, fleet: Fleet) -> tuple[Endpoint, ...]:
    options = (config.getoption(f"redrill_{sort}") for sort in ("endpoint", "role", "tag"))
    return select_endpoints(fleet, *options)


def _run_dir(config: pytest.Config) -> Path:
    """Return the folder of this run: made by the main process, handed to the workers."""
    if is_worker(config):
        return Path(config.workerinput["redrill_run_dir"])  # type: ignore[attr-defined]  # set by pytest-xdist
    base: Path = config.getoption("redrill_reports")
    return new_run_folder((config.invocation_params.dir / base).resolve() / "runs", datetime.now(UTC))
