"""The state of one pytest session with redrill: what it is about, and what was judged so far."""

import shutil
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from redrill.drill.evidence import read_record, recorded_endpoints
from redrill.drill.plan import choose_targets
from redrill.drill.resume import endpoints_of, mode_of, stored_fleet
from redrill.errors import Exit, FleetError
from redrill.loader import load_fleet, select_endpoints
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import DrillRecord
from redrill.model.values import Mode
from redrill.model.verdict import Judgement, RunFailure, Verdict, reach_verdict
from redrill.reporting.run_folder import new_run_folder
from redrill.secrets_source import reveal, reveal_at_hand


@dataclass(slots=True)
class Run:
    """One session. ``run_dir`` takes the output; records and manifests are read below ``evidence_dir``.

    Both are the same unless stored records are judged again. A dry run (``--collect-only`` and its like) has no folder
    and touches nothing. ``drilled`` are the endpoints that the collected tests are about; ``uncollected`` names what
    could not be collected, ``stopped`` says why not all tests ran, ``trouble`` why there is no verdict.
    """

    fleet: Fleet
    endpoints: tuple[Endpoint, ...]
    mode: Mode
    run_dir: Path
    evidence_dir: Path
    is_dry: bool = False
    is_resumed: bool = False
    is_drilled: bool = False
    drilled: tuple[str, ...] = ()
    uncollected: list[str] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    failures: list[RunFailure] = field(default_factory=list)
    stopped: str = ""
    trouble: str = ""
    verdict: Verdict | None = None

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

    def fail(self, message: str, code: Exit = Exit.INCOMPLETE) -> None:
        """Note what broke the run as a whole."""
        self.failures.append(RunFailure(exit_code=code, message=message))

    def conclude(self) -> Verdict:
        """Return the verdict over everything judged; FleetError for a record that cannot be understood."""
        known = recorded_endpoints(self.evidence_dir)
        records = {name: self.record(name) for name in self.drilled if name in known}
        return reach_verdict(
            self.fleet, self.run_dir.name, self.mode, self.drilled, records, self.judgements, self.failures
        )


RUN = pytest.StashKey[Run]()
"""Where the session's run hangs in ``config.stash``."""


_CHOICES = ("endpoint", "role", "tag")
_DRY = (
    *("collectonly", "setupplan", "showfixtures", "show_fixtures_per_test"),
    *("markers", "cacheshow", "help", "version"),
)


def is_worker(config: pytest.Config) -> bool:
    """Whether this process is a worker of pytest-xdist."""
    return hasattr(config, "workerinput")


def open_run(config: pytest.Config) -> Run:
    """Return the run that the options ask for; FleetError and GuardError before anything is touched."""
    records: Path | None = config.getoption("redrill_record")
    if records is not None:
        return _open_replay(config, records)
    interrupted: Path | None = config.getoption("redrill_resume")
    if interrupted is not None:
        return _open_resume(config, interrupted.resolve())
    fleet, mode = _load_fleet(config), Mode(config.getoption("redrill_mode"))
    selected = _select(config, fleet)
    is_explicit = any(config.getoption(f"redrill_{sort}") for sort in _CHOICES)
    endpoints = choose_targets(selected, mode, is_explicit=is_explicit)
    run_dir = _run_dir(config)
    return Run(fleet, endpoints, mode, run_dir, run_dir, is_dry=_is_dry(config))


def _load_fleet(config: pytest.Config) -> Fleet:
    """Load the fleet with its secrets; a dry run starts no command for one."""
    return load_fleet(config.getoption("redrill_fleet"), reveal_at_hand if _is_dry(config) else reveal)


def _open_replay(config: pytest.Config, records: Path) -> Run:
    evidence_dir = (records.parent if records.name == "records" else records).resolve()
    names = recorded_endpoints(evidence_dir)
    if not names:
        raise FleetError(f"--redrill-record '{records}': there are no records; name the folder of a run.")
    fleet, begun = stored_fleet(evidence_dir), endpoints_of(evidence_dir)
    endpoints = tuple(endpoint for endpoint in _select(config, fleet) if endpoint.name in {*names, *begun})
    mode = read_record(evidence_dir, names[0]).mode
    return Run(fleet, endpoints, mode, _run_dir(config), evidence_dir, is_dry=_is_dry(config))


def _open_resume(config: pytest.Config, run_dir: Path) -> Run:
    """Return the interrupted run itself: it is finished in its own folder, and judged as a whole."""
    fleet, names = stored_fleet(run_dir), endpoints_of(run_dir)
    endpoints = tuple(endpoint for endpoint in fleet.endpoints if endpoint.name in names)
    if not (is_worker(config) or _is_dry(config)):
        # Results of an earlier attempt would count as tries of the same tests.
        shutil.rmtree(run_dir / "allure-results", ignore_errors=True)
    return Run(fleet, endpoints, mode_of(run_dir), run_dir, run_dir, is_dry=_is_dry(config), is_resumed=True)


def _select(config: pytest.Config, fleet: Fleet) -> tuple[Endpoint, ...]:
    return select_endpoints(fleet, *(config.getoption(f"redrill_{sort}") for sort in _CHOICES))


def _is_dry(config: pytest.Config) -> bool:
    """Whether pytest is asked what there is, and not to run it."""
    return any(getattr(config.option, name, False) for name in _DRY)


def _run_dir(config: pytest.Config) -> Path:
    """Return the folder of this run: made by the main process, handed to the workers; not made for a dry run."""
    if is_worker(config):
        return Path(config.workerinput["redrill_run_dir"])  # type: ignore[attr-defined]  # set by pytest-xdist
    base: Path = config.getoption("redrill_reports")
    runs = (config.invocation_params.dir / base).resolve() / "runs"
    return runs / "none" if _is_dry(config) else new_run_folder(runs, datetime.now(UTC))
