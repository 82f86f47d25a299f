"""The disks on the protected list, found on a real machine by its own tools, whether or not it has a udev."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from redrill.drill.guards.live import LiveFacts, normal, read_live
from redrill.drill.guards.protection import judge_protected
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint
from redrill.model.guards import Guards
from selftests.support.drills import run_redrill
from selftests.support.guarded import guarded_fleet
from selftests.support.hard_tree import mount_tmpfs, with_own_mounts
from selftests.support.sshd import running_sshd
from selftests.support.trees import root_of

T = TypeVar("T")
DISK, OTHER = (f"2f4b6c1e-0d3a-4c6b-9d27-5a1f0b8e7c1{n}" for n in range(2))


@contextmanager
def attached(image: Path) -> Iterator[str]:
    """Make a file a disk of this machine, and yield its number, such as '7:0'."""
    attach = ["losetup", "--find", "--show", image]
    device = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
    try:
        yield numbers_of(device)[0]
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def numbers_of(*devices: str) -> list[str]:
    listing = ["lsblk", "--noheadings", "--raw", "--output", "MAJ:MIN", *devices]
    return subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A disk with a file system of a known UUID."""
    image = tmp_path / "disk"
    image.write_bytes(bytes(8 << 20))
    subprocess.run(["mkfs.ext4", "-q", "-U", DISK, image], check=True)
    with attached(image) as number:
        yield number


def where_udev_knows(known: dict[str, str], unknown: str, work: Callable[[], T]) -> T:
    """Return what ``work`` does where udev knows these file systems, and all other disks but one.

    A machine that runs these tests may have no udev, and no right to open its own disks.
    """

    def enter() -> T:
        mount_tmpfs(Path("/run"))
        data = Path("/run/udev/data")
        data.mkdir(parents=True)
        for number in set(numbers_of()) - {unknown} | known.keys():
            (data / f"b{number}").write_text(f"E:ID_FS_UUID_ENC={known.get(number, '')}\n")
        return work()

    return with_own_mounts(enter)


def protecting(*disks: str) -> Guards:
    return Guards.model_validate({"protected": {"disks": disks}})


def look(machine: Machine, guards: Guards) -> LiveFacts:
    return read_live(machine, guards, "", Deadline.after(10))


def judge(guards: Guards, facts: LiveFacts) -> str:
    return judge_protected(guards.protected, Endpoint(name="web-1"), [], facts).state.value


def test_a_file_system_that_udev_does_not_know_is_found_over_ssh(tmp_path: Path, disk: str) -> None:
    def look_over_ssh() -> LiveFacts:
        with running_sshd(tmp_path / "sshd") as sshd:
            machine = SshMachine("web-1", sshd.ssh(), sshd.location)
            try:
                return look(machine, protecting(DISK))
            finally:
                machine.close()

    facts = where_udev_knows({}, disk, look_over_ssh)
    assert judge(protecting(DISK.upper()), facts) == "refuse"
    assert judge(protecting(OTHER), facts) == "pass"


def test_a_file_system_that_udev_knows_is_found(tmp_path: Path, disk: str) -> None:
    facts = where_udev_knows({disk: OTHER}, "", lambda: look(LocalMachine("web-1", tmp_path), protecting(DISK)))
    assert normal(OTHER) in facts.disks
    assert judge(protecting(OTHER), facts) == "refuse"


def test_a_partition_table_is_found(tmp_path: Path) -> None:
    image = tmp_path / "disk"
    entry = bytes([0, 0, 0, 0, 0x83, 0, 0, 0]) + (8).to_bytes(4, "little") + (8000).to_bytes(4, "little")
    start = bytes(440) + 0x2F4B6C1E.to_bytes(4, "little") + bytes(2) + entry + bytes(48) + b"\x55\xaa"
    image.write_bytes(start + bytes((8 << 20) - len(start)))
    with attached(image) as number:
        facts = where_udev_knows({}, number, lambda: look(LocalMachine("web-1", tmp_path), protecting("2f4b6c1e")))
    assert judge(protecting("2f4b6c1e"), facts) == "refuse"


def test_a_drill_of_a_machine_with_a_protected_disk_is_refused(tmp_path: Path, disk: str) -> None:
    fleet = guarded_fleet(tmp_path / "fleet", protected=f"{{disks: ['{DISK}']}}")
    boot_id = root_of(fleet.parent, "oak-1") / "run/boot-id"
    before = boot_id.read_text()
    run = where_udev_knows({}, disk, lambda: run_redrill(fleet, tmp_path / "reports", "--redrill-mode=replace"))
    assert run.status == 10, run.output
    assert f"protected list of 'oak-1': the disk '{DISK}' is protected by the fleet file" in run.output
    assert run.records == {}
    assert boot_id.read_text() == before


def tools_without(tool: str, folder: Path) -> Path:
    """Make a folder of all tools of this machine but one."""
    folder.mkdir()
    tools = {file.name: file for place in ("/usr/sbin", "/usr/bin") for file in Path(place).iterdir()}
    for name, file in tools.items():
        if name != tool:
            (folder / name).symlink_to(file)
    return folder


@pytest.mark.parametrize("tool", ["lsblk", "blkid"])
def test_disks_that_nobody_can_tell_are_unknown(
    tmp_path: Path, disk: str, monkeypatch: pytest.MonkeyPatch, tool: str
) -> None:
    monkeypatch.setattr("redrill.machine.local_machine._PATH", str(tools_without(tool, tmp_path / "bin")))
    facts = where_udev_knows({}, disk, lambda: look(LocalMachine("web-1", tmp_path), protecting(OTHER)))
    assert f"{tool}: not found" in facts.unknown["disks"]
    assert judge(protecting(OTHER), facts) == "unknown"


def test_a_disk_that_cannot_be_opened_is_unknown(tmp_path: Path, disk: str) -> None:
    def look_without_devices() -> LiveFacts:
        mount_tmpfs(Path("/dev"))
        Path("/dev/null").touch()
        return look(LocalMachine("web-1", tmp_path), protecting(OTHER))

    facts = where_udev_knows({}, disk, look_without_devices)
    assert "cannot open /dev/loop" in facts.unknown["disks"]
    assert judge(protecting(OTHER), facts) == "unknown"
