"""The facts about what runs, read from real endpoints, agree with what the endpoints' own tools say."""

from collections.abc import Iterator
from typing import Any

import pytest

from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.probes.facts.units import UNIT_FACTS
from redrill.probes.observe import read_facts
from selftests.support.labs import connect

NFT = """
nft 'add table inet seen'
nft 'add chain inet seen input { type filter hook input priority 0; policy accept; }'
nft 'add rule inet seen input tcp dport 9 counter drop'
"""
# What systemctl says in other words: a generator enables at every boot; of a template, ours tells of its instances.
SAME = {
    ("generated", "enabled-runtime"),
    ("generated", "indirect"),
    ("enabled", "indirect"),
    ("disabled", "indirect"),
}


@pytest.fixture(params=["db-1", "web-1"])
def machine(lab: Fleet, request: pytest.FixtureRequest) -> Iterator[SshMachine]:
    machine = connect(lab, request.param)
    yield machine
    machine.close()


def ask(machine: SshMachine, command: str) -> str:
    return machine.run(command, Deadline.after(30)).checked().text


def look(machine: SshMachine) -> dict[str, Any]:
    facts = read_facts(machine, Deadline.after(60))
    assert facts["unknown"] == {}
    return facts


def test_units_are_in_the_states_that_systemctl_tells(machine: SshMachine) -> None:
    listed = ask(machine, "systemctl list-unit-files --no-legend --plain --no-pager --full")
    told = dict(line.split()[:2] for line in listed.splitlines())
    ours = {
        name: unit.enabled for name, unit in UNIT_FACTS[0].parse(ask(machine, UNIT_FACTS[0].command))["units"].items()
    }
    both = ours.keys() & told.keys()
    assert len(both) > 150
    other = {name: (ours[name], told[name]) for name in both if ours[name] != told[name]}
    assert {name: states for name, states in other.items() if states not in SAME} == {}


def test_running_units_are_those_that_systemctl_tells(machine: SshMachine) -> None:
    listed = ask(machine, "systemctl list-units --type=service --state=running --no-legend --plain --no-pager --full")
    told = {line.split()[0] for line in listed.splitlines()}
    ours = {name for name, unit in look(machine)["units"].items() if unit.active == "active (running)"}
    assert {name for name in ours if name.endswith(".service")} == told


def test_listeners_are_those_that_ss_tells(machine: SshMachine) -> None:
    rows = [line.split() for line in ask(machine, "ss -Hltun").splitlines()]
    told = {(row[0], row[4].replace("*", "[::]").partition("%")[0]) for row in rows}
    listeners = [name.split() for name in look(machine)["runtime"]["listeners"] if not name.startswith("unix ")]
    assert {(proto.removesuffix("6"), address) for proto, address in listeners} == told


def test_every_listener_of_a_lab_has_a_known_holder(machine: SshMachine) -> None:
    listeners = look(machine)["runtime"]["listeners"]
    assert listeners["tcp 0.0.0.0:22"] == "sshd of ssh.service"
    assert [name for name, holder in listeners.items() if not holder] == []


def test_a_rule_of_the_firewall_is_seen_without_its_counter(machine: SshMachine) -> None:
    assert look(machine)["runtime"]["firewall"] == {}
    ask(machine, NFT)
    try:
        assert look(machine)["runtime"]["firewall"] == {
            "inet seen input": "type filter hook input priority filter; policy accept;\ntcp dport 9 counter drop"
        }
    finally:
        ask(machine, "nft delete table inet seen")


def test_a_network_that_is_configured_names_its_addresses(machine: SshMachine) -> None:
    runtime = look(machine)["runtime"]
    own = list(runtime["addresses"])
    assert len(own) == 1
    assert f"{own[0]}/24" in runtime["configured addresses"]
    assert runtime["time"]["zone"] == "Etc/UTC"
