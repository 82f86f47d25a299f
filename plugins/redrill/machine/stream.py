"""A command with a stream, bytes into it or bytes out of it, on a channel of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import paramiko

from redrill.errors import MachineError
from redrill.machine.channel import ChannelReader, Cutter, DeadlineOverError, unblocked_at, wait_for_status
from redrill.machine.protocol import Result
from redrill.machine.session import SshSession
from redrill.machine.shell import PROLOGUE, new_marker, quote_bytes
from redrill.machine.streams import Tail, encode_command, expired, lost
from redrill.model.deadline import Deadline

_PIECE = 1 << 15


class StreamedCommand:
    """A command that was started on a channel of its own; use ``feed`` or ``drain``, once."""

    def __init__(self, name: str, command: str, session: SshSession, deadline: Deadline, *, has_input: bool) -> None:
        self._name = name
        self._command = command
        self._session = session
        self._deadline = deadline
        marker = new_marker()
        self._channel = session.execute(_framed(encode_command(name, command), marker, has_input), deadline)
        self._reader = _MarkedReader(self._channel, marker)

    def feed(self, chunks: Iterator[bytes]) -> Result:
        """Write chunks into the command while its outputs are read; that it ends early is not an error here."""
        sink = _Sink(self._reader, self._deadline)
        sink.start()
        with self._closing():
            with unblocked_at(self._deadline, self._channel):
                self._write(chunks)
            sink.wait()
            status = self._wait()
        return Result(self._name, self._command, status, bytes(sink.stdout), bytes(sink.stderr))

    @contextmanager
    def drain(self, source: Iterator[bytes] | None = None) -> Iterator[Iterator[bytes]]:
        """Yield the standard output; on leaving, what is left is thrown away and the exit status checked.

        A thread writes ``source`` into the command meanwhile; that it takes not all of it is no error.
        """
        stderr = Tail()
        chunks = self._read(stderr)
        with self._closing():
            if source is not None:
                threading.Thread(target=self._write_aside, args=(source,), daemon=True, name="redrill-source").start()
            yield chunks
            for _ in chunks:
                pass
            status = self._wait()
        Result(self._name, self._command, status, b"", stderr.value).checked()

    @contextmanager
    def _closing(self) -> Iterator[None]:
        """Close the channel; when something went wrong in the context, kill the command too."""
        is_done = False
        try:
            yield
            is_done = True
        except (DeadlineOverError, TimeoutError):
            raise expired(self._name, self._command, self._deadline) from None
        finally:
            has_ended = self._channel.exit_status_ready()  # a process id that has ended may be another's already
            self._channel.close()
            if not is_done and not has_ended:
                self._session.kill(self._reader.pid)

    def _write(self, chunks: Iterator[bytes]) -> None:
        for chunk in chunks:
            for start in range(0, len(chunk), _PIECE):
                if self._deadline.is_over:
                    raise DeadlineOverError
                if not self._is_written(bytes(chunk[start : start + _PIECE])):
                    return
        if not self._channel.closed:
            self._channel.shutdown_write()

    def _write_aside(self, source: Iterator[bytes]) -> None:
        with suppress(DeadlineOverError, OSError, EOFError):  # the reader sees the same, and says so
            self._write(source)

    def _is_written(self, piece: bytes) -> bool:
        """Write a piece under flow control; False when the command has ended and takes no more."""
        while piece:
            if self._channel.exit_status_ready():
                return False
            self._channel.settimeout(self._deadline.remaining)
            sent = _send(self._channel, piece)
            if sent == 0:
                return False
            piece = piece[sent:]
        return True

    def _read(self, stderr: Tail) -> Iterator[bytes]:
        while any(found := self._reader.read(self._deadline)):
            stderr.add(found[1])
            if found[0]:
                yield found[0]
        if not self._channel.eof_received:
            raise lost(self._name, self._command)  # or a torn stream would look like a whole one

    def _wait(self) -> int:
        status = wait_for_status(self._channel, self._deadline)
        if status != -1:
            return status
        if not self._channel.eof_received:
            raise lost(self._name, self._command)
        raise MachineError(
            f"On '{self._name}' the shell of {self._command[:500]!r} was killed: no exit status is known."
        )


class _MarkedReader:
    """Reads both streams of a command from where it began, without what the log-in printed before it."""

    def __init__(self, channel: paramiko.Channel, marker: bytes) -> None:
        self.pid = 0
        self._reader = ChannelReader(channel)
        self._heads: list[Cutter | None] = [Cutter(marker, b"\n"), Cutter(marker, b"\n")]

    def read(self, deadline: Deadline) -> tuple[bytes, bytes]:
        """Wait for bytes and return what came on (stdout, stderr); both are empty at the end. DeadlineOverError."""
        while any(found := self._reader.read(deadline)):
            out, err = (self._without_head(number, chunk) for number, chunk in enumerate(found))
            if out or err:
                return out, err
        # A log-in that never came to the command (no shell, an account that is locked) has said why.
        words = b"".join(head.rest for head in self._heads if head)
        self._heads = [None, None]
        return b"", words

    def _without_head(self, number: int, chunk: bytes) -> bytes:
        head = self._heads[number]
        if head is None:
            return chunk
        head.feed(chunk)
        if not head.pieces:
            return b""
        self.pid = int(head.pieces[0][1])
        self._heads[number] = None
        return head.rest


class _Sink(threading.Thread):
    """Collects both outputs of a command beside the thread that feeds it."""

    def __init__(self, reader: _MarkedReader, deadline: Deadline) -> None:
        super().__init__(daemon=True, name="redrill-sink")
        self.stdout = bytearray()
        self.stderr = bytearray()
        self._is_whole = False
        self._reader = reader
        self._deadline = deadline

    def wait(self) -> None:
        """Wait for the end of both streams; DeadlineOverError."""
        self.join(self._deadline.remaining + 1)
        if not self._is_whole:
            raise DeadlineOverError

    def run(self) -> None:
        """Read to the end of both streams, or to the deadline."""
        try:
            while any(found := self._reader.read(self._deadline)):
                self.stdout += found[0]
                self.stderr += found[1]
            self._is_whole = True
        except DeadlineOverError:
            return


def _send(channel: paramiko.Channel, piece: bytes) -> int:
    """Return how much was taken; 0 when the other side has closed. TimeoutError at the channel's time-out."""
    try:
        return channel.send(piece)
    except TimeoutError:
        raise
    except (OSError, EOFError):
        return 0


def _framed(command: bytes, marker: bytes, has_input: bool) -> bytes:
    """Return what sshd is told to run: any log-in shell starts ``/bin/sh``, and a signal shows as status 128 + n."""
    redirection = b"" if has_input else b"exec </dev/null\n"
    start = b"printf '" + marker + b"%d\\n' $$; printf '" + marker + b"%d\\n' $$ >&2\n"
    script = PROLOGUE.encode() + b"\n" + start + redirection + b"eval " + quote_bytes(command) + b"\nexit $?"
    return b"exec /bin/sh -c " + quote_bytes(script)
