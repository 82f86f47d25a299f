"""Control groups of the lab's own, on cgroup v1, hybrid and unified hosts alike."""

import errno
import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from redrill.errors import ProvisionError
from redrill.model.deadline import Deadline, wait_until

CGROUPS = Path("/sys/fs/cgroup")
_LEGACY = ("systemd", "unified", "memory", "pids", "cpuacct")


@cache
def hierarchies() -> tuple[Path, ...]:
    """Return the mount points that a group is made in: one on a unified host, several on a hybrid or legacy one."""
    if (CGROUPS / "cgroup.procs").exists():
        return (CGROUPS,)
    found = tuple(CGROUPS / name for name in _LEGACY if (CGROUPS / name / "cgroup.procs").exists())
    if not found:
        raise ProvisionError(f"No control groups are mounted under '{CGROUPS}'; containers cannot be started.")
    return found


@dataclass(frozen=True, slots=True)
class Group:
    """The control group at ``path`` in every hierarchy."""

    path: str

    def child(self, name: str) -> "Group":
        """Return the group ``name`` below this one."""
        return Group(f"{self.path}/{name}")

    def create(self) -> None:
        """Make the group and its parents."""
        for directory in self._directories():
            directory.mkdir(parents=True, exist_ok=True)

    def membership_files(self) -> list[Path]:
        """Return the files to which a process writes '0' to join the group everywhere."""
        return [directory / "cgroup.procs" for directory in self._directories()]

    def processes(self) -> set[int]:
        """Return the processes of the group and of all groups below it."""
        found: set[int] = set()
        for directory in self._directories():
            for procs in _walk(directory):
                # A group can vanish meanwhile; a threaded one refuses to be read.
                with suppress(OSError):
                    found.update(map(int, (procs / "cgroup.procs").read_text().split()))
        return found - {0}

    def kill(self) -> None:
        """Send SIGKILL to every process of the group and of all groups below it."""
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def exists(self) -> bool:
        """Whether the group is there in any hierarchy."""
        return any(directory.exists() for directory in self._directories())

    def remove(self) -> bool:
        """Remove the group with all groups below it; False when something in it still lives."""
        removed = [_remove(directory) for directory in self._directories()]
        return all(removed)

    def empty(self, deadline: Deadline) -> None:
        """Kill until the group can be removed, and remove it; SettleTimeoutError when that takes too long."""

        def removed(_is_last_try: bool) -> bool | None:
            self.kill()
            return self.remove() or None

        wait_until(removed, deadline)

    def remove_if_empty(self) -> None:
        """Remove the group itself, unless there is something in it or below it."""
        for directory in self._directories():
            with suppress(OSError):
                directory.rmdir()

    def _directories(self) -> list[Path]:
        return [hierarchy / self.path for hierarchy in hierarchies()]


def _walk(directory: Path) -> Iterator[Path]:
    for path, _, _ in os.walk(directory, topdown=False):
        yield Path(path)


def _remove(directory: Path) -> bool:
    for path in _walk(directory):
        try:
            path.rmdir()
        except FileNotFoundError:
            continue
        except OSError as error:
            if error.errno in (errno.EBUSY, errno.ENOTEMPTY):
                return False
            raise
    return True


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that only waits to be reaped does not."""
    return _status(pid).get("State", "Z")[0] not in "ZX"


def is_container_leader(pid: int) -> bool:
    """Whether a process is alive and PID 1 of a PID namespace below this one."""
    status = _status(pid)
    return status.get("State", "Z")[0] not in "ZX" and status.get("NSpid", "").split()[1:] == ["1"]


def is_nested(pid: int) -> bool:
    """Whether a process lives in a PID namespace below this one."""
    return len(_status(pid).get("NSpid", "").split()) > 1


def _status(pid: int) -> dict[str, str]:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return {}
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}
