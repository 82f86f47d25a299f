"""Proof of redeploy: the endpoint was really rebuilt, and what was restored really came from the backup."""

import pytest

from redrill.analysis.drift import fact_of
from redrill.model.fleet import Endpoint
from redrill.model.record import DrillRecord
from redrill.plugin.run import Run
from redrill.reporting.allure_results import attach_file, attach_phases, attach_svg
from redrill.reporting.timeline import render_timeline
from redrill_fixtures import plugin
from redrill_suites.messages import tell

# A conftest.py of the user's may have fixtures of these names, for other purposes or to look away: those of the module
# itself come first, so that this proof rests on the record of the run and nothing else.
redrill_run, endpoint, record = plugin.redrill_run, plugin.endpoint, plugin.record

NOT_REDEPLOYED = (
    "the redeploy did not happen, or the provisioner keeps a disk; mend the provisioner before believing anything else."
)


@pytest.mark.redrill_severity("blocker")
def test_drill_runs_to_its_end(
    redrill_run: Run, record: DrillRecord, endpoint: Endpoint, request: pytest.FixtureRequest
) -> None:
    attach_phases(record, request.config.pluginmanager.get_plugin("allure_listener"))
    attach_svg("how it recovered", render_timeline(record, endpoint))
    attach_file(redrill_run.evidence_dir / "records" / f"{endpoint.name}.json", "the record")
    attach_file(redrill_run.evidence_dir / "journal.jsonl", "the journal of the run")
    failed = [phase for phase in record.phases if phase.outcome != "done"]
    if record.failure is not None and record.failure.is_of_clean_up:
        failed = [phase for phase in failed if phase.step is not record.failure.step]  # the run's to tell, with exit 7
    assert record.phases, f"Endpoint '{endpoint.name}': the record holds no phase; nothing was done."
    assert not failed, tell(endpoint.name, "phases did not end well", failed, "look at the journal of the run.")


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("blocker")
def test_stains_outside_the_state_paths_are_gone(record: DrillRecord, endpoint: Endpoint) -> None:
    stains = [marker for marker in record.markers if not marker.is_survivor]
    assert stains, f"Endpoint '{endpoint.name}': no stain was planted, so nothing proves the redeploy."
    left = [marker.path for marker in stains if marker.found is not None]
    assert not left, tell(endpoint.name, "stains planted before the wipe are still there", left, NOT_REDEPLOYED)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("blocker")
def test_survivors_in_the_state_paths_came_back(record: DrillRecord, endpoint: Endpoint) -> None:
    if record.snapshot is not None and not record.snapshot.is_own:
        pytest.skip(
            f"not applicable: '{record.snapshot.id}' was made before anything was planted; what came back is compared "
            "with its manifest"
        )
    survivors = [marker for marker in record.markers if marker.is_survivor]
    assert survivors, f"Endpoint '{endpoint.name}': no survivor was planted, so nothing proves the restore."
    lost = [f"{m.path}: found {m.found!r}, expected {m.nonce!r}" for m in survivors if m.found != m.nonce]
    advice = (
        "the restore did not happen or put back another backup; look at the repository and at what empties these paths."
    )
    assert not lost, tell(endpoint.name, "survivors planted before the backup are lost", lost, advice)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("blocker")
def test_boot_is_new(record: DrillRecord, endpoint: Endpoint) -> None:
    assert record.before, f"Endpoint '{endpoint.name}': there is no observation before the wipe."
    assert record.after, f"Endpoint '{endpoint.name}': there is no observation after the recovery."
    same = [record.after.boot_id] if record.after.boot_id == record.before.boot_id else []
    assert not same, tell(endpoint.name, "the boot id is that of before the wipe", same, NOT_REDEPLOYED)


@pytest.mark.redrill_requires("drill")
@pytest.mark.redrill_severity("blocker")
def test_root_file_system_is_new(record: DrillRecord, endpoint: Endpoint) -> None:
    assert record.before, f"Endpoint '{endpoint.name}': there is no observation before the wipe."
    assert record.after, f"Endpoint '{endpoint.name}': there is no observation after the recovery."
    same = [record.after.root_id] if record.after.root_id == record.before.root_id else []
    assert not same, tell(endpoint.name, "the root file system is that of before the wipe", same, NOT_REDEPLOYED)


@pytest.mark.redrill_requires("drill", "image")
@pytest.mark.redrill_severity("blocker")
def test_image_is_the_wanted_one(record: DrillRecord, endpoint: Endpoint) -> None:
    wanted, deployed = record.image_wanted, record.image_deployed
    assert wanted, f"Endpoint '{endpoint.name}': the wanted image is not known."
    assert deployed, f"Endpoint '{endpoint.name}': the deployed image is not known."
    pinned = endpoint.image.digest if endpoint.image and endpoint.image.digest else wanted.digest
    advice = f"deploy the image with the digest {pinned}, or change the digest in the fleet file."
    wrong = [] if deployed.digest == pinned else [f"{deployed.name} {deployed.version}: digest {deployed.digest}"]
    assert not wrong, tell(endpoint.name, f"another image than {pinned} was deployed", wrong, advice)


@pytest.mark.redrill_requires("same host")
@pytest.mark.redrill_severity("critical")
def test_identity_came_back(record: DrillRecord, endpoint: Endpoint) -> None:
    assert record.before, f"Endpoint '{endpoint.name}': there is no observation before the wipe."
    assert record.after, f"Endpoint '{endpoint.name}': there is no observation after the recovery."
    changed = [
        f"{name}: was {fact_of(record.before, name)!r}, is {fact_of(record.after, name)!r}"
        for name in ("machine_id", "hostname")
        if fact_of(record.before, name) != fact_of(record.after, name)
    ]
    advice = "an endpoint comes back as itself: find what writes its identity at first boot."
    assert not changed, tell(endpoint.name, "the identity is another than before the wipe", changed, advice)
