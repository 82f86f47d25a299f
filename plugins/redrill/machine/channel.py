"""What redrill needs of an SSH channel and paramiko does not offer: both streams at once, with a deadline."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import paramiko

from redrill.model.deadline import Deadline

_PIECE = 1 << 17
"""Bytes that are handed on at once: each stage of a stream holds a piece or two, and larger ones are no faster."""


class DeadlineOverError(Exception):
    """The deadline passed while a channel was used."""


class _Wakeup(threading.Event):
    """An event that the two buffers of a channel share: one that ran empty must not hide that the other is full."""

    def clear(self) -> None:
        """Do nothing; only ``rearm`` clears."""

    def rearm(self) -> None:
        super().clear()


class ChannelReader:
    """Reads standard output and standard error of a channel as they come; for one thread."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self._wakeup = _Wakeup()
        channel.in_buffer.set_event(self._wakeup)
        channel.in_stderr_buffer.set_event(self._wakeup)

    def read(self, deadline: Deadline) -> tuple[bytes, bytes]:
        """Wait for bytes and return what came on (stdout, stderr); both are empty at the end. DeadlineOverError."""
        while True:
            if deadline.is_over:
                raise DeadlineOverError
            self._wakeup.rearm()
            has_ended = self._channel.eof_received or self._channel.closed  # asked before reading: nothing can follow
            out, err = self.read_ready()
            if out or err or has_ended:
                return out, err
            self._wakeup.wait(deadline.remaining)

    def read_ready(self) -> tuple[bytes, bytes]:
        """Return what has come already, without waiting."""
        channel = self._channel
        out = channel.recv(_PIECE) if channel.recv_ready() else b""
        err = channel.recv_stderr(_PIECE) if channel.recv_stderr_ready() else b""
        return out, err


class Cutter:
    """Cuts one stream into (bytes before the marker, bytes between the marker and ``end``)."""

    def __init__(self, marker: bytes, end: bytes) -> None:
        self.pieces: list[tuple[bytes, bytes]] = []
        self._marker = marker
        self._end = end
        self._buffer = bytearray()
        self._searched = 0

    @property
    def rest(self) -> bytes:
        """What is not cut off yet."""
        return bytes(self._buffer)

    def feed(self, chunk: bytes) -> None:
        """Append a chunk and cut off what is complete; each byte is searched once."""
        self._buffer += chunk
        while (at := self._buffer.find(self._marker, self._searched)) >= 0:
            start = at + len(self._marker)
            stop = self._buffer.find(self._end, start)
            if stop < 0:
                self._searched = at
                return
            self.pieces.append((bytes(memoryview(self._buffer)[:at]), bytes(self._buffer[start:stop])))
            del self._buffer[: stop + len(self._end)]
            self._searched = 0
        self._searched = max(0, len(self._buffer) - len(self._marker))


def wait_for_status(channel: paramiko.Channel, deadline: Deadline) -> int:
    """Return the exit status, -1 when there is none (killed, or the connection was lost). DeadlineOverError."""
    if not channel.status_event.wait(deadline.remaining):
        raise DeadlineOverError
    return channel.exit_status


@contextmanager
def unblocked_at(deadline: Deadline, channel: paramiko.Channel) -> Iterator[None]:
    """Drop the connection under a channel a second after the deadline, for as long as the context lasts.

    A peer that stops while bytes are on their way blocks the writer inside the socket, out of reach of any time-out.
    """
    watchdog = threading.Timer(deadline.remaining + 1, _drop, [channel])
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    finally:
        watchdog.cancel()


def _drop(channel: paramiko.Channel) -> None:
    if channel.transport is not None:
        with suppress(OSError, EOFError):
            channel.transport.close()
