"""Two hundred checks of a user's own tests, by our testinfra backend and by testinfra's."""

import warnings
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import testinfra
from bench_lab import BenchLab
from measure import BrokenBenchmarkError, Row, seconds_of, take_turns
from testinfra.host import Host

from redrill.machine.testinfra_backend import make_host

ENDPOINT = "web-1"
COUNT = 200
MIX = 20
"""How many checks make one mix. The ssh backend runs two in a turn, for each check is a connection; ours all ten."""

Check = Callable[[Host], bool]

_FILES = ("/etc/nginx/nginx.conf", "/etc/passwd", "/etc/ssh/sshd_config", "/usr/sbin/nginx", "/var/www/shop/health")
_PACKAGES = ("nginx-light", "openssh-server", "systemd", "tar", "zstd")
_SERVICES = ("nginx", "ssh", "systemd-journald", "dbus", "systemd-networkd")


def bench_checks(lab: BenchLab) -> list[Row]:
    """Measure the same checks by each backend; every turn starts with a new host and a new connection."""
    config = _write_ssh_config(lab)

    def ours() -> float:
        with lab.machine(ENDPOINT) as machine:
            return _run(make_host(machine), COUNT)

    def by_paramiko() -> float:
        return _run(_host("paramiko", {"ssh_config": str(config)}), COUNT)

    def by_ssh() -> float:
        host = _host("ssh", {"ssh_config": str(config), "controlpersist": 0})
        first = _run(host, MIX)  # it also finds out what sort of system it talks to, once
        return first + _run(host, MIX) * (COUNT // MIX - 1)

    sides = {
        "our backend": ours,
        "paramiko backend": by_paramiko,
        f"ssh backend, from {2 * MIX} checks": by_ssh,
    }
    own, paramiko_took, ssh_took = take_turns(max(3, lab.rounds), sides, lab.say).values()
    shown = f"{own:.2f} s"
    return [
        Row(f"{COUNT} testinfra checks, paramiko", shown, f"{paramiko_took:.2f} s", paramiko_took / own, ">= 20"),
        Row(f"{COUNT} testinfra checks, ssh", shown, f"{ssh_took:.2f} s", ssh_took / own, ">= 100"),
    ]


def _host(backend: str, options: dict[str, Any]) -> Host:
    return Host(testinfra.backend.get_backend(f"{backend}://{ENDPOINT}", **options))


def _run(host: Host, count: int) -> float:
    """Return the seconds that the first ``count`` checks take; the mix is the same for any multiple of MIX."""
    checks = list(islice(cycle(_mix()), count))

    def work() -> None:
        failed = [number for number, check in enumerate(checks) if not check(host)]
        if failed:
            raise BrokenBenchmarkError(f"The checks {failed} of the benchmark failed on '{ENDPOINT}'.")

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # testinfra's paramiko backend cannot be told the host key, and warns
        return seconds_of(work)


def _mix() -> Iterator[Check]:
    """Yield one mix: 11 checks of files, 4 of packages, 3 of services, 2 of commands."""
    for path in _FILES:
        yield lambda host, path=path: host.file(path).exists
        yield lambda host, path=path: host.file(path).user in ("root", "www-data")
    yield lambda host: host.file("/etc/passwd").mode == 0o644
    for name in _PACKAGES[:4]:
        yield lambda host, name=name: host.package(name).is_installed
    for name in _SERVICES[:3]:
        yield lambda host, name=name: host.service(name).is_running
    yield lambda host: host.run("test -d /var/www/shop/images").rc == 0
    yield lambda host: host.run("id -u alice").stdout.strip().isdigit()


def _write_ssh_config(lab: BenchLab) -> Path:
    """Write what OpenSSH and paramiko need to reach the endpoint and to check its host key."""
    location, key = lab.location(ENDPOINT), lab.fleet.endpoint(ENDPOINT).ssh.key
    hosts = lab.folder / "known_hosts"
    hosts.write_text("".join(f"{location.address} {line}\n" for line in location.host_keys))
    config = lab.folder / "ssh_config"
    config.write_text(
        f"Host {ENDPOINT}\n  HostName {location.address}\n  User root\n  IdentityFile {key}\n  IdentitiesOnly yes\n"
        f"  BatchMode yes\n  StrictHostKeyChecking yes\n  UserKnownHostsFile {hosts}\n  LogLevel ERROR\n"
    )
    return config
