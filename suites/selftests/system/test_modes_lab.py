"""Modes 'vanilla' and 'relocate' on real endpoints: a web server, a database and a key-value store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from redrill.errors import ProvisionError
from redrill.lab.lab import status, up
from redrill.loader import load_fleet
from redrill.model.fleet import Fleet
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import find_traces, run_on, running_lab

ADDRESS = "198.18.83.11"
SITE = "/etc/nginx/sites-available/shop"


@pytest.fixture(scope="module")
def modes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A lab whose endpoints are as they were after each test."""
    with running_lab(tmp_path_factory.mktemp("modes"), "modes", "198.18.83") as fleet:
        yield fleet
    assert find_traces("modes") == []


def drill_web(fleet: Fleet, mode: str, reports: Path, **settings: object) -> Drilled:
    """Drill the web server, of which the fleet file says something more."""
    document = yaml.safe_load(fleet.source.read_text())
    document["endpoints"]["web-1"] |= settings
    file = fleet.source.with_name(f"{mode}.yml")
    file.write_text(yaml.safe_dump(document))
    return run_redrill(file, reports, f"--redrill-mode={mode}", "--redrill-endpoint=web-1")


@pytest.mark.parametrize("mode", ["vanilla", "relocate"])
def test_the_whole_sample_fleet_passes(modes: Fleet, tmp_path: Path, mode: str) -> None:
    drilled = run_redrill(modes.source, tmp_path, f"--redrill-mode={mode}")
    assert (drilled.red, drilled.verdict["decision"], drilled.status) == (set(), "APPROVE", 0), drilled.output
    assert {name: row.state for row in status(modes) for name in [row.endpoint]} == dict.fromkeys(
        ["web-1", "db-1", "kv-1", "logs-1"], "running"
    )


def test_a_new_host_answers_by_its_own_name_and_keys(modes: Fleet, tmp_path: Path) -> None:
    keys = run_on(modes, "web-1", "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub")
    boot = run_on(modes, "web-1", "cat /proc/sys/kernel/random/boot_id")
    drilled = drill_web(modes, "relocate", tmp_path, restore="live")
    assert (drilled.red, drilled.status) == (set(), 0), drilled.output
    record = drilled.records["web-1"]
    assert (record["restored"], record["after"]["hostname"]) == ("live", "web-1b")
    sent = {message["stage"]: message["arrived_hostname"] for message in record["messages"]}
    assert sent == {"before": "web-1", "after": "web-1b"}
    assert run_on(modes, "web-1", "cat /etc/machine-id /etc/ssh/ssh_host_ed25519_key.pub") == keys
    assert run_on(modes, "web-1", "cat /proc/sys/kernel/random/boot_id") != boot


def test_a_unit_that_does_not_run_on_the_image_alone_is_seen(modes: Fleet, tmp_path: Path) -> None:
    drilled = drill_web(modes, "vanilla", tmp_path, vanilla={"units": ["nginx.service"]})
    assert drilled.red == {"test_what_the_image_enables_is_up[web-1]"}, drilled.output
    assert "nginx.service: inactive (dead)" in drilled.output


def test_a_hard_coded_address_turns_its_application_red_and_nothing_else(modes: Fleet, tmp_path: Path) -> None:
    old, new = "listen 80 default_server;", f"listen {ADDRESS}:80;"
    run_on(modes, "web-1", f"sed -i 's/{old}/{new}/' {SITE} && systemctl restart nginx")
    try:
        drilled = drill_web(modes, "relocate", tmp_path, objectives={"rto": "10s"})
        left = {row.endpoint: row.state for row in status(modes)}
    finally:
        run_on(modes, "web-1", f"sed -i 's/{new}/{old}/' {SITE} && systemctl restart nginx")
    assert drilled.red == {"test_application_is_healthy[web-1-shop]"}, drilled.output
    assert f"{SITE}:2: {new} (names the address of the old host)" in drilled.output
    assert left["web-1b"] == "stopped", "nobody could look for the reason any more"
    assert left["web-1"] == "running"


HERE, THERE = ("kv-1", "198.18.83.13"), ("kv-1b", "198.18.83.113")
"""What the key-value store is called, and where it is, before and after it has moved."""


def declare_kv(fleet: Fleet, old: tuple[str, str], new: tuple[str, str]) -> Fleet:
    """Have the fleet file call the key-value store by its old name, and want it to move to the new one."""
    document = yaml.safe_load(fleet.source.read_text())
    endpoints = document["endpoints"]
    (declared,) = (key for key in endpoints if key.startswith("kv-1"))
    move = {"name": new[0], "address": new[1], "keep": "new"}
    endpoints[old[0]] = endpoints.pop(declared) | {"address": old[1], "relocate": move}
    fleet.source.write_text(yaml.safe_dump(document))
    return load_fleet(fleet.source)


def states_of(fleet: Fleet) -> dict[str, str]:
    return {row.endpoint: row.state for row in status(fleet) if row.endpoint.startswith("kv-1")}


def test_an_endpoint_moves_for_good_and_is_drilled_and_moved_again_from_there(modes: Fleet, tmp_path: Path) -> None:
    """The lab is as it was afterwards: the second move leads back."""
    moving = declare_kv(modes, HERE, THERE)
    first = run_redrill(moving.source, tmp_path, "--redrill-mode=relocate", "--redrill-endpoint=kv-1")
    assert (first.red, first.status) == (set(), 0), first.output
    assert first.records["kv-1"]["relocation"]["kept"] == "new"
    assert "call the endpoint 'kv-1b', give it 'address: 198.18.83.113'" in " ".join(first.output.split())
    assert states_of(moving) == {"kv-1": "absent", "kv-1b": "running"}
    # Whoever has not changed the fleet file yet is told so, and gets no second endpoint.
    forgotten = run_redrill(moving.source, tmp_path, "--redrill-endpoint=kv-1")
    assert (forgotten.status, forgotten.tests("passed")) == (6, set())
    assert "but its new host 'kv-1b' is" in " ".join(forgotten.output.split())
    with pytest.raises(ProvisionError, match="it is not made anew"):
        up(moving, print)

    moved = declare_kv(modes, THERE, HERE)
    boot = run_on(moved, "kv-1b", "cat /proc/sys/kernel/random/boot_id")
    up(moved, print)
    assert run_on(moved, "kv-1b", "cat /proc/sys/kernel/random/boot_id") == boot, "its state was made anew"
    observed = run_redrill(moved.source, tmp_path, "--redrill-endpoint=kv-1b")
    assert (observed.red, observed.status) == (set(), 0), observed.output
    back = run_redrill(moved.source, tmp_path, "--redrill-mode=relocate", "--redrill-endpoint=kv-1b")
    assert (back.red, back.status) == (set(), 0), back.output
    assert states_of(declare_kv(modes, HERE, THERE)) == {"kv-1": "running"}
