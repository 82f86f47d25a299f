"""Who owns a file is told by control groups; where they are written down differs by system."""

import pytest

from redrill.drill.owners import find_holders
from redrill.machine.protocol import Result
from redrill.model.deadline import Deadline


class Machine:
    """Answers as an endpoint does on which process 700 holds a file, and process 10 is the connection's own shell."""

    name = "web-1"
    root = ""
    has_init = True

    def __init__(self, groups: dict[int, str], links: str = "/proc/700/fd/3\0/var/lib/data\0", maps: str = "") -> None:
        listed = [f"/proc/{pid}/cgroup:{line}" for pid, text in groups.items() for line in text.split()]
        self._answers = ["10 0", links, maps, "\n".join(listed), "/proc/700/comm:worker"]

    def batch(self, commands: list[str], _deadline: Deadline) -> list[Result]:
        return [Result(self.name, c, 0, a.encode(), b"") for c, a in zip(commands, self._answers, strict=True)]


def units_found(machine: Machine) -> list[str]:
    return [holder.unit for holder in find_holders(machine, Deadline.after(1))]


def layout(template: str, holder: str, own: str = "/system.slice/ssh.service") -> dict[int, str]:
    return {1: template.format("/init.scope"), 10: template.format(own), 700: template.format(holder)}


LAYOUTS = {
    "v2": "0::{}",
    "hybrid": "9:name=systemd:{0} 4:memory:/ 0::{0}",
    "hybrid, number 1": "1:name=systemd:{0} 0::{0}",
    "v1, the unified one is unused": "12:name=systemd:{0} 11:memory:/ 0::/",
    "container without a namespace": "9:name=systemd:/lab/box/payload{0} 0::/lab/box/payload{0}",
    "container in a scope of the host": "0::/machine.slice/machine-web.scope{}",
    "container in a service of the host": "0::/system.slice/nspawn@web.service/payload{}",
}


@pytest.mark.parametrize("template", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize(
    ("group", "unit"),
    [
        ("/system.slice/system-postgresql.slice/postgresql@15-main.service", "postgresql@15-main.service"),
        ("/system.slice/app.service/workers/2", "app.service"),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/pod.service", "user@1000.service"),
        ("/user.slice/user-1000.slice/session-4.scope", "session-4.scope"),
        ("/system.slice/docker-0123.scope", "docker-0123.scope"),
        ("/docker/0123", ""),
        ("/", ""),
    ],
)
def test_the_unit_of_a_process_is_that_of_the_system_itself(template: str, group: str, unit: str) -> None:
    assert units_found(Machine(layout(template, group))) == [unit]


@pytest.mark.parametrize(
    "group",
    [
        "/system.slice/ssh.service",
        "/system.slice/dbus.service",
        "/system.slice/systemd-networkd.service",
        "/system.slice/system-ifup.slice/ifup@eth0.service",
        "/user.slice/user-0.slice/user@0.service/init.scope",
        "/init.scope",
    ],
)
def test_what_keeps_the_endpoint_reachable_is_spared(group: str) -> None:
    assert units_found(Machine(layout("0::{}", group))) == []


def test_the_session_of_the_connection_itself_is_spared_and_another_is_not() -> None:
    own = "/user.slice/user-0.slice/session-2.scope"
    assert units_found(Machine(layout("0::{}", own, own))) == []
    assert units_found(Machine(layout("0::{}", own.replace("2.scope", "3.scope"), own))) == ["session-3.scope"]


def test_the_journal_is_an_owner_like_any_other() -> None:
    assert units_found(Machine(layout("0::{}", "/system.slice/systemd-journald.service"))) == [
        "systemd-journald.service"
    ]


def test_a_name_with_a_line_of_its_own_is_no_process() -> None:
    links = "/proc/700/fd/3\0/var/lib/x\n/proc/1/fd/3\0"
    (holder,) = find_holders(Machine(layout("0::{}", "/docker/1"), links), Deadline.after(1))
    assert (holder.pid, holder.path) == (700, "/var/lib/x\n/proc/1/fd/3")


def test_a_writable_mapping_counts_although_the_file_is_closed() -> None:
    machine = Machine(layout("0::{}", "/system.slice/app.service"), links="", maps="/proc/700/maps\n")
    (holder,) = find_holders(machine, Deadline.after(1))
    assert str(holder) == "'worker' (process 700 of app.service) holds a file that it has mapped"


def test_a_process_that_has_ended_meanwhile_has_no_unit() -> None:
    groups = layout("0::{}", "/x")
    del groups[700]
    assert units_found(Machine(groups)) == [""]
