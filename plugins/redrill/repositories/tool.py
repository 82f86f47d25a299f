"""Runs the program of a repository on the controller; its password goes through memory, never by the command line."""

import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, NamedTuple

from redrill.errors import BackupError
from redrill.model.deadline import Deadline
from redrill.redaction import redact

_GRACE = 10.0
"""Seconds for a program to take its lock away again after it was interrupted."""

_MOST_READ = 1 << 16
"""Bytes of what a program said last that are looked through; far fewer are told."""


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended; a negative status is the signal that ended it."""

    status: int
    stdout: bytes
    stderr: bytes

    @property
    def words(self) -> str:
        """The last of what it said, in one line."""
        said = self.stderr.strip() or self.stdout.strip()
        text = said[-_MOST_READ:].decode("utf-8", "backslashreplace")
        # Redacted before it is cut: nobody would know the end of a secret again.
        return " ".join(redact(text)[-1000:].split())


class Password(NamedTuple):
    """A password as a program takes it: ``variable`` says which open file has it, as ``form`` % its number."""

    variable: str
    form: str
    text: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A program with what its environment has besides ours; ``package`` is the Debian package that holds it."""

    program: str
    package: str
    environment: Mapping[str, str | None]
    password: Password | None = None

    def run(
        self, arguments: Sequence[str], deadline: Deadline, folder: Path | None = None, held: Sequence[int] = ()
    ) -> Ran:
        """Run to the end, in ``folder``, without standard input; BackupError when it is missing or takes too long.

        The open files ``held`` stay open as long as it runs, also when this process has gone.
        """
        with _in_memory(self.password) as password, _open_memory() as stdout, _open_memory() as stderr:
            environment = {**os.environ, **self.environment}
            if self.password and password:
                environment[self.password.variable] = self.password.form % password[0]
            try:
                process = subprocess.Popen(
                    [self.program, *arguments],
                    cwd=folder,
                    env={name: value for name, value in environment.items() if value is not None},
                    stdin=subprocess.DEVNULL,
                    # No pipes: what the program leaves behind, such as its ssh, could keep them open for ever.
                    stdout=stdout,
                    stderr=stderr,
                    pass_fds=(*password, *held),
                    process_group=0,
                )
            except OSError as error:
                raise BackupError(
                    f"The program '{self.program}' cannot be run on this machine: {error.strerror}. Install it "
                    f"('apt-get install {self.package}'), or say where it is as 'repository.program'."
                ) from error
            self._wait(process, deadline)
            return Ran(process.returncode, _content(stdout), _content(stderr))

    def _wait(self, process: subprocess.Popen[bytes], deadline: Deadline) -> None:
        try:
            process.wait(timeout=max(deadline.remaining, 0.001))
        except BaseException as error:
            _end(process)
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            raise BackupError(f"'{self.program}' did not end within {deadline.budget:g} s.") from None


@contextmanager
def _in_memory(password: Password | None) -> Iterator[tuple[int, ...]]:
    """Yield the number of an open file in memory that holds the password, if there is one."""
    if password is None:
        yield ()
        return
    with _open_memory() as file:
        file.write(password.text.encode() + b"\n")
        file.seek(0)
        yield (file.fileno(),)


def _open_memory() -> IO[bytes]:
    return os.fdopen(os.memfd_create("redrill"), "w+b")


def _content(file: IO[bytes]) -> bytes:
    file.seek(0)
    return file.read()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt a program, so that it takes its lock away, and kill what does not go."""
    for number, patience in ((signal.SIGINT, _GRACE), (signal.SIGKILL, None)):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=patience)
            return
