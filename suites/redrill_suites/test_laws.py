"""Laws: what must hold of any drill, judged by a second one, from the last endpoint to the first ('--redrill-laws')."""

import pytest

from redrill.analysis.drift import Drift
from redrill.laws.judging import find_altered_cases, find_further_drift, find_healthier, find_other_judgements
from redrill_suites.messages import tell

pytestmark = pytest.mark.redrill_requires("drill", "laws")


@pytest.mark.redrill_severity("critical")
def test_a_second_drill_changes_nothing_more(drift: Drift, drift_again: Drift) -> None:
    found = find_further_drift(drift, drift_again)
    advice = "find what goes on from one boot to the next in the restored state, and stop it or declare it as 'churn'."
    assert not found, tell(drift.endpoint.name, "after a second drill these are not as after the first", found, advice)


@pytest.mark.redrill_severity("critical")
def test_the_order_of_endpoints_does_not_matter(drift: Drift, drift_again: Drift) -> None:
    found = find_other_judgements(drift, drift_again)
    advice = "find what this endpoint takes from others while it starts; it must wait for them, or do without."
    assert not found, tell(
        drift.endpoint.name, "these were otherwise when it was drilled in another order", found, advice
    )


@pytest.mark.redrill_severity("blocker")
def test_what_is_restored_is_what_was_backed_up(drift_again: Drift) -> None:
    found = find_altered_cases(drift_again)
    advice = "the repository or the file system of the endpoint loses these; 'redrill fidelity' shows what each keeps."
    assert not found, tell(drift_again.endpoint.name, "hard cases did not come back as they were", found, advice)


@pytest.mark.redrill_requires("applications")
def test_less_state_is_never_healthier(drift_again: Drift) -> None:
    found = find_healthier(drift_again)
    advice = "something in its own state keeps the application from working; 'redrill minimise' finds what."
    assert not found, tell(drift_again.endpoint.name, "an application works only without its state", found, advice)
