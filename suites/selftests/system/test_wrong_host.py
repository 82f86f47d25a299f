"""No wrong host is ever touched: real endpoints that are not what the plan, the token or the fleet file says."""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from redrill.drill.authorize import remember_plan
from redrill.drill.guards.endpoint import survey
from redrill.drill.guards.protection import know_controller
from redrill.drill.guards.token import write_token
from redrill.drill.planning import Request, make_plan
from redrill.errors import MachineError
from redrill.loader import load_fleet
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Fleet
from redrill.model.record import Location
from redrill.model.values import Mode
from selftests.support.drills import Drilled, run_pytest
from selftests.support.labs import LAB_FLEET, provisioner_of, run_on, standing

BOTH = ("a-1", "b-1")
TODAY = datetime.now(UTC).date()
TOMORROW = TODAY + timedelta(days=1)
LAB = "/var/lib/redrill/labs/wrong"


@dataclass(frozen=True)
class Range:
    """Two endpoints that look like somebody else's: the fleet is not disposable, and only a token allows a wipe."""

    folder: Path
    file: Path

    @property
    def fleet(self) -> Fleet:
        return load_fleet(self.file)

    def variant(self, name: str, change: Callable[[dict[str, Any]], None]) -> Path:
        """Write the fleet file with a change."""
        document = yaml.safe_load(self.file.read_text())
        change(document)
        path = self.folder / f"{name}.yml"
        path.write_text(json.dumps(document, indent=1))
        return path

    def run(self, endpoint: str, command: str) -> str:
        return run_on(self.fleet, endpoint, command)

    def boot_ids(self) -> list[str]:
        return [self.run(name, "cat /proc/sys/kernel/random/boot_id") for name in BOTH]

    def token(self, endpoint: str, until=TOMORROW) -> str:
        identity = survey(self.fleet, self.fleet.endpoint(endpoint), know_controller()).identity
        return write_token("wrong", identity.best, until)

    def put(self, endpoint: str, token: str, mode: str = "644") -> None:
        """Write a token onto an endpoint."""
        path = "/etc/redrill/allow"
        self.run(endpoint, f"umask 022; mkdir -p /etc/redrill; echo '{token}' >{path}; chmod {mode} {path}")

    def plan(self, endpoint: str, file: Path | None = None, age: timedelta = timedelta()) -> str:
        """Return the id of the plan to wipe an endpoint, whatever the guards say of it."""
        fleet = load_fleet(file or self.file)
        request = Request(fleet, (fleet.endpoint(endpoint),), Mode.REPLACE, "lab")
        plan, _ = make_plan(request, datetime.now(UTC) - age)
        remember_plan(plan)
        return plan.id

    def drill(self, endpoint: str, plan: str, file: Path | None = None, environment: str = "lab") -> Drilled:
        options = (f"--redrill-fleet={file or self.file}", f"--redrill-endpoint={endpoint}", "--redrill-mode=replace")
        said = (f"--redrill-environment={environment}", f"--redrill-confirm={plan}")
        return run_pytest(self.folder / "reports", "--pyargs", "redrill_suites", *options, *said)


def write_fleet(folder: Path) -> Path:
    """Write a fleet of two containers with nothing but what a drill needs."""
    sample = yaml.safe_load(LAB_FLEET.read_text())
    defaults = {
        **sample["defaults"],
        "ssh": {"user": "root", "key": f"{LAB}/id_ed25519"},
        "repository": {"kind": "tar", "directory": f"{LAB}/backups"},
    }
    defaults["image"]["definition"] = str(LAB_FLEET.parent / sample["defaults"]["image"]["definition"])
    endpoints = {name: {"address": f"198.18.60.{number}"} for number, name in enumerate(BOTH, start=11)}
    document = {"fleet": "wrong", "environment": "lab", "defaults": defaults, "endpoints": endpoints}
    file = folder / "wrong.yml"
    file.write_text(json.dumps(document, indent=1))
    return file


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Range]:
    folder = tmp_path_factory.mktemp("wrong")
    made = Range(folder, write_fleet(folder))
    with standing(made.fleet):
        yield made


@pytest.fixture
def hosts(lab: Range) -> Iterator[Range]:
    """Both endpoints, of which only 'a-1' has a token; whatever a test does, neither must have been wiped by it."""
    lab.put("a-1", lab.token("a-1"))
    lab.run("b-1", "rm -rf /etc/redrill")
    before = lab.boot_ids()
    yield lab
    assert lab.boot_ids() == before, "a wrong host was wiped"


def assert_refused(run: Drilled, words: str) -> None:
    assert run.status == 10, run.output
    assert words in run.output
    assert "Traceback" not in run.output


def test_an_endpoint_without_a_token(hosts: Range) -> None:
    assert_refused(hosts.drill("b-1", hosts.plan("b-1")), "the endpoint has no '/etc/redrill/allow'")


def test_a_token_that_was_copied_from_another_host(hosts: Range) -> None:
    hosts.put("b-1", hosts.token("a-1"))
    assert_refused(hosts.drill("b-1", hosts.plan("b-1")), "is for another host")


def test_a_token_that_has_expired(hosts: Range) -> None:
    hosts.put("a-1", hosts.token("a-1", TODAY - timedelta(days=1)))
    assert_refused(hosts.drill("a-1", hosts.plan("a-1")), "expired on")


def test_a_token_that_everybody_can_write(hosts: Range) -> None:
    hosts.put("a-1", hosts.token("a-1"), "666")
    assert_refused(hosts.drill("a-1", hosts.plan("a-1")), "can be written by others")


def test_a_plan_that_is_stale(hosts: Range) -> None:
    assert_refused(hosts.drill("a-1", hosts.plan("a-1", age=timedelta(hours=2))), "expired at")


def test_the_plan_of_another_endpoint(hosts: Range) -> None:
    hosts.put("b-1", hosts.token("b-1"))
    assert_refused(hosts.drill("b-1", hosts.plan("a-1")), "the endpoints and waves")


def test_a_fleet_file_that_changed_after_the_plan(hosts: Range) -> None:
    plan = hosts.plan("a-1")
    changed = hosts.variant("changed", lambda document: document["endpoints"]["a-1"].update(tags=["x"]))
    assert_refused(hosts.drill("a-1", plan, changed), "the fleet file changed")


def test_the_label_of_production(hosts: Range) -> None:
    prod = hosts.variant("prod", lambda document: document.update(environment="prod"))
    assert_refused(hosts.drill("a-1", hosts.plan("a-1", prod), prod), "the fleet file is for 'prod'")
    assert_refused(hosts.drill("a-1", hosts.plan("a-1"), environment="prod"), "the run for 'prod'")


@pytest.mark.parametrize("address", ["127.0.0.1", "198.18.60.1"], ids=["loopback", "the bridge"])
def test_an_address_of_the_controller_itself(hosts: Range, address: str) -> None:
    here = hosts.variant("here", lambda document: document["endpoints"]["a-1"].update(address=address))
    assert_refused(hosts.drill("a-1", hosts.plan("a-1", here), here), "an address of the machine that redrill runs on")


def test_a_host_whose_identity_is_protected(hosts: Range) -> None:
    machine_id = hosts.run("a-1", "cat /etc/machine-id")
    guards = {"protected": {"identities": [machine_id]}}
    protected = hosts.variant("protected", lambda document: document.update(guards=guards))
    run = hosts.drill("a-1", hosts.plan("a-1", protected), protected)
    assert_refused(run, "its identity is protected by the fleet file")
    assert machine_id not in run.output


def test_a_host_that_cannot_tell_its_disks_when_some_are_protected(hosts: Range) -> None:
    guards = {"protected": {"disks": ["2f4b6c1e-0d3a-4c6b-9d27-5a1f0b8e7c11"]}}
    protected = hosts.variant("disks", lambda document: document.update(guards=guards))
    run = hosts.drill("a-1", hosts.plan("a-1", protected), protected)
    assert_refused(run, "protected list of 'a-1' is unknown: disks: ")


@contextmanager
def swapped(hosts: Range) -> Iterator[None]:
    """Exchange the addresses of the two running endpoints, as a wrong entry in DNS or DHCP would."""
    there = {name: provisioner_of(hosts.fleet, name).locate() for name in BOTH}
    _move(hosts, {name: (there[name], there[other]) for name, other in zip(BOTH, reversed(BOTH), strict=True)})
    try:
        yield
    finally:
        _move(hosts, {name: (there[other], there[name]) for name, other in zip(BOTH, reversed(BOTH), strict=True)})


def _move(hosts: Range, moves: dict[str, tuple[Location | None, Location | None]]) -> None:
    """Give each endpoint another address; ``moves`` are the places of the old and the new address."""
    keys = {name: provisioner_of(hosts.fleet, name).locate().host_keys for name in BOTH}
    for name, (old, new) in moves.items():
        words = f"ip address flush dev host0 scope global; ip address add {new.address}/24 dev host0"
        machine = SshMachine(name, hosts.fleet.endpoint(name).ssh, old.model_copy(update={"host_keys": keys[name]}))
        machine.run(
            f"systemd-run --quiet --on-active=0.5 --timer-property=AccuracySec=1ms sh -c '{words}'", Deadline.after(10)
        ).checked()
        machine.close()
    bridge = provisioner_of(hosts.fleet, BOTH[0]).place.lab.bridge
    for name, (_, new) in moves.items():
        at = new.model_copy(update={"host_keys": keys[name]})

        def has_moved(is_last_try: bool, name=name, at=at) -> bool | None:
            subprocess.run(["ip", "neigh", "flush", "dev", bridge], check=True)
            machine = SshMachine(name, hosts.fleet.endpoint(name).ssh, at)
            try:
                return machine.run("uname -n", Deadline.after(2)).text == name or None
            except MachineError:
                if is_last_try:
                    raise
                return None
            finally:
                machine.close()

        wait_until(has_moved, Deadline.after(30), interval=0.2)


def test_two_hosts_whose_addresses_were_exchanged_after_the_plan(hosts: Range) -> None:
    plan = hosts.plan("a-1")
    with swapped(hosts):
        assert_refused(hosts.drill("a-1", plan), "identity of 'a-1' is unknown")


def test_a_clone_with_the_same_host_keys_that_answers_at_the_address(hosts: Range) -> None:
    keys = hosts.run("b-1", "cd /etc/ssh && tar -c ssh_host_* | base64 -w0")
    theirs = hosts.run("a-1", "cd /etc/ssh && tar -c ssh_host_* | base64 -w0")
    hosts.put("b-1", hosts.token("a-1"))
    plan = hosts.plan("a-1")
    hosts.run("b-1", f"cd /etc/ssh && echo {theirs} | base64 -d | tar -x && systemctl reload ssh")
    try:
        with swapped(hosts):
            assert_refused(hosts.drill("a-1", plan), "is for another host")
    finally:
        hosts.run("b-1", f"cd /etc/ssh && echo {keys} | base64 -d | tar -x && systemctl reload ssh")


def test_the_right_host_with_a_good_token_and_a_fresh_plan_is_drilled(lab: Range) -> None:
    lab.put("a-1", lab.token("a-1"))
    before = lab.boot_ids()
    run = lab.drill("a-1", lab.plan("a-1"))
    assert "a-1" in run.records, run.output
    assert run.records["a-1"]["failure"] is None, run.output
    after = lab.boot_ids()
    assert [one == other for one, other in zip(before, after, strict=True)] == [False, True]
