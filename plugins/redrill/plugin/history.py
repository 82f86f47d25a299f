"""What a run keeps of its measurements: what it is compared with, the ledger's rows, and a picture of each recovery."""

from collections.abc import Iterable

import pytest

from redrill.drill.evidence import recorded_endpoints
from redrill.drill.journal import read_journal
from redrill.errors import RedrillError
from redrill.ledger.baseline import collect_baseline, write_baseline
from redrill.ledger.opening import open_ledger
from redrill.ledger.protocol import Ledger
from redrill.model.measurement import Measurement, measurements_of
from redrill.model.record import DrillRecord
from redrill.model.verdict import Decision, Verdict
from redrill.plugin.names import TIMELINE
from redrill.plugin.run import RUN, Run
from redrill.plugin.selection import endpoint_of
from redrill.private import write_private
from redrill.reporting.allure_results import attach_svg
from redrill.reporting.timeline import FILE, render_timeline


def keep_baseline(run: Run) -> None:
    """Write down, before anything is judged, what the recoveries of this run are compared with.

    A run without it would be judged as if nothing had been measured before.
    """
    measured = [each for record in _drilled(run) for each in _measure(run, record, Decision.INCOMPLETE)]
    if not measured:
        return
    try:
        write_baseline(run.run_dir, collect_baseline(_ledger(run), measured))
    except (RedrillError, OSError) as error:
        run.fail(f"What recoveries are compared with could not be kept: {error}")


def remember(run: Run, verdict: Verdict) -> Verdict:
    """Append to the ledger what was measured and draw each recovery; what fails is a warning of the verdict."""
    warnings = []
    decisions = {one.endpoint: one.decision for one in verdict.endpoints}
    records = _drilled(run)
    measured = [each for record in records for each in _measure(run, record, decisions[record.endpoint])]
    try:
        if measured:
            _ledger(run).append(measured)
    except (RedrillError, OSError) as error:
        warnings.append(f"The measurements of this run are not in the ledger: {error}")
    try:
        for record in records:
            _draw(run, record)
    except OSError as error:
        warnings.append(f"The pictures of this run could not be written: {error}")
    return verdict.model_copy(update={"warnings": (*verdict.warnings, *warnings)}) if warnings else verdict


def show_timeline(item: pytest.Item, report: pytest.TestReport) -> None:
    """Attach the picture of the recovery to a test that asks for it by its marker and has just failed."""
    name, run = endpoint_of(item), item.config.stash[RUN]
    if report.failed and name and item.get_closest_marker(TIMELINE) and name in recorded_endpoints(run.evidence_dir):
        attach_svg("how it recovered", render_timeline(run.record(name), run.fleet.endpoint(name)))


def _drilled(run: Run) -> list[DrillRecord]:
    """Return the records of what this run itself has wiped."""
    if run.is_replay or not run.mode.is_destructive:
        return []
    known = recorded_endpoints(run.run_dir)
    records = [run.record(name) for name in run.drilled if name in known]
    return [record for record in records if record.wiped_at is not None]


def _measure(run: Run, record: DrillRecord, decision: Decision) -> list[Measurement]:
    return measurements_of(run.fleet.name, record, decision, tuple(_interrupted(run)))


def _interrupted(run: Run) -> Iterable[str]:
    """Yield the endpoints that were wiped when a process of this run died."""
    for event in read_journal(run.run_dir / "journal.jsonl"):
        if event["event"] == "run resumed":
            yield from event["wiped"]


def _ledger(run: Run) -> Ledger:
    return open_ledger(run.fleet, run.run_dir.parents[1])


def _draw(run: Run, record: DrillRecord) -> None:
    picture = render_timeline(record, run.fleet.endpoint(record.endpoint))
    if picture is not None:
        write_private(run.run_dir / "records" / record.endpoint / FILE, picture)
