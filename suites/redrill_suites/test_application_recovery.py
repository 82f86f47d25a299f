"""Application recovery: every application is healthy again, in time, and with all data that it had to keep.

Each promise is a test of its own, and a failure shows how the endpoint recovered, as a picture.
- An application is healthy when all its checks are, without a break for its ``hold``.
- Its recovery time (RTO) runs from the begin of the outage to the first answer of that healthy streak, by the
  controller's monotonic clock; ``objectives.rto`` is the most that it may be.
- It flaps when it answers badly again after the first good answer of the system that came back.
- ``needs`` are waited for: the recovery time is the whole time, ``tolerate`` is the most that may pass between the
  return of what an application needs and its own.
- A neighbour is asked from before the wipe to the end of the drill; ``objectives.neighbour_errors`` is the part of its
  answers, in percent, that may be bad.
- An application whose backup is crash-consistent, for nothing made its data still, must get over that by itself, as
  after a power cut (PostgreSQL by its WAL, Redis by its append-only file): healthy, and with every write that it had
  acknowledged when the backup was made. A failure shows what the logs say of it.
- It has slowed down when it took more than ``objectives.regression`` percent longer than the median of the last
  comparable drills in the ledger: same endpoint, application and mode.
"""

from collections.abc import Sequence

import pytest

from redrill.analysis.drift import Drift
from redrill.analysis.references import tell_references
from redrill.errors import UnknownFactError
from redrill.ledger.baseline import LEAST, read_baseline, slower_than_usual
from redrill.model.application import Application
from redrill.model.canary import Consistency
from redrill.model.fleet import Endpoint
from redrill.model.phases import phases_until, tell_longest
from redrill.model.record import DrillRecord
from redrill.model.recovery import ApplicationResult
from redrill.plugin.run import Run
from redrill_suites.losses import result_of, tell_lost
from redrill_suites.messages import tell

pytestmark = [pytest.mark.redrill_requires("applications"), pytest.mark.redrill_timeline]


def longest(record: DrillRecord, took: float | None) -> str:
    words = tell_longest(phases_until(record.timeline, took))
    return f"; {words}" if words else ""


@pytest.mark.redrill_severity("blocker")
def test_application_is_healthy(
    recovery: ApplicationResult, application: Application, application_name: str, endpoint: Endpoint, drift: Drift
) -> None:
    assert recovery.checks, f"Endpoint '{endpoint.name}': no health check of '{application_name}' was asked."
    unhealthy = [f"{check.check}: {check.detail}" for check in recovery.checks if not check.healthy]
    if not recovery.healthy and not unhealthy:
        unhealthy = [f"healthy for {recovery.held:.1f} s only, hold is {application.hold.total_seconds():g} s"]
    units = ", ".join(application.units) or application_name
    advice = f"see the logs of {units}; what it needs may live outside the state paths."
    if unhealthy and (named := tell_references(drift)):
        unhealthy += named
        advice = "let what names the old host name a role or a service instead, or have provisioning write it."
    assert not unhealthy, tell(endpoint.name, f"application '{application_name}' did not come back", unhealthy, advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("blocker")
def test_application_recovers_from_a_crash_consistent_backup(
    recovery: ApplicationResult, application_name: str, endpoint: Endpoint, record: DrillRecord
) -> None:
    kept = record.consistency_of(application_name)
    if kept is not Consistency.CRASH:
        how = "only its owner knows how still its data stood" if kept is None else f"its data stood still ({kept})"
        pytest.skip(f"not applicable: {how} when the backup was made")
    if not recovery.healthy and record.relocation is not None:
        pytest.skip("not applicable: it did not come back on the new host, which the test of its health tells")
    has_canary = application_name in endpoint.state_classes
    result = result_of(record, application_name) if has_canary else None
    broken = [] if recovery.healthy else ["it is not healthy", *([result.unknown] if result and result.unknown else [])]
    broken += tell_lost(application_name, result) if result else []
    said = "".join(f"\n  {line}" for line in record.recovery_log) or " nothing of a recovery"
    advice = "what it needs to recover must be in the backup and intact, or make its data still for it ('quiesce')."
    problem = f"application '{application_name}' did not recover from its {kept} backup"
    assert not broken, tell(endpoint.name, problem, broken, f"{advice}\nIts logs say:{said}")
    if result and result.unknown:
        raise UnknownFactError(f"Nobody knows what '{application_name}' kept of its {kept} backup: {result.unknown}")


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_recovery_time_is_within_its_objective(
    recovery: ApplicationResult, application_name: str, endpoint: Endpoint, record: DrillRecord
) -> None:
    objective = endpoint.objectives_of(application_name).rto.total_seconds()
    took = recovery.recovered_after
    if took is None and record.relocation is not None:
        pytest.skip("not applicable: it did not come back on the new host, which the test of its health tells")
    waited = f", {recovery.waited:.1f} s of it without what it needs" if recovery.waited else ""
    late = [] if took is not None and took <= objective else [f"{took:.1f} s{waited}" if took else "never healthy"]
    advice = f"the objective is {objective:g} s from the wipe to held health: look at the longest part"
    advice = f"{advice}{longest(record, took)}."
    assert not late, tell(endpoint.name, f"application '{application_name}' recovered too late", late, advice)


@pytest.mark.redrill_requires("drill")
def test_recovery_has_not_slowed_down(
    redrill_run: Run, recovery: ApplicationResult, application_name: str, endpoint: Endpoint, record: DrillRecord
) -> None:
    baseline, took = read_baseline(redrill_run.evidence_dir), recovery.recovered_after
    if baseline.unknown:
        raise UnknownFactError(f"Nobody knows how long '{application_name}' took before: {baseline.unknown}")
    earlier = baseline.of(endpoint.name, application_name)
    if len(earlier) < LEAST:
        pytest.skip(f"not applicable: {len(earlier)} comparable drills are in the ledger; a median needs {LEAST}")
    if took is None or endpoint.name in baseline.interrupted:
        pytest.skip("not applicable: it did not come back, or its drill was interrupted, so its time says nothing")
    percent = endpoint.objectives_of(application_name).regression
    median = slower_than_usual(took, earlier, percent)
    slow = [] if median is None else [f"{took:.1f} s, the median of the last {len(earlier)} drills is {median:.1f} s"]
    advice = f"{percent:g} % more are allowed ('objectives.regression'): find what has changed{longest(record, took)}."
    assert not slow, tell(endpoint.name, f"application '{application_name}' recovers slower than before", slow, advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_health_does_not_flap(recovery: ApplicationResult, application_name: str, endpoint: Endpoint) -> None:
    flaps = [f"after {change.at:.1f} s: {change.detail}" for change in recovery.flaps]
    advice = "it let its users in too early, or cannot bear them: have it answer only when it is ready."
    problem = f"application '{application_name}' was healthy and fell ill again while it came back"
    assert not flaps, tell(endpoint.name, problem, flaps, advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_dependency_outage_is_tolerated(
    recovery: ApplicationResult,
    application: Application,
    application_name: str,
    endpoint: Endpoint,
    record: DrillRecord,
) -> None:
    dependents = [one for one in record.neighbours if application_name in one.needs]
    if not recovery.needed and not (dependents and recovery.healthy):
        pytest.skip(
            "not applicable: nothing that it needs was away for a drill, and nothing else that needs it came back"
        )
    slow = []
    if recovery.needed:
        most = max(application.needs[name].tolerate.total_seconds() for name in recovery.needed)
        if recovery.after_needs is None or recovery.after_needs > most:
            slow += [_tell_return(application_name, recovery.after_needs, most, recovery.needed)]
    for one in dependents if recovery.healthy else ():
        if one.back_after is None or one.back_after > (one.tolerated or 0.0):
            name = f"{one.endpoint}/{one.application}"
            slow += [
                f"{_tell_return(name, one.back_after, one.tolerated or 0.0, (application_name,))}: {one.last_error}"
            ]
    advice = "have it try again soon and for ever, with a pause that does not grow beyond what 'tolerate' says."
    assert not slow, tell(endpoint.name, "an outage of what others need was not tolerated as declared", slow, advice)


def _tell_return(name: str, after: float | None, most: float, needs: Sequence[str]) -> str:
    needed = ", ".join(f"'{each}'" for each in needs)
    came = "did not come back" if after is None else f"came back {after:.1f} s"
    return f"'{name}' {came} after what it needs ({needed}); {most:g} s are tolerated"


@pytest.mark.redrill_requires("drill", "neighbours")
@pytest.mark.redrill_severity("blocker")
def test_neighbours_were_not_harmed(record: DrillRecord, endpoint: Endpoint) -> None:
    asked = [one for one in record.neighbours if one.tolerated is None and not one.is_drilled]
    if not asked:
        pytest.skip("not applicable: all of its neighbours were drilled at the same time")
    if silent := [f"{one.endpoint}/{one.application}" for one in asked if not one.asked]:
        raise UnknownFactError(f"Nobody knows how these neighbours fared, for they were not asked: {', '.join(silent)}")
    most = endpoint.objectives.neighbour_errors
    harmed = [
        f"{one.endpoint}/{one.application}: {one.failed} of {one.asked} answers were bad "
        f"({100 * one.failed / one.asked:.2g} %), for {one.longest:.1f} s at once: {one.last_error}"
        for one in asked
        if 100 * one.failed / one.asked > most
    ]
    advice = f"{most:g} % are allowed ('objectives.neighbour_errors'): what do they share with what was drilled?"
    assert not harmed, tell(endpoint.name, "its drill harmed others", harmed, advice)
