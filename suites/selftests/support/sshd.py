"""A real sshd on loopback, for tests: own port, own host key, own log; ended by its process id."""

import getpass
import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Ssh
from redrill.model.record import Location

SSHD = "/usr/sbin/sshd"


@dataclass(frozen=True)
class Sshd:
    """A running server: the process id of its listener, where it is, its public host key and a key that opens it."""

    pid: int
    port: int
    host_key: str
    directory: Path
    user: str

    @property
    def key(self) -> Path:
        """The private key that opens it."""
        return self.directory / "id"

    @property
    def log(self) -> Path:
        """What it tells, at the level DEBUG1."""
        return self.directory / "log"

    def ssh(self, **values: object) -> Ssh:
        """Return how to log in, without a look at the user's own SSH files; ``values`` replace or add."""
        nothing = self.directory / "nothing"
        nothing.touch()
        said = {"user": self.user, "port": self.port, "key": self.key, "config": nothing, "known_hosts": nothing}
        return Ssh.model_validate({**said, **values})

    def authorize(self, public_key: str) -> None:
        """Let another key in."""
        with (self.directory / "authorized_keys").open("a") as file:
            file.write(public_key + "\n")

    @property
    def location(self) -> Location:
        """Where it answers, with the host key that it shows."""
        return Location(address="127.0.0.1", port=self.port, host_keys=(self.host_key,))

    @property
    def pids(self) -> list[int]:
        """The listener and every process below it, parents first."""
        found, checked = [self.pid], 0
        while checked < len(found):
            children = Path(f"/proc/{found[checked]}/task/{found[checked]}/children")
            with suppress(FileNotFoundError, ProcessLookupError):  # it may end while it is looked at
                found += [int(pid) for pid in children.read_text().split()]
            checked += 1
        return found

    @property
    def connection_pids(self) -> list[int]:
        """The server's processes that hold connections, without the listener and without what they run."""
        return [pid for pid in self.pids[1:] if _name_of(pid) == "sshd"]

    def signal_all(self, number: signal.Signals) -> None:
        """Send a signal to the listener and to those that hold connections."""
        for pid in [*self.connection_pids, self.pid]:
            _signal(pid, number)

    def drop_connections(self) -> None:
        """Kill the processes that hold connections; the listener goes on."""
        for pid in self.connection_pids:
            _signal(pid, signal.SIGKILL)


def make_key(path: Path, *options: str) -> str:
    """Make a key pair without a passphrase (unless an option gives one) and return the public line."""
    passphrase = () if "-N" in options else ("-N", "")
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", *passphrase, *options, "-f", str(path)], check=True)
    return path.with_name(path.name + ".pub").read_text().strip()


@contextmanager
def running_sshd(directory: Path, *options: str) -> Iterator[Sshd]:
    """Start a server in a directory of its own with further ``sshd_config`` lines; stop it on leaving."""
    directory.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)  # its privilege separation needs the directory
    host_key = make_key(directory / "host_key")
    (directory / "authorized_keys").write_text(make_key(directory / "id") + "\n")
    port = _free_port()
    (directory / "sshd_config").write_text("\n".join([*options, *_config(directory, port)]) + "\n")
    log = directory / "log"
    server = subprocess.Popen([SSHD, "-D", "-E", str(log), "-f", str(directory / "sshd_config")])
    sshd = Sshd(server.pid, port, host_key, directory, getpass.getuser())
    try:
        wait_until(lambda is_last_try: _answers(server, log, port, is_last_try), Deadline.after(10), 0.02)
        yield sshd
    finally:
        stop(sshd)
        server.wait()


def stop(sshd: Sshd) -> None:
    """Kill a server with all that it started."""
    for pid in sshd.pids:
        _signal(pid, signal.SIGKILL)


def _config(directory: Path, port: int) -> list[str]:
    return [
        f"Port {port}",
        "ListenAddress 127.0.0.1",
        f"HostKey {directory / 'host_key'}",
        f"AuthorizedKeysFile {directory / 'authorized_keys'}",
        "PidFile none",
        "StrictModes no",
        "UsePAM no",
        "UseDNS no",
        "PasswordAuthentication no",
        "PermitRootLogin prohibit-password",
        "LogLevel DEBUG1",
        "SetEnv SHLVL=5",  # else bash reads the ~/.bashrc of whoever runs the tests before each command
    ]


def _answers(server: subprocess.Popen[bytes], log: Path, port: int, is_last_try: bool) -> bool | None:
    if server.poll() is not None or is_last_try:
        raise RuntimeError(f"sshd did not start: {log.read_text()}")
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return None
    return True


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _signal(pid: int, number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""
