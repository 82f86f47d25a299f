"""Vanilla: the image alone makes a system that boots, is reachable, runs what it enables, and has nothing of before."""

import pytest

from redrill.analysis.drift import Drift, fact_of
from redrill.errors import UnknownFactError
from redrill.model.fleet import Endpoint
from redrill.model.record import DrillRecord, VanillaFacts
from redrill.probes.started import WELL
from redrill_suites.judging import judge_promise
from redrill_suites.messages import tell

pytestmark = pytest.mark.redrill_requires("vanilla")


def vanilla_of(record: DrillRecord) -> VanillaFacts:
    if record.vanilla is None:
        raise UnknownFactError(f"'{record.endpoint}' was not seen without its state.")
    return record.vanilla


@pytest.mark.redrill_severity("blocker")
def test_image_boots_and_is_reachable(record: DrillRecord, endpoint: Endpoint) -> None:
    seen, boots = vanilla_of(record), [record.before, record.after]
    assert seen.location.root or seen.location.host_keys, f"Endpoint '{endpoint.name}': no host key of it was known."
    same = [
        f"{name} {getattr(seen.observation, name)}"
        for name in ("boot_id", "root_id")
        if getattr(seen.observation, name) in [getattr(boot, name) for boot in boots if boot]
    ]
    advice = "each redeploy makes a system of its own; mend the provisioner before believing anything else."
    assert not same, tell(endpoint.name, "what booted without its state is the system before or after it", same, advice)


@pytest.mark.redrill_severity("critical")
def test_what_the_image_enables_is_up(record: DrillRecord, endpoint: Endpoint) -> None:
    seen = vanilla_of(record)
    if seen.units is None:
        pytest.skip("not applicable: there is no running system")
    units = fact_of(seen.observation, "units")
    assert isinstance(units, dict)
    down = {name: state for name, state in seen.units.items() if state not in WELL}
    down |= {name: unit.active for name, unit in units.items() if unit.active.startswith("failed")}
    advice = "the image must run without state: ship what needs state disabled, or let it make what it needs."
    told = [f"{name}: {state}" for name, state in sorted(down.items())]
    assert not told, tell(endpoint.name, "with nothing restored, units that are to run do not", told, advice)


@pytest.mark.redrill_severity("critical")
def test_fresh_identity_is_nobodys(drift: Drift) -> None:
    advice = "let each system make its own at its first boot, and keep nothing of it in the image or on other disks."
    judge_promise(drift, "fresh identity", "without its state it has identities that are not new", advice)


@pytest.mark.redrill_severity("critical")
def test_state_paths_are_those_of_the_image(drift: Drift) -> None:
    advice = "an empty /etc and /var must do: find what writes these at the first boot, or where they come from."
    judge_promise(drift, "vanilla files", "with nothing restored these are not as in the image", advice)


@pytest.mark.redrill_severity("blocker")
def test_nothing_of_the_old_endpoint_is_left(record: DrillRecord, endpoint: Endpoint) -> None:
    assert record.markers, f"Endpoint '{endpoint.name}': nothing was planted, so nothing proves the redeploy."
    advice = "the provisioner keeps a disk or a folder of the old endpoint; mend it before believing anything else."
    leaked = list(vanilla_of(record).leaked)
    assert not leaked, tell(
        endpoint.name, "what was planted before the wipe is there without a restore", leaked, advice
    )
