"""An endpoint that is a directory: its commands run on the controller, with the directory as ``$ROOT``."""

import os
import selectors
import signal
import subprocess
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, BinaryIO

from redrill.errors import MachineError
from redrill.machine.protocol import Result
from redrill.machine.streams import CHUNK, Tail, encode_command, expired, read_chunks
from redrill.model.deadline import Deadline

_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_STDOUT, _STDERR = 1, 2


class LocalMachine:
    """A directory, or the offline root of an endpoint; commands start in it with a clean environment.

    A command has ended when its shell has: a process that it left behind does not keep the call waiting.
    """

    def __init__(self, name: str, root: Path, has_init: bool = False) -> None:
        self.name = name
        self.root = str(root.absolute())
        self.has_init = has_init

    def run(self, command: str, deadline: Deadline) -> Result:
        """Run one command to its end, without standard input."""
        return self._collect(command, None, deadline)

    def batch(self, commands: Sequence[str], deadline: Deadline) -> list[Result]:
        """Run commands one after another, each in a shell of its own."""
        return [self.run(command, deadline) for command in commands]

    def send(self, command: str, source: Iterator[bytes] | BinaryIO, deadline: Deadline) -> Result:
        """Run a command with ``source``, which is read in the caller's thread, as its standard input."""
        return self._collect(command, read_chunks(source), deadline)

    @contextmanager
    def receive(
        self, command: str, deadline: Deadline, source: Iterator[bytes] | BinaryIO | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Run a command and stream its standard output; leaving the context raises CommandError unless it ended with 0.

        What was not read is thrown away on leaving; an exception inside the context kills the command. A thread writes
        ``source`` into the command meanwhile; that it takes not all of it is no error.
        """
        process = self._start(command, subprocess.DEVNULL) if source is None else self._start_fed(command, source)
        flow = self._flow(process, command, None, deadline)
        stderr = Tail()
        stream = _stdout_of(flow, stderr)
        try:
            yield stream
            for _ in stream:
                pass
        finally:
            flow.close()
        Result(self.name, command, _status(process), b"", stderr.value).checked()

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def _collect(self, command: str, source: Iterator[bytes] | None, deadline: Deadline) -> Result:
        process = self._start(command, subprocess.DEVNULL if source is None else subprocess.PIPE)
        outputs = {_STDOUT: bytearray(), _STDERR: bytearray()}
        for number, chunk in self._flow(process, command, source, deadline):
            outputs[number] += chunk
        return Result(self.name, command, _status(process), bytes(outputs[_STDOUT]), bytes(outputs[_STDERR]))

    def _start_fed(self, command: str, source: Iterator[bytes] | BinaryIO) -> subprocess.Popen[bytes]:
        """Start a command and the thread that writes into it: who feeds slowly must not hold up what is read."""
        reader, writer = os.pipe()
        try:
            process = self._start(command, reader)
        except MachineError:
            os.close(writer)
            raise
        finally:
            os.close(reader)
        threading.Thread(target=_pump, args=(read_chunks(source), writer), daemon=True, name="redrill-source").start()
        return process

    def _start(self, command: str, stdin: int) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                ["/bin/sh", "-c", encode_command(self.name, command)],
                cwd=self.root,
                env={"PATH": _PATH, "LC_ALL": "C", "ROOT": self.root},
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
                bufsize=0,
            )
        except OSError as error:
            raise MachineError(
                f"On '{self.name}' the command {command[:500]!r} could not be started: {error}"
            ) from error

    def _flow(
        self, process: subprocess.Popen[bytes], command: str, source: Iterator[bytes] | None, deadline: Deadline
    ) -> Generator[tuple[int, bytes], None, None]:
        """Yield what the process prints as (stream, chunk) and feed it, until it ends; kill it when that fails."""
        pipes = _Pipes(process, source)
        try:
            while not pipes.has_ended:
                if deadline.is_over:
                    raise expired(self.name, command, deadline)
                yield from pipes.exchange(deadline.remaining)
        finally:
            pipes.close()


class _Pipes:
    """The three pipes of a process and its end, waited for together."""

    def __init__(self, process: subprocess.Popen[bytes], source: Iterator[bytes] | None) -> None:
        self.has_ended = False
        self._process = process
        self._source = source
        self._pending = memoryview(b"")
        self._end = os.pidfd_open(process.pid)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._end, selectors.EVENT_READ)
        self._watch(process.stdout, selectors.EVENT_READ)
        self._watch(process.stderr, selectors.EVENT_READ)
        self._watch(process.stdin, selectors.EVENT_WRITE)

    def exchange(self, timeout: float) -> Iterator[tuple[int, bytes]]:
        """Wait up to ``timeout`` seconds for one of them and move what can be moved."""
        ready = {key.fileobj for key, _ in self._selector.select(timeout)}
        if self._process.stdin in ready:
            self._feed(self._process.stdin)
        if self._end in ready:
            self._process.wait()
            self.has_ended = True
        for number, stream in ((_STDOUT, self._process.stdout), (_STDERR, self._process.stderr)):
            if stream in ready or self.has_ended:
                yield from ((number, chunk) for chunk in self._drain(stream))

    def close(self) -> None:
        """Kill what is left of the process and its group, and close everything."""
        if not self.has_ended:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._selector.close()
        os.close(self._end)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _watch(self, stream: IO[bytes] | None, event: int) -> None:
        if stream is not None:
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, event)

    def _feed(self, stdin: IO[bytes] | None) -> None:
        if stdin is None or self._source is None:
            return
        if not self._pending:
            self._pending = memoryview(next(self._source, b""))
        try:
            self._pending = self._pending[stdin.write(self._pending) or 0 :] if self._pending else self._finish(stdin)
        except BrokenPipeError:
            self._finish(stdin)  # the command ended early: its status and its stderr say why

    def _finish(self, stdin: IO[bytes]) -> memoryview:
        self._selector.unregister(stdin)
        with suppress(BrokenPipeError):
            stdin.close()
        return memoryview(b"")

    def _drain(self, stream: IO[bytes] | None) -> Iterator[bytes]:
        """Yield what can be read now; all of it once the process has ended."""
        while stream is not None and not stream.closed and (chunk := stream.read(CHUNK)) is not None:
            if not chunk:
                self._selector.unregister(stream)
                stream.close()
                return
            yield chunk
            if not self.has_ended:
                return


def _pump(chunks: Iterator[bytes], descriptor: int) -> None:
    # that the command ended early: its status and its stderr say why
    with suppress(BrokenPipeError), open(descriptor, "wb", buffering=0) as pipe:
        for chunk in chunks:
            rest = memoryview(chunk)
            while rest:
                rest = rest[pipe.write(rest) :]


def _stdout_of(flow: Iterator[tuple[int, bytes]], stderr: Tail) -> Iterator[bytes]:
    for number, chunk in flow:
        if number == _STDOUT:
            yield chunk
        else:
            stderr.add(chunk)


def _status(process: subprocess.Popen[bytes]) -> int:
    """Return the exit status as a shell tells it: 128 + n for signal n."""
    return 128 - process.returncode if process.returncode < 0 else process.returncode
