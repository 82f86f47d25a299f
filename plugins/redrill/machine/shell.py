"""One ``/bin/sh`` that stays, and runs framed commands: one packet there, one answer back."""

import secrets
import shlex
import threading
from collections.abc import Sequence
from contextlib import suppress

from redrill.errors import MachineError
from redrill.machine.channel import ChannelReader, Cutter, DeadlineOverError
from redrill.machine.protocol import Result
from redrill.machine.session import SshSession
from redrill.machine.streams import encode_command, expired, lost
from redrill.model.deadline import Deadline

PROLOGUE = "cd /; LC_ALL=C ROOT= PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin; export LC_ALL ROOT PATH"
"""The world in which every command starts, be it in the shell or on a channel of its own."""

_SAFE_WRITE = 1 << 20


class Shell:
    """A persistent shell on a channel; a command hurts nothing but itself. For one thread at a time.

    A process that a command leaves behind should not keep its outputs: what it prints later may show up in the
    result of another command.
    """

    def __init__(self, name: str, session: SshSession, deadline: Deadline) -> None:
        self._name = name
        self._session = session
        self._channel = session.execute(b"exec /bin/sh", deadline)
        self._reader = ChannelReader(self._channel)
        self._pid = 0
        marker = new_marker()
        # The first frame also holds what the log-in itself printed.
        greeting = f"{PROLOGUE}; echo; echo $$".encode() + _end_of_frame(marker)
        self._pid = int(self._exchange(greeting, marker, ["/bin/sh"], deadline)[0][1].split()[-1])

    @property
    def is_alive(self) -> bool:
        """Whether it can take commands."""
        return self._session.is_alive and not self._channel.closed and not self._channel.eof_received

    def execute(self, commands: Sequence[str], deadline: Deadline) -> list[Result]:
        """Run commands in one write, each in a subshell without standard input; MachineError ends the shell."""
        marker = new_marker()
        end = _end_of_frame(marker)
        script = b"".join(_isolated(encode_command(self._name, command)) + end for command in commands)
        self._reader.read_ready()  # what an earlier command's child printed since then belongs to nobody
        frames = self._exchange(script, marker, commands, deadline)
        return [Result(self._name, command, *frame) for command, frame in zip(commands, frames, strict=True)]

    def close(self) -> None:
        """Kill the shell with what it runs; waits a second at most."""
        has_ended = self._channel.eof_received
        self._channel.close()
        if not has_ended:
            self._session.kill(self._pid)

    def _exchange(
        self, script: bytes, marker: bytes, commands: Sequence[str], deadline: Deadline
    ) -> list[tuple[int, bytes, bytes]]:
        frames = _Frames(marker, len(commands))
        is_whole = False
        try:
            self._write(script, deadline)
            while not frames.are_complete:
                out, err = self._reader.read(deadline)
                if not out and not err:
                    raise self._explain_end(commands[frames.count], frames)
                frames.feed(out, err)
            is_whole = True
        except (DeadlineOverError, TimeoutError):
            raise expired(self._name, commands[frames.count], deadline) from None
        except (EOFError, OSError) as error:
            raise MachineError(f"The connection to '{self._name}' was lost: {error}") from error
        finally:
            if not is_whole:
                self.close()
        return frames.complete

    def _write(self, script: bytes, deadline: Deadline) -> None:
        if len(script) > _SAFE_WRITE:
            # the shell may stop reading until its output is read: both must go on at once
            threading.Thread(target=self._write_all, args=(script, deadline), daemon=True).start()
        else:
            self._channel.settimeout(deadline.remaining)
            self._channel.sendall(script)

    def _write_all(self, script: bytes, deadline: Deadline) -> None:
        with suppress(OSError, EOFError):  # the reader sees the end of the channel, or the deadline, and says why
            self._channel.settimeout(deadline.remaining)
            self._channel.sendall(script)

    def _explain_end(self, command: str, frames: "_Frames") -> MachineError:
        if not self._channel.eof_received:
            return lost(self._name, command)
        words = frames.rest.decode("utf-8", "backslashreplace").strip()[-2000:]
        return MachineError(f"On '{self._name}' the shell itself ended while {command[:500]!r} ran. It said: {words!r}")


class _Frames:
    """Cuts both streams at their markers: ``marker status newline`` ends a command's stdout, ``marker`` its stderr."""

    def __init__(self, marker: bytes, wanted: int) -> None:
        self.complete: list[tuple[int, bytes, bytes]] = []
        self._wanted = wanted
        self._out = Cutter(marker, b"\n")
        self._err = Cutter(marker, b"")

    @property
    def are_complete(self) -> bool:
        """Whether every command has answered."""
        return len(self.complete) == self._wanted

    @property
    def count(self) -> int:
        """How many commands have ended; while one runs, its index."""
        return min(len(self.complete), self._wanted - 1)

    @property
    def rest(self) -> bytes:
        """What came after the last complete frame, on both streams."""
        return self._out.rest + self._err.rest

    def feed(self, out: bytes, err: bytes) -> None:
        """Take in what came on the two streams."""
        self._out.feed(out)
        self._err.feed(err)
        while self._out.pieces and self._err.pieces:
            stdout, status = self._out.pieces.pop(0)
            stderr, _ = self._err.pieces.pop(0)
            self.complete.append((int(status), stdout, stderr))


def new_marker() -> bytes:
    """Return 128 random bits as text: no output holds them by chance."""
    return secrets.token_hex(16).encode()


def _isolated(command: bytes) -> bytes:
    """Return shell text that runs a command without letting it touch the shell, whatever it holds."""
    return b"(eval " + quote_bytes(command) + b") </dev/null"


def _end_of_frame(marker: bytes) -> bytes:
    return b"\nprintf '" + marker + b"%d\\n' $?; printf " + marker + b" >&2\n"


def quote_bytes(text: bytes) -> bytes:
    """Quote bytes for a POSIX shell."""
    return shlex.quote(text.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
