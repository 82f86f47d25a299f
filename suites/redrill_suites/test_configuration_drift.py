"""Drift: what came back is what was there, what is deployed is the image, and nothing lives outside the state paths."""

import pytest

from redrill.analysis.drift import Drift, fact_of
from redrill.analysis.etc_diffs import render_diffs
from redrill.analysis.leaks import make_ledger
from redrill.analysis.relocation import ill_applications
from redrill.analysis.tallying import tell_escalated
from redrill.drill.waivers import read_waivers
from redrill.model.fleet import Endpoint
from redrill.model.record import DrillRecord
from redrill.plugin.run import Run
from redrill.reporting.allure_results import attach_text
from redrill_suites.judging import judge_promise
from redrill_suites.messages import tell


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_backup_keeps_what_was_there(drift: Drift, endpoint: Endpoint) -> None:
    kind = endpoint.repository.kind if endpoint.repository else "none"
    advice = (
        f"every restore from '{kind}' will lack these: use a repository that keeps them, or set them after a restore."
    )
    judge_promise(drift, "backed up files", f"the backup in repository '{kind}' does not hold these", advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("blocker")
def test_restored_trees_equal_the_backup(drift: Drift) -> None:
    advice = "the restore lost or changed these; look at the repository, its tar and the file system of the endpoint."
    judge_promise(drift, "restored files", "right after the restore these are not as in the backup", advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_home_etc_and_var_stay_as_restored(drift: Drift) -> None:
    advice = "find what changes these at boot (a unit, a first-boot agent) and stop it, or declare them as 'churn'."
    judge_promise(drift, "settled files", "after settling these are not as in the backup", advice)


@pytest.mark.redrill_requires("provisioner")
@pytest.mark.redrill_severity("critical")
def test_system_equals_the_image(drift: Drift) -> None:
    advice = "the running system is not what the image holds: rebuild the image with the change, or undo it."
    judge_promise(drift, "system files", "outside /home, /etc and /var these are not as in the image", advice)


@pytest.mark.redrill_requires("drill", "provisioner")
@pytest.mark.redrill_severity("critical")
def test_system_was_not_changed_by_hand(drift: Drift) -> None:
    advice = "these were changed on the endpoint and the redeploy undid it: put the change into the image."
    judge_promise(drift, "changes by hand", "before the wipe these were not as in the image", advice)


@pytest.mark.redrill_severity("critical")
def test_system_equals_the_vendor(drift: Drift) -> None:
    advice = "reinstall the package, or bring the change in the way packages do: dpkg-divert, dpkg-statoverride."
    judge_promise(drift, "vendor", "outside /home, /etc and /var these are not as their vendor made them", advice)


def test_etc_holds_no_stale_copies(drift: Drift) -> None:
    if diffs := render_diffs(drift):
        attach_text("how /etc differs from the defaults", diffs)
    advice = "merge the new defaults and remove what hides them; a drop-in or no file at all ages better than a copy."
    judge_promise(drift, "etc", "/etc hides new defaults, or holds what nothing reads any more", advice)


@pytest.mark.redrill_severity("critical")
def test_nothing_leaks(drift: Drift) -> None:
    attach_text("where everything comes back from", make_ledger(drift).table())
    advice = "move them to /home, /etc or /var, put them into the image, or declare what may be lost as 'ephemeral'."
    judge_promise(drift, "leaks", "a redeploy loses these for good", advice)


@pytest.mark.redrill_severity("critical")
def test_uids_and_gids_mean_the_same_names(drift: Drift) -> None:
    advice = "give accounts the same numbers in the image and on the endpoint (systemd-sysusers), or chown the files."
    judge_promise(drift, "ownership", "files belong to somebody else by number than by name", advice)


@pytest.mark.redrill_requires("drill")
def test_units_came_back(drift: Drift) -> None:
    advice = "enable in /etc what must run, with its drop-ins, and start, stop and mask nothing by hand."
    judge_promise(drift, "units", "units are not as before the wipe", advice)


@pytest.mark.redrill_severity("critical")
def test_no_unit_has_failed(drift: Drift, endpoint: Endpoint) -> None:
    if "units" in drift.latest.absent:
        pytest.skip(f"not applicable: {drift.latest.absent['units']}")
    units = fact_of(drift.latest, "units")
    assert isinstance(units, dict)
    told = {unit for own in ill_applications(drift).values() for unit in own}  # by the test of their application
    failed = [name for name, unit in units.items() if unit.active.startswith("failed") and name not in told]
    assert not failed, tell(endpoint.name, "units have failed", failed, "see 'journalctl -u UNIT' on the endpoint.")


@pytest.mark.redrill_requires("drill")
def test_packages_are_as_before(drift: Drift) -> None:
    advice = "install packages in the image, not on the endpoint."
    judge_promise(drift, "packages", "packages are not as before the wipe", advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_accounts_came_back(drift: Drift) -> None:
    advice = "find what rewrites accounts, groups or sudo rules at boot, such as a first-boot agent."
    judge_promise(drift, "accounts", "who there is and what they may is not as before the wipe", advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_network_came_back(drift: Drift) -> None:
    advice = "let an enabled unit start what listens, and write addresses, routes, name servers and rules to /etc."
    judge_promise(drift, "network", "what is reached and how is not as before the wipe", advice)


@pytest.mark.redrill_requires("drill")
def test_kernel_state_came_back(drift: Drift) -> None:
    advice = "write parameters to /etc/sysctl.d, modules to /etc/modules-load.d and mounts to /etc/fstab or a unit."
    judge_promise(drift, "kernel", "what the kernel was told is not as before the wipe", advice)


@pytest.mark.redrill_requires("drill")
def test_environment_came_back(drift: Drift) -> None:
    advice = "write time zone, locale, limits and variables to /etc, and find what changes them at boot."
    judge_promise(drift, "environment", "what programs find around them is not as before the wipe", advice)


@pytest.mark.redrill_severity("critical")
def test_nothing_runs_on_borrowed_state(drift: Drift) -> None:
    advice = "a mere reboot loses these: write them to /etc, where a unit reads them at boot, or undo them."
    judge_promise(drift, "runtime leaks", "what runs or is set in memory only", advice)


@pytest.mark.redrill_severity("critical")
def test_certificates_are_valid(drift: Drift) -> None:
    advice = "renew them, and let the renewal restart what serves them."
    judge_promise(drift, "certificates", "certificates have expired or are about to", advice)


def test_everything_could_be_read(record: DrillRecord, endpoint: Endpoint) -> None:
    seen = [observation for observation in (record.before, record.after) if observation]
    unread = [f"{fact}: {why}" for observation in seen for fact, why in observation.unknown.items()]
    assert not unread, tell(
        endpoint.name, "facts could not be observed", unread, "see the reasons; unknown is not clean."
    )


def test_waivers_are_in_order(redrill_run: Run, endpoint: Endpoint) -> None:
    waivers = read_waivers(redrill_run.run_dir)
    if waivers.source is None:
        pytest.skip("not applicable: the fleet file names no waivers")
    escalated = [tell_escalated(name, each) for name, each in waivers.escalated.items() if each.is_about(endpoint.name)]
    advice = "mend what they accept; whoever may put them off once more raises 'max_extensions' of the waivers file."
    assert not escalated, tell(endpoint.name, "waivers were put off too often", escalated, advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("critical")
def test_identity_is_kept(drift: Drift) -> None:
    advice = "an endpoint comes back as itself, and a new host as nobody else: find what writes this at first boot."
    judge_promise(drift, "identity", "identities are not what they must be after the drill", advice)


@pytest.mark.redrill_severity("critical")
def test_identity_is_its_own(drift: Drift) -> None:
    advice = "let each endpoint make its own (machine-id, host keys, …), and let the image ship none."
    judge_promise(drift, "uniqueness", "identities are not the endpoint's own", advice)


def test_nothing_is_bound_to_this_host(drift: Drift) -> None:
    advice = "name a role or a service instead of this very machine, or let provisioning write the line."
    judge_promise(drift, "references", "what comes back with the backup is bound to this host", advice)


@pytest.mark.redrill_requires("peers")
def test_endpoint_is_like_its_role(drift: Drift) -> None:
    advice = "make it like the others, or all of them like it, and put that into the image or the playbook."
    judge_promise(drift, "outliers", f"this is not as on most endpoints of role '{drift.endpoint.role}'", advice)


@pytest.mark.redrill_requires("desired_state")
def test_configuration_management_would_change_nothing(drift: Drift) -> None:
    advice = "put what these tasks do into the image or the state paths, or mend tasks that always report a change."
    judge_promise(drift, "desired state", "the owner's playbook would change these", advice)
