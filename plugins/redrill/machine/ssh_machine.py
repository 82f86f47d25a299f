"""A live endpoint over SSH: one connection, one persistent shell, streams on channels of their own."""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol, TypeVar

from redrill.errors import HostKeyError, MachineError
from redrill.machine.host_keys import OtherKeyError, UnpinnedHostError, pin_lines
from redrill.machine.protocol import Result
from redrill.machine.session import RefusedChannelError, SshSession
from redrill.machine.shell import Shell
from redrill.machine.ssh_client_config import write_client_config
from redrill.machine.ssh_config import resolve_hops
from redrill.machine.stream import StreamedCommand
from redrill.machine.streams import read_chunks
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Ssh
from redrill.model.record import Location

_BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
T = TypeVar("T")


class Lock(Protocol):
    """What the two kinds of locks have in common."""

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Take the lock; False when the time is up."""

    def release(self) -> None:
        """Give it back."""


class SshMachine:
    """A real system behind SSH; connects when it is first used, and is safe to use from several threads.

    Commands of ``run`` and ``batch`` take turns in one shell. A connection that is found dead *before* a command was
    sent is made anew; one that breaks later raises MachineError, for nobody knows how far the command came. Make a
    new machine after every event in the life of the endpoint (rebuild, reboot, restored host keys).
    """

    def __init__(self, name: str, ssh: Ssh, location: Location) -> None:
        self.name = name
        self.root = ""
        self.has_init = True
        self._ssh = ssh
        self._location = location
        self._sessions: list[SshSession] = []
        self._shell: Shell | None = None
        self._shell_lock = threading.Lock()
        self._session_lock = threading.RLock()
        self._is_closed = False

    def connect(self, deadline: Deadline) -> None:
        """Connect and log in now; HostKeyError before anything is sent to a host with another key."""
        with self._held(self._session_lock, deadline):
            self._alive_sessions(deadline)

    def run(self, command: str, deadline: Deadline) -> Result:
        """Run one command to its end, without standard input."""
        return self.batch([command], deadline)[0]

    def batch(self, commands: Sequence[str], deadline: Deadline) -> list[Result]:
        """Run commands one after another in a single round trip; each has its own result, whatever the others did."""
        if not commands:
            return []
        with self._held(self._shell_lock, deadline):
            if self._shell is None or not self._shell.is_alive:
                self._shell = self._open(lambda session: Shell(self.name, session, deadline), deadline)
            return self._shell.execute(commands, deadline)

    def send(self, command: str, source: Iterator[bytes] | BinaryIO, deadline: Deadline) -> Result:
        """Run a command with ``source``, which is read in the caller's thread, as its standard input.

        When the command ends before it has read everything, the rest is not read and its result is returned.
        """
        return self._open_stream(command, deadline, has_input=True).feed(read_chunks(source))

    @contextmanager
    def receive(
        self, command: str, deadline: Deadline, source: Iterator[bytes] | BinaryIO | None = None
    ) -> Iterator[Iterator[bytes]]:
        """Run a command and stream its standard output; leaving raises CommandError unless it ended with 0.

        What was not read is thrown away on leaving; an exception inside the context kills the command.
        """
        stream = self._open_stream(command, deadline, has_input=source is not None)
        with stream.drain(None if source is None else read_chunks(source)) as chunks:
            yield chunks

    def write_client_config(self, folder: Path) -> str:
        """Write what has OpenSSH's client reach the endpoint just so, and return the name to reach it by."""
        return write_client_config(resolve_hops(self.name, self._ssh, self._location), folder)

    def close(self) -> None:
        """Drop every connection, whatever runs on it; safe to call twice. The machine cannot be used again."""
        self._is_closed = True
        for session in list(self._sessions):
            session.close()

    def _open_stream(self, command: str, deadline: Deadline, *, has_input: bool) -> StreamedCommand:
        return self._open(
            lambda session: StreamedCommand(self.name, command, session, deadline, has_input=has_input), deadline
        )

    def _open(self, start: Callable[[SshSession], T], deadline: Deadline) -> T:
        """Start something on the first session that has room for it; on a new one when none has (MaxSessions)."""
        with self._held(self._session_lock, deadline):
            for is_last_try in (False, True):
                is_full = False
                for session in self._alive_sessions(deadline):
                    try:
                        return start(session)
                    except RefusedChannelError:
                        is_full = True
                    except MachineError:
                        # a connection that dies now has carried nothing yet: once, it is made anew
                        if session.is_alive or is_last_try or deadline.is_over:
                            raise
                if is_full and not is_last_try:
                    self._add_session(deadline)
        raise MachineError(f"'{self.name}' refuses further sessions, even on {len(self._sessions)} connections.")

    def _alive_sessions(self, deadline: Deadline) -> list[SshSession]:
        """Return the sessions that are up, newest first, and at least one."""
        for session in self._sessions:
            if not session.is_alive:
                session.close()
        self._sessions = [session for session in self._sessions if session.is_alive]
        if not self._sessions:
            self._add_session(deadline)
        return self._sessions[::-1]

    def _add_session(self, deadline: Deadline) -> None:
        session = SshSession(self.name, resolve_hops(self.name, self._ssh, self._location), deadline)
        self._sessions.append(session)
        if self._is_closed:
            session.close()

    @contextmanager
    def _held(self, lock: Lock, deadline: Deadline) -> Iterator[None]:
        if self._is_closed:
            raise MachineError(f"The machine '{self.name}' was closed; make a new one.")
        if not lock.acquire(timeout=deadline.remaining):
            raise MachineError(f"'{self.name}' was busy with other commands for {deadline.budget:.3g} s.")
        try:
            yield
        finally:
            lock.release()


class OldBootError(MachineError):
    """What answers is the boot that should be gone."""


@dataclass(frozen=True, slots=True)
class OldBoot:
    """The boot that should be gone: its id, its host keys (none: not known), and how many seconds it may still answer.

    Until then it is waited out. After that, or when it shows a key of neither boot, something else is wrong.
    """

    boot_id: str
    host_keys: tuple[str, ...] = ()
    grace: float = math.inf

    def may_show(self, error: HostKeyError) -> bool:
        """Whether the old boot can be what showed a key that is not the pinned one."""
        if not (self.host_keys and isinstance(error, OtherKeyError)):
            return True
        return error.shown in pin_lines(self.host_keys, "the old boot", "its location").accepted


def wait_for_ssh(make: Callable[[], SshMachine], deadline: Deadline, old: OldBoot | None = None) -> SshMachine:
    """Return a connected machine as soon as one answers with another boot id than that of the old boot.

    Another host key than the pinned one is final (HostKeyError), and so is the old boot (OldBootError), unless the old
    boot may still answer. Raises MachineError with the last reason at the deadline.
    """
    budgets = iter((1.0, 2.0, 4.0, 8.0))
    reasons: list[MachineError] = []
    patience = Deadline.after(old.grace if old else 0.0)

    def is_up(is_last_try: bool) -> SshMachine | None:
        if is_last_try and reasons:
            raise _waited_in_vain(reasons[-1], deadline)
        machine = make()
        # What answers while a system goes down may never finish the handshake: such a try must not eat the deadline.
        try:
            return _connected(machine, deadline.within(next(budgets, 15.0)), old)
        except MachineError as error:
            machine.close()
            is_of_old = old is not None and not patience.is_over and _is_of_old(old, error)
            if is_last_try or (isinstance(error, HostKeyError | OldBootError) and not is_of_old):
                raise
            if not (reasons and deadline.is_over):  # a try that was cut short knows less than the one before it
                reasons.append(error)
        return None

    return wait_until(is_up, deadline, interval=0.02)


def _is_of_old(old: OldBoot, error: MachineError) -> bool:
    if isinstance(error, UnpinnedHostError):
        return False
    return isinstance(error, OldBootError) or (isinstance(error, HostKeyError) and old.may_show(error))


def _connected(machine: SshMachine, deadline: Deadline, old: OldBoot | None) -> SshMachine:
    machine.connect(deadline)
    boot_id = machine.run(_BOOT_ID, deadline).checked().text
    if old and boot_id == old.boot_id:
        raise OldBootError(f"'{machine.name}' still answers from the boot {boot_id} that should be gone.")
    return machine


def _waited_in_vain(reason: MachineError, deadline: Deadline) -> MachineError:
    kind = HostKeyError if isinstance(reason, HostKeyError) else MachineError
    error = kind(f"Waited {deadline.budget:.3g} s for a new boot that answers. {reason}")
    error.__cause__ = reason
    return error
