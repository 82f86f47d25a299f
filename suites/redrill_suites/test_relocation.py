"""Relocation: what came up is another host, and the endpoint works there under its new name and address."""

import pytest

from redrill.analysis.drift import fact_of
from redrill.errors import UnknownFactError
from redrill.model.fleet import Endpoint
from redrill.model.observation import Observation
from redrill.model.record import DrillRecord, RelocationFacts
from redrill_suites.messages import tell

pytestmark = pytest.mark.redrill_requires("relocation")

NOT_ANOTHER = "the new host must be made anew under its own name; mend the provisioner before believing anything else."
ITS_OWN = ("machine-id", "ssh-host-private-keys", "hardware-address")


def relocation_of(record: DrillRecord) -> RelocationFacts:
    if record.relocation is None:
        raise UnknownFactError(f"Nobody knows whereto '{record.endpoint}' has moved.")
    return record.relocation


def known(observation: Observation | None, when: str) -> Observation:
    if observation is None:
        raise UnknownFactError(f"There is no observation {when}.")
    return observation


def values_of(observation: Observation, name: str) -> set[str]:
    fact_of(observation, "identities")
    return {value for values in observation.identities.get(name, {}).values() for value in values}


@pytest.mark.redrill_severity("blocker")
def test_new_host_is_another_one(record: DrillRecord, endpoint: Endpoint) -> None:
    move = relocation_of(record)
    old, new = known(record.before, "of the old host"), known(record.after, "of the new host")
    same = [f"its {name}" for name in ITS_OWN if values_of(old, name) & values_of(new, name)]
    if (move.old.address, move.old.port, move.old.root) == (move.new.address, move.new.port, move.new.root):
        same.append(f"the place {move.new.address or move.new.root}")
    assert not same, tell(endpoint.name, "the new host has this of the old one", same, NOT_ANOTHER)


@pytest.mark.redrill_severity("critical")
def test_new_host_has_its_name(record: DrillRecord, endpoint: Endpoint) -> None:
    wanted, name = relocation_of(record).name, known(record.after, "of the new host").hostname
    wrong = [] if name.partition(".")[0] == wanted else [f"'{name}', expected '{wanted}'"]
    advice = "find what writes /etc/hostname at boot; the provisioner has given the host its own."
    assert not wrong, tell(endpoint.name, "the new host calls itself otherwise", wrong, advice)


@pytest.mark.redrill_severity("critical")
def test_wanted_host_is_left(record: DrillRecord, endpoint: Endpoint) -> None:
    wanted = endpoint.relocate.keep if endpoint.relocate else "old"
    kept = relocation_of(record).kept
    wrong = [] if kept == wanted else [f"the {kept} host serves, the {wanted} one was to"]
    advice = "the old host is never given up for one on which something is missing; see the other failed tests."
    assert not wrong, tell(endpoint.name, "the endpoint did not move", wrong, advice)
