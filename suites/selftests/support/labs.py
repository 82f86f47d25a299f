"""Labs of the self-tests' own, and an independent look at what a lab has left behind."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redrill.lab.lab import down, up
from redrill.loader import load_fleet
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.provisioners.nspawn import NspawnProvisioner
from redrill.provisioners.nspawn_place import LabPlace

LAB_FLEET = Path(__file__).parents[3] / "fixtures/fleets/lab.yml"


def lab_fleet(tmp_path: Path, name: str, subnet: str) -> Path:
    """Write the sample fleet as a lab called ``name`` in ``subnet`` (three numbers, such as '198.18.30')."""
    text = LAB_FLEET.read_text()
    for old, new in {
        "fleet: lab\n": f"fleet: {name}\n",
        "/labs/lab/": f"/labs/{name}/",
        "198.18.7.": f"{subnet}.",
        "../images/": f"{LAB_FLEET.parents[1]}/images/",
    }.items():
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / f"{name}.yml"
    path.write_text(f"{text}\nlocks: {{kind: flock, folder: {tmp_path / 'locks'}}}\n")
    return path


def rebuild(fleet: Fleet, *endpoints: str) -> None:
    """Bring endpoints of a running lab back to their Day 1."""
    for endpoint in endpoints:
        provisioner_of(fleet, endpoint).remove(Deadline.after(60))
    up(fleet, print)


@contextmanager
def standing(fleet: Fleet) -> Iterator[None]:
    """Bring up the lab of a fleet anew, and take it down again whatever happens."""
    down(fleet, print)
    try:
        up(fleet, print)
        yield
    finally:
        down(fleet, print)


@contextmanager
def running_lab(folder: Path, name: str, subnet: str) -> Iterator[Fleet]:
    """Bring up a lab of the sample fleet's four endpoints, and take it down again whatever happens."""
    fleet = load_fleet(lab_fleet(folder, name, subnet))
    with standing(fleet):
        yield fleet


def run_on(fleet: Fleet, endpoint: str, command: str) -> str:
    """Run a command on an endpoint and return what it printed; it must succeed."""
    machine = connect(fleet, endpoint)
    try:
        return machine.run(command, Deadline.after(60)).checked().text
    finally:
        machine.close()


def provisioner_of(fleet: Fleet, name: str) -> NspawnProvisioner:
    """Return the provisioner of one endpoint."""
    return NspawnProvisioner(fleet, fleet.endpoint(name))


def connect(fleet: Fleet, name: str) -> SshMachine:
    """Return a machine for an endpoint where it is now, pinned to the host keys that it has now."""
    endpoint: Endpoint = fleet.endpoint(name)
    location = provisioner_of(fleet, name).locate()
    assert location is not None, f"{name} does not run"
    return SshMachine(name, endpoint.ssh, location)


def is_clean(name: str) -> bool:
    """Whether nothing of the lab ``name`` is left on this machine."""
    return not find_traces(name)


def find_traces(name: str) -> list[str]:
    """Return every process, mount, link, control group and directory of the lab ``name``."""
    place = LabPlace(name)
    names = ("web-1", "db-1", "kv-1", "logs-1", "web-1b", "db-1b", "kv-1b")
    machines = [place.endpoint(name).machine for name in names]
    links = {place.bridge, *(f"vb-{machine}" for machine in machines)}
    directories = [place.directory, *(Path("/run/systemd/nspawn/propagate") / machine for machine in machines)]
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    return [
        *(f"link {link.name}" for link in Path("/sys/class/net").iterdir() if link.name in links),
        *(f"directory {directory}" for directory in directories if directory.exists()),
        *(f"mount {line}" for line in mounts if f"{place.directory}/" in line),
        *(f"cgroup {path}" for path in _groups() if path.endswith(f"/redrill/{name}")),
        *(f"process {text}" for text in _processes() if f"/redrill/{name}/" in text or f"{place.directory}/" in text),
    ]


def _groups() -> list[str]:
    return [path for path, _, _ in os.walk("/sys/fs/cgroup")]


def _processes() -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
            # The dead have no command line, and whoever waits for them is not the lab.
            if words and int(process.name) != os.getpid():
                found.append(f"{process.name} {words} {(process / 'cgroup').read_text()}")
        except OSError:
            continue
    return found
