"""A machine that counts what goes there and back."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO

from redrill.machine.protocol import Machine, Result
from redrill.model.deadline import Deadline


class CountingMachine:
    """Passes every call on; ``calls`` are the names of those that took a round trip."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self.name, self.root, self.has_init = machine.name, machine.root, machine.has_init
        self.close = machine.close
        self.calls: list[str] = []

    def run(self, command: str, deadline: Deadline) -> Result:
        self.calls.append("run")
        return self._machine.run(command, deadline)

    def batch(self, commands: Sequence[str], deadline: Deadline) -> list[Result]:
        self.calls.append("batch")
        return self._machine.batch(commands, deadline)

    def send(self, command: str, source: Iterator[bytes] | BinaryIO, deadline: Deadline) -> Result:
        self.calls.append("send")
        return self._machine.send(command, source, deadline)

    def receive(
        self, command: str, deadline: Deadline, source: Iterator[bytes] | BinaryIO | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        self.calls.append("receive")
        return self._machine.receive(command, deadline, source)
