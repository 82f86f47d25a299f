"""Small fleets, records and judgements for the tests of verdicts and reports."""

from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

from redrill.errors import Exit
from redrill.model.application import Application
from redrill.model.checks import TcpCheck
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import DrillRecord, Failure, Outcome, Phase, SnapshotFacts, Step
from redrill.model.recovery import ApplicationResult, CanaryResult, HealthChange, Span
from redrill.model.values import Mode
from redrill.model.verdict import Judgement, JudgementOutcome, Verdict, reach_verdict

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DRIFT = "redrill_suites.test_drift::test_nothing_leaks"


def make_fleet(*names: str) -> Fleet:
    applications = {"shop": Application(tcp=TcpCheck(port=80))}
    endpoints = tuple(Endpoint(name=name, applications=applications) for name in names)
    return Fleet(name="shop-staging", source=Path("fleet.yml"), endpoints=endpoints)


def make_record(endpoint="web-1", *, failure=None, wiped=True, mode=Mode.REPLACE, rto=4.25, lost=0, seconds=10.0):
    is_back, changes = rto is not None, make_changes(rto)
    shop = ApplicationResult(
        checks=(), healthy=is_back, recovered_after=rto, held=1.0, changes=changes, last_healthy=-0.05
    )
    orders = CanaryResult(
        kind="command", application="shop", interval=0.1, written=10, survived=10 - lost, loss=lost * 0.1
    )
    return DrillRecord(
        run="r1",
        endpoint=endpoint,
        mode=mode,
        started=START,
        ended=START + timedelta(seconds=seconds),
        phases=make_phases(failure),
        failure=failure,
        wiped_at=START + timedelta(seconds=2) if wiped else None,
        timeline=make_spans(wipe=0.5, restore=2.0, boot=0.75) if wiped else (),
        snapshot=make_snapshot(),
        applications={"shop": shop},
        canaries={"orders": orders},
    )


def make_spans(**seconds):
    """Return spans of these names and lengths, one after another."""
    ends = list(accumulate(seconds.values()))
    return tuple(
        Span(name=name, started=end - seconds[name], ended=end) for name, end in zip(seconds, ends, strict=True)
    )


def make_changes(rto):
    """Return what is seen from outside: healthy at first, then not, and in the end again, unless it never was."""
    back = [HealthChange(at=rto, healthy=True)] if rto is not None else []
    down = HealthChange(at=min(0.05, rto or 0.05), healthy=False, detail="connection refused")
    return (HealthChange(at=0.0, healthy=True), down, *back)


def make_snapshot(seconds_before_outage=1.5):
    """Return a backup taken so long before the outage of ``make_record``."""
    taken = START + timedelta(seconds=2 - seconds_before_outage)
    return SnapshotFacts(
        id="s1", entries=1, size=1, stored_size=1, sha256="", manifest=Path("backup.jsonl.zst"), taken=taken
    )


def make_phases(failure=None):
    steps = [Step.PREFLIGHT, Step.REDEPLOY, Step.RESTORE, Step.SETTLE]
    return tuple(
        Phase(
            step=step,
            started=START + timedelta(seconds=2 * index),
            ended=START + timedelta(seconds=2 * index + 1.5),
            budget=60.0,
            outcome=Outcome.FAILED if failure and failure.step is step else Outcome.DONE,
            detail=f"{step} has a detail",
        )
        for index, step in enumerate(steps)
    )


def make_failure(code=Exit.QUARANTINED, message="The restore stopped at 'etc/passwd'.\nsecond line", step=Step.RESTORE):
    return Failure(step=step, error="RestoreError", message=message, exit_code=code)


def judge(endpoint="web-1", outcome="passed", test=DRIFT, message="", **parameters):
    return Judgement(
        test=test, endpoint=endpoint, outcome=JudgementOutcome(outcome), message=message, parameters=parameters
    )


def reach(judgements, records=None, names=("web-1",), mode=Mode.REPLACE, failures=()) -> Verdict:
    records = {name: make_record(name) for name in names} if records is None else records
    return reach_verdict(make_fleet(*names), "r1", mode, names, records, judgements, failures)
