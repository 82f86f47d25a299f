"""What a collector can do: say what arrived at a log sink."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet

Reach = Callable[[Endpoint, Deadline], Machine]
"""How a collector gets a live handle of the endpoint that is its sink."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One message at the sink, attributed by the fields that the sender's journal set."""

    nonce: str
    hostname: str
    boot_id: str


class Collector(Protocol):
    """Reads a log sink. Raises MachineError when the sink cannot be read: unknown is not 'nothing arrived'.

    Made as ``Backend(fleet, endpoint, reach)``; ``Settings`` models what the fleet file may say to it.
    """

    def __init__(self, fleet: Fleet, endpoint: Endpoint, reach: Reach) -> None: ...

    def find(self, nonces: Sequence[str], deadline: Deadline) -> list[Arrival]:
        """Return each arrival of a message that contains one of ``nonces``, in the sink's order."""

    def boots_seen(self, hostname: str, deadline: Deadline) -> set[str]:
        """Return the boot ids under which the sink has messages of ``hostname`` from the last hour."""

    def close(self) -> None:
        """Drop every connection; safe to call twice."""
