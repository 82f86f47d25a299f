"""The running side of a container: its keeper, its control groups, its end."""

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from redrill.errors import ProvisionError
from redrill.model.deadline import Deadline, wait_until
from redrill.provisioners.cgroups import Group, is_alive, is_container_leader, is_nested
from redrill.provisioners.nspawn_network import has_ssh_banner, remove_link
from redrill.provisioners.nspawn_place import EndpointPlace

# Joins its own group, then runs the container in another, again and again while it ends with 133: a reboot from inside.
# A group that is gone means that the lab was taken down: then nothing may be started any more.
KEEPER = """
join() { for procs in $1; do echo 0 >"$procs" || exit 125; done; }
join "$REDRILL_KEEPER"
while :; do
    ( join "$REDRILL_BOX"; exec "$@" )
    status=$?
    [ "$status" -eq 133 ] || exit "$status"
done
"""

PROPAGATION = Path("/run/systemd/nspawn/propagate")
"""Where systemd-nspawn keeps a folder for each container that it has ever started."""

INOTIFY_INSTANCES = Path("/proc/sys/fs/inotify/max_user_instances")
ENOUGH_INOTIFY_INSTANCES = 512


@dataclass(frozen=True, slots=True)
class Container:
    """The container of one endpoint."""

    place: EndpointPlace

    @property
    def _group(self) -> Group:
        return Group(self.place.group)

    @property
    def leader(self) -> int | None:
        """The host's number of the container's PID 1; None when it does not run."""
        return next((pid for pid in self._group.processes() if is_container_leader(pid)), None)

    @property
    def is_running(self) -> bool:
        """Whether the container's PID 1 is alive."""
        return self.leader is not None

    @property
    def started(self) -> datetime | None:
        """When the container's PID 1 was started."""
        leader = self.leader
        with suppress(OSError, TypeError):
            ticks = int(Path(f"/proc/{leader}/stat").read_text().rpartition(")")[2].split()[19])
            lines = Path("/proc/stat").read_text().splitlines()
            boot = next(int(line.split()[1]) for line in lines if line.startswith("btime"))
            return datetime.fromtimestamp(boot + ticks / os.sysconf("SC_CLK_TCK"), UTC)
        return None

    def start(self, hostname: str) -> None:
        """Start the container under a keeper that outlives this process and restarts it when it reboots."""
        if self._living():
            raise ProvisionError(f"The endpoint '{self.place.name}' runs already; kill its container first.")
        keeper, box = self._group.child("keeper"), self._group.child("box")
        for group in (keeper, box):
            group.create()
        environment = {
            **os.environ,
            "REDRILL_KEEPER": " ".join(map(str, keeper.membership_files())),
            "REDRILL_BOX": " ".join(map(str, box.membership_files())),
            "SYSTEMD_NSPAWN_LOCK": "0",
        }
        command = ["setsid", "--fork", "sh", "-c", KEEPER, "redrill-keeper", *self._nspawn(hostname)]
        with self.place.console.open("ab") as console:
            try:
                subprocess.run(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=console,
                    stderr=console,
                    env=environment,
                    cwd="/",
                    check=True,
                )
            except (OSError, subprocess.CalledProcessError) as error:
                raise ProvisionError(f"The container of '{self.place.name}' could not be started: {error}") from error
        wait_until(lambda is_last_try: self._is_kept(is_last_try) or None, Deadline.after(10), interval=0.002)

    def power_off(self, deadline: Deadline) -> None:
        """Ask the container's PID 1 to power off, and wait until it has, or the time is up."""
        leader = self.leader
        if leader is None:
            return
        with suppress(ProcessLookupError):
            os.kill(leader, signal.SIGRTMIN + 4)  # systemd(1): poweroff.target
        wait_until(lambda is_last_try: is_last_try or not self.is_running or None, deadline, interval=0.02)

    def forget(self, deadline: Deadline) -> None:
        """Remove what the host keeps of a dead container."""
        self._group.empty(deadline)
        with suppress(OSError):
            (PROPAGATION / self.place.machine).rmdir()

    def kill(self, deadline: Deadline) -> None:
        """End the container at once, without telling it, and wait until all of its processes are dead."""
        self._group.child("keeper").kill()

        def dead(is_last_try: bool) -> bool | None:
            self._group.kill()
            alive = self._living()
            if alive and is_last_try:
                raise ProvisionError(f"Processes of '{self.place.name}' do not die: {sorted(alive)}.")
            return None if alive else True

        wait_until(dead, deadline, interval=0.01)
        remove_link(self.place.link)
        # What systemd inside has made there must not meet the next one; a group that is still busy may stay.
        self._group.child("box").remove()

    def wait_for_ssh(self, address: str, port: int, deadline: Deadline) -> None:
        """Return as soon as an SSH server answers; ProvisionError with the console's last lines when none does."""

        def answers(is_last_try: bool) -> bool | None:
            if has_ssh_banner(address, port):
                return True
            if is_last_try or not self._living():
                reason = "no SSH server answers" if self.is_running else "it has ended"
                raise ProvisionError(
                    f"The container of '{self.place.name}' does not come up: {reason} at {address}:{port}."
                    f"{describe_limits()} Its console says last:\n{self._console_tail()}"
                )
            return None

        wait_until(answers, deadline, interval=0.01)

    def _living(self) -> list[int]:
        # systemd-nspawn itself may take two seconds to exit after its container is gone; nothing depends on it.
        return [pid for pid in self._group.processes() if is_alive(pid) and not _is_nspawn(pid)]

    def _is_kept(self, is_last_try: bool) -> bool:
        if any(is_alive(pid) for pid in self._group.child("keeper").processes()):
            return True
        if is_last_try:
            raise ProvisionError(f"The container of '{self.place.name}' ended at once: {self._console_tail()}")
        return False

    def _nspawn(self, hostname: str) -> list[str]:
        return [
            *("systemd-nspawn", "--quiet", "--boot", "--settings=no", "--register=no", "--keep-unit"),
            *("--kill-signal=SIGRTMIN+3", "--console=pipe"),
            # The tree is the endpoint's: systemd-nspawn must not write into it.
            *("--resolv-conf=off", "--timezone=off", "--link-journal=no"),
            *(f"--machine={self.place.machine}", f"--hostname={hostname}", f"--directory={self.place.merged}"),
            f"--network-bridge={self.place.lab.bridge}",
        ]

    def _console_tail(self) -> str:
        with suppress(OSError):
            return "\n".join(self.place.console.read_text("utf-8", "replace").splitlines()[-15:])
        return "(nothing)"


def describe_limits() -> str:
    """Return a sentence about the one host limit that ends labs first, when it is low; else nothing."""
    limit = int(INOTIFY_INSTANCES.read_text())
    if limit >= ENOUGH_INOTIFY_INSTANCES:
        return ""
    return (
        f" fs.inotify.max_user_instances is {limit}, enough for about {limit // 7} endpoints at most;"
        " raise it with `sysctl -w fs.inotify.max_user_instances=8192`."
    )


def _is_nspawn(pid: int) -> bool:
    with suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text() == "systemd-nspawn\n" and not is_nested(pid)
    return False
