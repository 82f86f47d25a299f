"""The state of one pytest session with redrill: what it is about, and what was judged so far."""

import shutil
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import pytest

from redrill.drill.disk import refuse_without_disk
from redrill.drill.evidence import read_record, recorded_endpoints
from redrill.drill.plan import choose_targets
from redrill.drill.resume import endpoints_of, mode_of, stored_fleet
from redrill.drill.waivers import read_waivers
from redrill.errors import Exit, FleetError, RedrillError, gravest
from redrill.loader import load_fleet, load_waivers, select_endpoints
from redrill.machine.keys import fault_of_key
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import DrillRecord
from redrill.model.values import Mode
from redrill.model.verdict import Judgement, RunFailure, Verdict, reach_verdict
from redrill.model.waivers import Waivers
from redrill.model.weighed import Tally
from redrill.reporting.findings import forget_findings
from redrill.reporting.run_folder import new_run_folder
from redrill.secrets_source import reveal, reveal_at_hand


@dataclass(slots=True)
class Run:
    """One session. ``run_dir`` takes the output; records and manifests are read below ``evidence_dir``.

    Both are the same unless stored records are judged again. A dry run (``--collect-only`` and its like) has no folder
    and touches nothing. ``drilled`` are the endpoints that the collected tests are about; ``uncollected`` names what
    could not be collected, ``stopped`` says why not all tests ran, ``trouble`` why there is no verdict. ``waivers`` are
    those in force; only the main process knows them. ``tally`` is what the findings came to.
    """

    fleet: Fleet
    endpoints: tuple[Endpoint, ...]
    mode: Mode
    run_dir: Path
    evidence_dir: Path
    waivers: Waivers = field(default_factory=Waivers)
    is_dry: bool = False
    is_resumed: bool = False
    is_drilled: bool = False
    drilled: tuple[str, ...] = ()
    uncollected: list[str] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    failures: list[RunFailure] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
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
            self.fleet, self.run_dir.name, self.mode, self.drilled, records, self.judgements, self.failures, self.tally
        )

    def worst(self) -> Exit:
        """Return the exit status of a run without a verdict: INCOMPLETE, or what is graver of all that is known."""
        codes = [Exit.INCOMPLETE, *(failure.exit_code for failure in self.failures)]
        with suppress(RedrillError, OSError, ValueError):
            codes.append(self.conclude().exit_code)
        return gravest(codes)


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
    waivers = _load_waivers(config, fleet)
    run_dir = _run_dir(config, mode)
    return Run(fleet, endpoints, mode, run_dir, run_dir, waivers, is_dry=_is_dry(config))


def _load_waivers(config: pytest.Config, fleet: Fleet, kept: Path | None = None) -> Waivers:
    """Return the waivers in force: those of the file as it is now, of a stored run without it those that it has kept.

    A worker of pytest-xdist reads them from the folder of the run.
    """
    if fleet.waivers is None or is_worker(config):
        return Waivers()
    if kept is not None and not fleet.waivers.exists():
        return read_waivers(kept)
    return load_waivers(fleet.waivers)


def _load_fleet(config: pytest.Config) -> Fleet:
    """Load the fleet with its secrets and keys; a dry run starts no command for a secret and needs no key."""
    file: Path = config.getoption("redrill_fleet")
    return load_fleet(file, reveal_at_hand) if _is_dry(config) else load_fleet(file, reveal, fault_of_key)


def _open_replay(config: pytest.Config, records: Path) -> Run:
    evidence_dir = (records.parent if records.name == "records" else records).resolve()
    names = recorded_endpoints(evidence_dir)
    if not names:
        raise FleetError(f"--redrill-record '{records}': there are no records; name the folder of a run.")
    fleet, begun = stored_fleet(evidence_dir), endpoints_of(evidence_dir)
    endpoints = tuple(endpoint for endpoint in _select(config, fleet) if endpoint.name in {*names, *begun})
    mode = read_record(evidence_dir, names[0]).mode
    waivers = _load_waivers(config, fleet, evidence_dir)
    run_dir = _run_dir(config, Mode.OBSERVE)
    return Run(fleet, endpoints, mode, run_dir, evidence_dir, waivers, is_dry=_is_dry(config))


def _open_resume(config: pytest.Config, run_dir: Path) -> Run:
    """Return the interrupted run itself: it is finished in its own folder, and judged as a whole."""
    fleet, names = stored_fleet(run_dir), endpoints_of(run_dir)
    endpoints = tuple(endpoint for endpoint in fleet.endpoints if endpoint.name in names)
    if not (is_worker(config) or _is_dry(config)):
        # Results of an earlier attempt would count as tries of the same tests.
        shutil.rmtree(run_dir / "allure-results", ignore_errors=True)
        forget_findings(run_dir)
    waivers = _load_waivers(config, fleet, run_dir)
    return Run(fleet, endpoints, mode_of(run_dir), run_dir, run_dir, waivers, is_dry=_is_dry(config), is_resumed=True)


def _select(config: pytest.Config, fleet: Fleet) -> tuple[Endpoint, ...]:
    return select_endpoints(fleet, *(config.getoption(f"redrill_{sort}") for sort in _CHOICES))


def _is_dry(config: pytest.Config) -> bool:
    """Whether pytest is asked what there is, and not to run it."""
    return any(getattr(config.option, name, False) for name in _DRY)


def end_unwritten(run: Run, error: OSError) -> NoReturn:
    """End the session before anything is touched, for nothing can be written down."""
    refusal = refuse_without_disk(error, run.run_dir, run.mode)
    run.fail(str(refusal), refusal.exit_code)
    pytest.exit(str(refusal), returncode=refusal.exit_code)


def _run_dir(config: pytest.Config, mode: Mode) -> Path:
    """Return the folder of this run: made by the main process, handed to the workers; not made for a dry run."""
    if is_worker(config):
        return Path(config.workerinput["redrill_run_dir"])  # type: ignore[attr-defined]  # set by pytest-xdist
    base: Path = config.getoption("redrill_reports")
    runs = (config.invocation_params.dir / base).resolve() / "runs"
    if _is_dry(config):
        return runs / "none"
    try:
        return new_run_folder(runs, datetime.now(UTC))
    except OSError as error:
        raise refuse_without_disk(error, runs, mode) from error
