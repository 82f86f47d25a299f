"""A real PostgreSQL on loopback, for tests: own cluster, own port, own password; ended by its process id."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from redrill.model.deadline import Deadline, wait_until

PASSWORD = "pw-9f2c-loopback-only"  # noqa: S105 - of a cluster that lives as long as its tests
_CLUSTER = Path("/usr/lib/postgresql")


@dataclass
class Postgres:
    """A cluster that can be stopped, started again, and frozen."""

    directory: Path
    port: int
    server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """How a client gets in, with the password."""
        return f"postgresql://redrill:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        command = [_program("postgres"), "-D", str(self.directory / "data")]
        with (self.directory / "log").open("ab") as log:
            self.server = subprocess.Popen(command, stdout=log, stderr=log, **_unprivileged())
        wait_until(self._is_ready, Deadline.after(20), 0.02)

    def stop(self) -> None:
        """Stop the server at once, without a word to its clients."""
        if self.server is not None:
            self.freeze(signal.SIGCONT)
            self.server.send_signal(signal.SIGQUIT)
            self.server.wait(20)
            self.server = None

    def freeze(self, number: signal.Signals = signal.SIGSTOP) -> None:
        """Stop all its processes where they are (or let them go on): their connections stay open and silent."""
        if self.server is not None:
            children = Path(f"/proc/{self.server.pid}/task/{self.server.pid}/children").read_text().split()
            for pid in [self.server.pid, *map(int, children)]:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)

    def query(self, sql: str) -> str:
        """Return what psql prints for a statement, unaligned and without a header."""
        environment = {**os.environ, "PGPASSWORD": PASSWORD, "PGOPTIONS": "-c default_transaction_read_only=off"}
        command = [_program("psql"), "-h127.0.0.1", f"-p{self.port}", "-Uredrill", "-XAtc", sql, "postgres"]
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip()

    def _is_ready(self, is_last_try: bool) -> bool | None:
        command = [_program("pg_isready"), "-q", "-h127.0.0.1", f"-p{self.port}"]
        if subprocess.run(command, check=False).returncode == 0:
            return True
        if is_last_try or (self.server and self.server.poll() is not None):
            raise RuntimeError(f"PostgreSQL did not start: {(self.directory / 'log').read_text()}")
        return None


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Make a cluster, start it, and remove all of it on leaving."""
    # Not below a temporary folder of pytest: as root that is closed to the user who runs the server.
    directory = Path(tempfile.mkdtemp(prefix="redrill-postgres-"))
    postgres = Postgres(directory, _free_port())
    try:
        (directory / "password").write_text(PASSWORD)
        if os.geteuid() == 0:
            for path in (directory, directory / "password"):
                shutil.chown(path, "postgres", "postgres")
        _make_cluster(postgres)
        postgres.start()
        yield postgres
    finally:
        postgres.stop()
        shutil.rmtree(directory)


def _make_cluster(postgres: Postgres) -> None:
    data, password = postgres.directory / "data", postgres.directory / "password"
    options = ("--no-sync", "--no-instructions", "--username=redrill", "--auth=scram-sha-256", f"--pwfile={password}")
    command = [_program("initdb"), f"--pgdata={data}", *options]
    subprocess.run(command, check=True, capture_output=True, cwd="/", **_unprivileged())
    settings = {"listen_addresses": "'127.0.0.1'", "port": postgres.port, "unix_socket_directories": "''"}
    lines = "".join(f"{name} = {value}\n" for name, value in {**settings, "fsync": "off"}.items())
    with (data / "postgresql.conf").open("a") as file:
        file.write(lines)


def _unprivileged() -> dict[str, str]:
    """Return how to start a program of the server, which refuses to run as root."""
    return {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}


def _program(name: str) -> str:
    """Return a program of the newest installed PostgreSQL; Debian keeps those of the server off the PATH."""
    found = sorted(_CLUSTER.glob(f"*/bin/{name}"), key=lambda path: int(path.parts[-3]))
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        raise RuntimeError(f"'{name}' of PostgreSQL is not installed; 'make test' installs it.")
    return program


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])
