"""What a live handle of an endpoint can do; everything else is built on these five verbs."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol

from redrill.errors import CommandError
from redrill.model.deadline import Deadline


@dataclass(frozen=True, slots=True)
class Result:
    """How a command ended; the streams are bytes, for nobody promised text."""

    machine: str
    command: str
    exit_status: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text (surrogateescape), without the last newline."""
        return self.stdout.decode("utf-8", "surrogateescape").removesuffix("\n")

    def checked(self) -> "Result":
        """Return the result itself, or raise CommandError when the exit status is not 0."""
        if self.exit_status != 0:
            raise CommandError(self.machine, self.command, self.exit_status, self.stdout, self.stderr)
        return self


class Machine(Protocol):
    """A live endpoint. Commands are POSIX shell; a relative world (a directory) shows its root as ``$ROOT``.

    ``name`` is the endpoint's; ``root`` is '' for a real system, else the directory that stands for '/';
    ``has_init`` says whether there is a running system (units, sockets, kernel) behind it.
    Every call has a deadline and raises MachineError when it passes or the connection is lost.
    """

    name: str
    root: str
    has_init: bool

    def run(self, command: str, deadline: Deadline) -> Result:
        """Run one command to its end, without standard input."""

    def batch(self, commands: Sequence[str], deadline: Deadline) -> list[Result]:
        """Run commands one after another in a single round trip; each has its own result, whatever the others did."""

    def send(self, command: str, source: Iterator[bytes] | BinaryIO, deadline: Deadline) -> Result:
        """Run a command with ``source`` as its standard input."""

    def receive(
        self, command: str, deadline: Deadline, source: Iterator[bytes] | BinaryIO | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        """Run a command and stream its standard output; leaving raises CommandError unless it ended with 0.

        With ``source`` that is its standard input, written while the output is read.
        """

    def close(self) -> None:
        """Drop every connection; safe to call twice."""
