"""Numbered writes to an application while its endpoint is about to be drilled: what was acknowledged must come back."""

import threading
import time
from dataclasses import dataclass, field

from redrill.errors import MachineError
from redrill.machine.protocol import Machine
from redrill.model.canary import Canary
from redrill.model.deadline import Deadline

INTERVAL = 0.1
"""Seconds between two writes."""

_WRITE_SECONDS = 10.0


@dataclass(slots=True)
class Witness:
    """Writes canaries in a thread of its own until stopped; ``acknowledged`` holds the numbers that were durable."""

    machine: Machine
    canary: Canary
    acknowledged: list[int] = field(default_factory=list)
    refused: str | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> "Witness":
        """Make the first write, which must succeed (MachineError), and go on in the background."""
        self._write()
        if self.refused:
            raise MachineError(f"On '{self.machine.name}' the canary write failed: {self.refused}")
        self._thread = threading.Thread(target=self._work, name=f"witness-{self.machine.name}", daemon=True)
        self._thread.start()
        return self

    def stop(self) -> tuple[int, ...]:
        """Stop writing and return the numbers of all acknowledged writes."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        return tuple(self.acknowledged)

    def _work(self) -> None:
        while not self._stop.wait(INTERVAL) and self.refused is None:
            self._write()

    def _write(self) -> None:
        number = max(time.time_ns() // 1_000_000, self.acknowledged[-1] + 1 if self.acknowledged else 0)
        try:
            result = self.machine.run(f"REDRILL_CANARY={number}; {self.canary.write}", Deadline.after(_WRITE_SECONDS))
            result.checked()
        except MachineError as error:
            self.refused = str(error)
        else:
            self.acknowledged.append(number)


def read_canaries(machine: Machine, canary: Canary, deadline: Deadline) -> frozenset[int]:
    """Return the numbers that the application holds now; lines that are no numbers are refused (MachineError)."""
    text = machine.run(canary.read, deadline).checked().text
    try:
        return frozenset(int(line) for line in text.splitlines() if line.strip())
    except ValueError as error:
        raise MachineError(
            f"On '{machine.name}' the canary read printed something else than numbers: {error}."
        ) from None
