"""Recovery: every application is healthy again, within its objective, with all data that was safe before."""

import pytest

from redrill.model.application import Application
from redrill.model.fleet import Endpoint
from redrill.model.recovery import ApplicationResult
from redrill_suites.messages import tell

pytestmark = pytest.mark.redrill_requires("applications")


@pytest.mark.redrill_severity("blocker")
def test_application_is_healthy(
    recovery: ApplicationResult, application: Application, application_name: str, endpoint: Endpoint
) -> None:
    assert recovery.checks, f"Endpoint '{endpoint.name}': no health check of '{application_name}' was asked."
    unhealthy = [f"{check.check}: {check.detail}" for check in recovery.checks if not check.healthy]
    if not recovery.healthy and not unhealthy:
        unhealthy = [f"healthy for {recovery.held:.1f} s only, hold is {application.hold.total_seconds():g} s"]
    units = ", ".join(application.units) or application_name
    advice = f"see the logs of {units}; what it needs may live outside the state paths."
    assert not unhealthy, tell(endpoint.name, f"application '{application_name}' did not come back", unhealthy, advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_recovery_time_is_within_its_objective(
    recovery: ApplicationResult, application_name: str, endpoint: Endpoint
) -> None:
    objective = endpoint.objectives_of(application_name).rto.total_seconds()
    took = recovery.recovered_after
    late = [] if took is not None and took <= objective else ["never healthy" if took is None else f"{took:.1f} s"]
    advice = f"the objective is {objective:g} s from the wipe to held health: look at the longest phases of the drill."
    assert not late, tell(endpoint.name, f"application '{application_name}' recovered too late", late, advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("blocker")
def test_no_acknowledged_write_is_lost(recovery: ApplicationResult, application_name: str, endpoint: Endpoint) -> None:
    if recovery.writes is None:
        pytest.skip(f"not applicable: application '{application_name}' declares no canary")
    assert recovery.writes, f"Endpoint '{endpoint.name}': no canary was written to '{application_name}'."
    lost = sorted(set(recovery.writes) - set(recovery.survived or ()))
    advice = "the application acknowledged these writes and the backup did not hold them: flush before acknowledging."
    problem = f"acknowledged writes of application '{application_name}' are lost, of {len(recovery.writes)}"
    assert not lost, tell(endpoint.name, problem, lost, advice)
