"""testinfra's ``Host`` over a machine that is already connected: users' own tests at a millisecond a check."""

from typing import Any

from testinfra.backend.base import BaseBackend, CommandResult
from testinfra.host import Host

from redrill.errors import MachineError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline


class MachineBackend(BaseBackend):  # type: ignore[misc] # testinfra ships no types
    """Runs testinfra's commands on a machine, each with the same number of seconds as its deadline."""

    NAME = "redrill"

    def __init__(self, machine: Machine, seconds: float) -> None:
        super().__init__(machine.name)
        self._machine = machine
        self._seconds = seconds

    def run(self, command: str, *args: str, **_kwargs: Any) -> CommandResult:
        """Run a command; ``%s`` in it takes the quoted arguments."""
        text = self.get_command(command, *args)
        result = self._machine.run(text, Deadline.after(self._seconds))
        return self.result(result.exit_status, self.encode(text), result.stdout, result.stderr)

    def get_encoding(self) -> str:
        """Return UTF-8, without asking the endpoint's Python."""
        return "utf-8"

    def decode(self, data: bytes) -> str:
        """Return text in which bytes that are not UTF-8 survive (surrogateescape)."""
        return data.decode("utf-8", "surrogateescape")

    def encode(self, data: str) -> bytes:
        """Return the bytes of such a text."""
        return data.encode("utf-8", "surrogateescape")


def make_host(machine: Machine, seconds: float = 60.0) -> Host:
    """Return a new ``testinfra.host.Host`` whose commands run on ``machine``, each with ``seconds`` as its deadline.

    It is as alive as the machine: after a rebuild or a reboot make another one. MachineError for a directory.
    """
    if machine.root:
        raise MachineError(f"'{machine.name}' is a directory ('{machine.root}'); testinfra needs a running system.")
    backend = MachineBackend(machine, seconds)
    host = Host(backend)
    backend.set_host(host)
    return host
