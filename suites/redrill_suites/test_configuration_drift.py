"""Drift: what came back is what was there, what is deployed is the image, and nothing lives outside the state paths."""

import pytest

from redrill.analysis.drift import Drift, fact_of
from redrill.model.fleet import Endpoint
from redrill.model.manifest import Difference
from redrill.model.record import DrillRecord
from redrill.reporting.allure_results import attach_differences, attach_text
from redrill_suites.messages import tell


def judge(endpoint: Endpoint, problem: str, differences: list[Difference], advice: str) -> None:
    attach_differences(differences)
    assert not differences, tell(endpoint.name, problem, differences, advice)


def judge_facts(endpoint: Endpoint, drift: Drift, fact: str, advice: str) -> None:
    if fact in drift.latest.absent:
        pytest.skip(f"not applicable: {drift.latest.absent[fact]}")
    lines = drift.facts(fact)
    if lines:
        attach_text("what differs", "\n".join(lines) + "\n")
    assert not lines, tell(endpoint.name, f"{fact} are not as before the wipe", lines, advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("blocker")
def test_restored_trees_equal_the_backup(drift: Drift, endpoint: Endpoint) -> None:
    advice = "the restore lost or changed these; look at the repository, its tar and the file system of the endpoint."
    judge(endpoint, "right after the restore these are not as in the backup", drift.restored(), advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_home_etc_and_var_stay_as_restored(drift: Drift, endpoint: Endpoint) -> None:
    advice = "find what changes these at boot (a unit, a first-boot agent) and stop it, or declare them as 'churn'."
    judge(endpoint, "after settling these are not as in the backup", drift.settled(), advice)


@pytest.mark.redrill_requires("provisioner")
@pytest.mark.redrill_severity("critical")
def test_system_equals_the_image(drift: Drift, endpoint: Endpoint) -> None:
    advice = "the running system is not what the image holds: rebuild the image with the change, or undo it."
    differences = drift.changed_from_image(drift.latest)
    judge(endpoint, "outside /home, /etc and /var these are not as in the image", differences, advice)


@pytest.mark.redrill_requires("drill", "provisioner")
@pytest.mark.redrill_severity("critical")
def test_system_was_not_changed_by_hand(drift: Drift, endpoint: Endpoint) -> None:
    advice = "these were changed on the endpoint and the redeploy undid it: put the change into the image."
    differences = drift.changed_from_image(drift.earliest)
    judge(endpoint, "before the wipe these were not as in the image", differences, advice)


@pytest.mark.redrill_requires("provisioner")
@pytest.mark.redrill_severity("critical")
def test_nothing_leaks(drift: Drift, endpoint: Endpoint) -> None:
    advice = "a redeploy loses these for good: move them to /home, /etc or /var, or put them into the image."
    judge(endpoint, "state outside /home, /etc and /var that the image does not have", drift.leaks(), advice)


@pytest.mark.redrill_requires("drill")
def test_units_came_back(drift: Drift, endpoint: Endpoint) -> None:
    judge_facts(endpoint, drift, "units", "enable in /etc what must run, and start nothing by hand.")


@pytest.mark.redrill_severity("critical")
def test_no_unit_has_failed(drift: Drift, endpoint: Endpoint) -> None:
    if "units" in drift.latest.absent:
        pytest.skip(f"not applicable: {drift.latest.absent['units']}")
    units = fact_of(drift.latest, "units")
    assert isinstance(units, dict)
    failed = [name for name, unit in units.items() if unit.active.startswith("failed")]
    assert not failed, tell(endpoint.name, "units have failed", failed, "see 'journalctl -u UNIT' on the endpoint.")


@pytest.mark.redrill_requires("drill")
def test_packages_are_as_before(drift: Drift, endpoint: Endpoint) -> None:
    judge_facts(endpoint, drift, "packages", "install packages in the image, not on the endpoint.")


@pytest.mark.redrill_requires("drill")
def test_users_came_back(drift: Drift, endpoint: Endpoint) -> None:
    judge_facts(endpoint, drift, "users", "find what rewrites /etc/passwd at boot, such as a first-boot agent.")


@pytest.mark.redrill_requires("drill")
def test_groups_came_back(drift: Drift, endpoint: Endpoint) -> None:
    judge_facts(endpoint, drift, "groups", "find what rewrites /etc/group at boot, such as a first-boot agent.")


@pytest.mark.redrill_requires("drill")
def test_listening_sockets_came_back(drift: Drift, endpoint: Endpoint) -> None:
    judge_facts(endpoint, drift, "sockets", "what listens must be started by an enabled unit.")


@pytest.mark.redrill_requires("drill")
def test_kernel_parameters_came_back(drift: Drift, endpoint: Endpoint) -> None:
    judge_facts(endpoint, drift, "sysctls", "write kernel parameters to /etc/sysctl.d instead of setting them by hand.")


def test_everything_could_be_read(record: DrillRecord, endpoint: Endpoint) -> None:
    seen = [observation for observation in (record.before, record.after) if observation]
    unread = [f"{fact}: {why}" for observation in seen for fact, why in observation.unknown.items()]
    assert not unread, tell(
        endpoint.name, "facts could not be observed", unread, "see the reasons; unknown is not clean."
    )
