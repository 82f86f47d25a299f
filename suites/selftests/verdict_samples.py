"""Small fleets, records and judgements for the tests of verdicts and reports."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from redrill.errors import Exit
from redrill.model.application import Application
from redrill.model.checks import TcpCheck
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import DrillRecord, Failure, Outcome, Phase, Step
from redrill.model.recovery import ApplicationResult
from redrill.model.values import Mode
from redrill.model.verdict import Judgement, JudgementOutcome, Verdict, reach_verdict

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DRIFT = "redrill_suites.test_drift::test_nothing_leaks"


def make_fleet(*names: str) -> Fleet:
    applications = {"shop": Application(tcp=TcpCheck(port=80))}
    endpoints = tuple(Endpoint(name=name, applications=applications) for name in names)
    return Fleet(name="shop-staging", source=Path("fleet.yml"), endpoints=endpoints)


def make_record(endpoint="web-1", *, failure=None, wiped=True, mode=Mode.REPLACE, rto=4.25, lost=0, seconds=10.0):
    writes = tuple(range(1, 11))
    shop = ApplicationResult(
        checks=(), healthy=True, recovered_after=rto, writes=writes, survived=writes[: len(writes) - lost]
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
        applications={"shop": shop},
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
