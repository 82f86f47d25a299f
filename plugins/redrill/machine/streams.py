"""What every machine shares: sources of bytes, bounded tails, and the words for a call that did not end well."""

from collections.abc import Iterator
from typing import BinaryIO

from redrill.errors import MachineError
from redrill.model.deadline import Deadline

CHUNK = 1 << 18
KEPT_STDERR = 1 << 16


def read_chunks(source: Iterator[bytes] | BinaryIO) -> Iterator[bytes]:
    """Yield the non-empty chunks of an iterator or of a binary file."""
    if isinstance(source, Iterator) and not hasattr(source, "read"):
        yield from filter(None, source)
    else:
        while chunk := source.read(CHUNK):
            yield chunk


def encode_command(machine: str, command: str) -> bytes:
    """Return a command as bytes (surrogateescape); MachineError when it holds a NUL, which no shell can take."""
    if "\0" in command:
        raise MachineError(f"On '{machine}' the command {command[:200]!r} holds a NUL byte; send such data as input.")
    return command.encode("utf-8", "surrogateescape")


def expired(machine: str, command: str, deadline: Deadline) -> MachineError:
    """Return the error for a call that was cut off by its deadline."""
    return MachineError(
        f"On '{machine}' the command {command[:500]!r} was stopped after its deadline of {deadline.budget:.3g} s."
    )


def lost(machine: str, command: str) -> MachineError:
    """Return the error for a connection that broke while a command ran."""
    return MachineError(
        f"The connection to '{machine}' was lost while {command[:500]!r} ran; how it ended is not known."
    )


class Tail:
    """Keeps the last bytes of a stream."""

    def __init__(self, limit: int = KEPT_STDERR) -> None:
        self._limit = limit
        self._kept = bytearray()

    def add(self, chunk: bytes) -> None:
        """Append a chunk and forget what is too old."""
        self._kept += chunk
        del self._kept[: -self._limit]

    @property
    def value(self) -> bytes:
        """What is kept."""
        return bytes(self._kept)
