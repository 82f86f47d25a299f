"""What a run keeps of its measurements: what it is compared with, the ledger's rows, and a picture of each recovery."""

from collections.abc import Mapping, Sequence
from contextlib import suppress

import pytest

from redrill.drill.evidence import recorded_endpoints
from redrill.drill.journal import read_journal
from redrill.errors import FleetError, RedrillError
from redrill.ledger.baseline import collect_baseline, write_baseline
from redrill.ledger.opening import open_ledger
from redrill.ledger.protocol import Ledger
from redrill.model.measurement import Measurement, measurements_of
from redrill.model.record import DrillRecord
from redrill.model.verdict import Decision, Verdict
from redrill.plugin.names import TIMELINE
from redrill.plugin.run import RUN, Run
from redrill.plugin.selection import endpoint_of
from redrill.reporting.allure_results import attach_svg
from redrill.reporting.timeline import render_timeline, write_timeline

_TROUBLE = (RedrillError, OSError, ValueError)
"""What may be wrong with a ledger, the folder of a run, and what was read from either."""


def keep_baseline(run: Run) -> None:
    """Write down, before anything is judged, what the recoveries of this run are compared with.

    A run without it would be judged as if nothing had been measured before.
    """
    try:
        measured = _measure(run, _drilled(run), {})
        if measured:
            write_baseline(run.run_dir, collect_baseline(_ledger(run), measured))
    except _TROUBLE as error:
        run.fail(f"What recoveries are compared with could not be kept: {error}")


def remember(run: Run, verdict: Verdict) -> Verdict:
    """Append to the ledger what was measured and draw each recovery; what fails is a warning of the verdict."""
    warnings = []
    records = _drilled(run)
    try:
        measured = _measure(run, records, {one.endpoint: one.decision for one in verdict.endpoints})
        if measured:
            _ledger(run).append(measured)
    except _TROUBLE as error:
        warnings.append(f"The measurements of this run are not in the ledger: {error}")
    try:
        for record in records:
            write_timeline(run.run_dir, record, run.fleet.endpoint(record.endpoint))
    except OSError as error:
        warnings.append(f"The pictures of this run could not be written: {error}")
    return verdict.model_copy(update={"warnings": (*verdict.warnings, *warnings)}) if warnings else verdict


def show_timeline(item: pytest.Item, report: pytest.TestReport) -> None:
    """Attach the picture of the recovery to a test that asks for it by its marker and has just failed."""
    name, run = endpoint_of(item), item.config.stash[RUN]
    if report.failed and name and item.get_closest_marker(TIMELINE):
        with suppress(FleetError):  # a test without a record says so itself
            attach_svg("how it recovered", render_timeline(run.record(name), run.fleet.endpoint(name)))


def _drilled(run: Run) -> list[DrillRecord]:
    """Return the records of what this run itself has wiped."""
    if run.is_replay or not run.mode.is_destructive:
        return []
    known = recorded_endpoints(run.run_dir)
    records = [run.record(name) for name in run.drilled if name in known]
    return [record for record in records if record.wiped_at is not None]


def _measure(run: Run, records: Sequence[DrillRecord], decisions: Mapping[str, Decision]) -> list[Measurement]:
    """Return what was measured; an endpoint that is not judged yet counts as incomplete."""
    if not records:
        return []
    resumed = [each for each in read_journal(run.run_dir / "journal.jsonl") if each["event"] == "run resumed"]
    interrupted = [name for event in resumed for name in event["wiped"]]
    measured = []
    for record in records:
        decision = decisions.get(record.endpoint, Decision.INCOMPLETE)
        measured += measurements_of(run.fleet.name, record, decision, interrupted)
    return measured


def _ledger(run: Run) -> Ledger:
    return open_ledger(run.fleet, run.run_dir.parents[1])
