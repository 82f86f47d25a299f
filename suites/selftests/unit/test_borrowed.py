"""State that a mere reboot takes away: what counts as kept by something, and what does not."""

from pathlib import Path
from typing import Any

import pytest

from redrill.analysis.borrowed import escape_path, find_borrowed
from redrill.analysis.runtime import KINDS
from redrill.model.observation import Unit
from selftests.observed_samples import observe_sample, record_run


def borrowed(folder: Path, units: dict[str, Unit] | None = None, **kinds: Any) -> list[tuple[str, str]]:
    """Return kind and subject of the findings for an endpoint on which there is nothing but this."""
    runtime = {kind.name: {} for kind in KINDS} | {name.replace("_", " "): items for name, items in kinds.items()}
    seen = observe_sample("web-1", units=units or {}, runtime=runtime)
    return [(each.kind, each.subject) for each in find_borrowed(record_run(folder, {"web-1": seen})["web-1"])]


def test_units_that_are_known_until_the_next_boot_are_borrowed(tmp_path: Path) -> None:
    units = {
        "feed.service": Unit(enabled="enabled-runtime", active="active (running)"),
        "apt.timer": Unit(enabled="masked-runtime", active="inactive (dead)"),
        "sync.timer": Unit(enabled="transient", active="active (waiting)"),
        "machine-shop.scope": Unit(enabled="transient", active="active (running)"),
        "remount.service": Unit(enabled="generated", active="active (exited)"),
        "systemd-networkd.service": Unit(enabled="enabled-runtime", active="active (running)"),
    }
    assert borrowed(tmp_path, units) == [
        ("unit enabled until the next boot", "feed.service"),
        ("unit masked until the next boot", "apt.timer"),
        ("transient unit", "sync.timer"),
    ]


def test_drop_ins_below_run_are_borrowed_and_those_in_etc_are_not(tmp_path: Path) -> None:
    paths = ("/run/systemd/system/ssh.service.d/50-incident.conf", "/etc/systemd/system/ssh.service.d/50-limit.conf")
    assert borrowed(tmp_path, overrides=dict.fromkeys(paths, "drop-in of ssh.service")) == [
        ("unit file in /run", paths[0])
    ]


def test_a_mount_is_kept_by_fstab_or_by_a_unit_of_its_name(tmp_path: Path) -> None:
    mounts = {"/": "ext4 rw", "/srv/my-data": "xfs rw", "/mnt": "ext4 rw", "/data": "xfs rw", "/run/x": "tmpfs rw"}
    units = {"srv-my\\x2ddata.mount": Unit(enabled="generated", active="active (mounted)")}
    units["data.mount"] = Unit(enabled="none", active="active (mounted)")
    assert borrowed(tmp_path, units, mounts=mounts, declared_mounts={"/mnt": "ext4"}) == [
        ("mount outside fstab", "/data")
    ]


@pytest.mark.parametrize(
    ("path", "name"),
    [("/srv/data", "srv-data"), ("/srv/my-data", "srv-my\\x2ddata"), ("/.snap/é", "\\x2esnap-\\xc3\\xa9")],
)
def test_paths_are_escaped_as_in_the_names_of_units(path: str, name: str) -> None:
    assert escape_path(path) == name


FIREWALL = {"inet shop input": "type filter hook input priority 0; policy accept;\ntcp dport 22 accept"}


def test_a_firewall_that_no_unit_loads_is_borrowed(tmp_path: Path) -> None:
    assert borrowed(tmp_path, firewall=FIREWALL) == [("firewall that nothing restores", "inet shop")]


@pytest.mark.parametrize("name", ["nftables.service", "docker.service", "wg-quick@wg0.service"])
def test_a_firewall_may_be_that_of_a_unit_that_loads_rules(tmp_path: Path, name: str) -> None:
    units = {name: Unit(enabled="enabled", active="active (exited)")}
    assert borrowed(tmp_path, units, firewall=FIREWALL) == []


@pytest.mark.parametrize("policy", ["accept", "drop"])
def test_an_empty_chain_is_a_rule_when_it_drops(tmp_path: Path, policy: str) -> None:
    text = f"type filter hook input priority 0; policy {policy};"
    assert bool(borrowed(tmp_path, firewall={"inet shop input": text})) == (policy == "drop")


def test_routes_are_kept_by_whatever_configuration_names_them(tmp_path: Path) -> None:
    routes = {
        "default": "via 192.0.2.1 dev eth0",
        "default metric 50": "via 192.0.2.99 dev eth0 proto static",
        "198.51.100.0/24": "via 192.0.2.7 dev eth0 proto static",
        "203.0.113.0/24": "dev eth0",
        "10.8.0.0/24": "dev wg0",
        "10.9.0.0/24": "via 192.0.2.8 dev eth0 proto bird",
        "unreachable 10.10.0.0/16": "",
        "192.0.2.0/24": "dev eth0 proto kernel",
    }
    configured = dict.fromkeys(("192.0.2.1", "198.51.100.0/24"), "")
    assert borrowed(tmp_path, routes=routes, configured_addresses=configured) == [
        ("route by hand", "default metric 50"),
        ("route by hand", "203.0.113.0/24"),
        ("route by hand", "unreachable 10.10.0.0/16"),
    ]


def test_ports_that_a_person_serves_are_borrowed(tmp_path: Path) -> None:
    listeners = {
        "tcp 0.0.0.0:22": "sshd of ssh.service",
        "tcp 0.0.0.0:80": "nginx of nginx.service",
        "tcp 0.0.0.0:8080": "python3 of a log-in session",
        "tcp 0.0.0.0:8081": "perl of ssh.service",
        "unix /home/alice/agent": "gpg-agent of a log-in session",
    }
    assert borrowed(tmp_path, listeners=listeners) == [
        ("listener of a log-in", "tcp 0.0.0.0:8080"),
        ("listener of a log-in", "tcp 0.0.0.0:8081"),
    ]


def test_a_parameter_is_borrowed_when_its_file_says_otherwise(tmp_path: Path) -> None:
    live = {
        "net.core.somaxconn": "9000",
        "net.ipv4.tcp_rmem": "4096\t87380\t6291456",
        "kernel.sysrq": "16",
        "vm.x": "1",
    }
    files = {
        "net.core.somaxconn": "4096",
        "net.ipv4.tcp_rmem": "4096 87380 6291456",
        "kernel.sysrq": "0x10",
        "net.y": "1",
    }
    assert borrowed(tmp_path, sysctls=live, declared_sysctls=files) == [
        ("kernel parameter against its file", "net.core.somaxconn")
    ]
