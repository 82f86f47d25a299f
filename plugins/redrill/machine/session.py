"""One SSH connection to an endpoint, through its jump hosts, over sockets of its own."""

import itertools
import logging
import socket
import threading
from contextlib import suppress
from typing import Any

import paramiko

from redrill.errors import HostKeyError, MachineError
from redrill.machine.host_keys import HostKey
from redrill.machine.keys import authenticate
from redrill.machine.ssh_config import Hop
from redrill.model.deadline import Deadline

WINDOW = 4 << 20  # what a slow reader may hold per channel; 16 MiB was no faster and cost 40 MB a stream
_MAX_PACKET = 1 << 17
_CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes256-ctr")
_CONNECT_TIMEOUTS = (*(0.06,) * 8, 0.3, *(0.06,) * 8, 1.2)
_KEEPALIVE = 2
_DEAD_AFTER_MS = 15_000
_MAX_CONNECTIONS = 256
_KILL_SECONDS = 1

_LOG = "redrill.machine.ssh"
logging.getLogger(_LOG).setLevel(logging.CRITICAL)  # paramiko logs a traceback for every boot that is waited for
_POOL = threading.BoundedSemaphore(_MAX_CONNECTIONS)


class EagerSocket(socket.socket):
    """A socket that acknowledges what it reads at once, while it is told to.

    Until its first command runs, sshd writes with Nagle's algorithm and waits 40 ms for a delayed acknowledgement.
    """

    is_eager = hasattr(socket, "TCP_QUICKACK")

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Read as any socket does."""
        found = super().recv(size, flags)
        if self.is_eager:
            self.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)
        return found


class JumpSocket:
    """A channel through a jump host in the place of a socket; closing it over a dead jump host is no error."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self.send = channel.send
        self.recv = channel.recv
        self.settimeout = channel.settimeout
        self._channel = channel

    @property
    def _closed(self) -> bool:
        return bool(self._channel.closed)  # paramiko asks its socket by this name

    def shutdown(self, how: int) -> None:
        """End one direction or both."""
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.shutdown(how)

    def close(self) -> None:
        """Close the channel."""
        with suppress(OSError, EOFError, paramiko.SSHException):
            self._channel.close()


class RefusedChannelError(MachineError):
    """The server opens no further session on a connection (MaxSessions)."""


class SshSession:
    """A connection that is up, or was; it never comes back."""

    def __init__(self, name: str, hops: tuple[Hop, ...], deadline: Deadline) -> None:
        """Connect and log in; HostKeyError before anything is sent to a host that shows another key."""
        self._name = name
        self._where = hops[-1].where
        self._sockets: list[EagerSocket | JumpSocket] = []
        self._transports: list[paramiko.Transport] = []  # one for each socket
        self._close_lock = threading.Lock()
        self._is_closed = False
        if not _POOL.acquire(timeout=deadline.remaining):
            raise MachineError(f"No connection to '{name}' was made: {_MAX_CONNECTIONS} are open already.")
        try:
            for hop in hops:
                self._connect(hop, deadline)
        except BaseException:
            self.close()
            raise

    @property
    def is_alive(self) -> bool:
        """Whether the connection is believed to be up."""
        return not self._is_closed and self._transports[-1].is_active()

    def execute(self, command: bytes, deadline: Deadline) -> paramiko.Channel:
        """Start a command on a channel of its own; RefusedChannelError when the server has no room for it."""
        transport = self._transports[-1]
        try:
            channel = transport.open_session(timeout=deadline.remaining)
        except paramiko.ChannelException as error:
            raise RefusedChannelError(
                f"'{self._name}' ({self._where}) refuses a further session on its connection (MaxSessions): {error}"
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise MachineError(f"'{self._name}' ({self._where}) opened no session: {_words(error)}") from error
        # exec_command waits for the answer without a time limit; closing the channel wakes it.
        watchdog = threading.Timer(deadline.remaining, channel.close)
        watchdog.daemon = True
        watchdog.start()
        try:
            channel.exec_command(command)
        except (paramiko.SSHException, EOFError, OSError) as error:
            channel.close()
            raise MachineError(f"'{self._name}' ({self._where}) started no command: {_words(error)}") from error
        finally:
            watchdog.cancel()
        if isinstance(self._sockets[0], EagerSocket):
            self._sockets[0].is_eager = False
        return channel

    def kill(self, group: int) -> None:
        """Kill a process group on the endpoint if that can be done within a second; 0 is none."""
        if group == 0 or not self.is_alive:
            return
        # A channel's own "signal" request would be quicker, but sshd refuses it for root.
        deadline = Deadline.after(_KILL_SECONDS)
        with suppress(MachineError):
            channel = self.execute(b"kill -s KILL -- -%d" % group, deadline)
            channel.status_event.wait(deadline.remaining)
            channel.close()

    def close(self) -> None:
        """Drop the connection and every hop of it; safe to call twice and from any thread."""
        with self._close_lock:
            if self._is_closed:
                return
            self._is_closed = True
        for own_socket, transport in reversed(list(zip(self._sockets, self._transports, strict=True))):
            with suppress(OSError):
                own_socket.shutdown(socket.SHUT_RDWR)  # wakes paramiko's reader at once instead of at its next poll
            transport.close()
            own_socket.close()
        _POOL.release()

    def _connect(self, hop: Hop, deadline: Deadline) -> None:
        algorithms = hop.pins.algorithms(self._name, hop.where)
        own_socket = self._open_socket(hop, deadline)
        like_socket: Any = own_socket  # paramiko takes whatever can send and receive; its type stubs do not
        transport = paramiko.Transport(like_socket, default_window_size=WINDOW, default_max_packet_size=_MAX_PACKET)
        self._sockets.append(own_socket)
        self._transports.append(transport)
        transport.set_log_channel(_LOG)
        options = transport.get_security_options()
        options.ciphers = _CIPHERS
        options.key_types = algorithms
        self._negotiate(transport, hop, deadline)
        shown = transport.get_remote_server_key()
        hop.pins.check(HostKey(shown.get_name(), shown.asbytes()), self._name, hop.where)
        authenticate(transport, self._name, hop, deadline)
        transport.set_keepalive(_KEEPALIVE)

    def _open_socket(self, hop: Hop, deadline: Deadline) -> EagerSocket | JumpSocket:
        if not self._transports:
            return connect_tcp(self._name, hop.host, hop.port, deadline)
        try:
            channel = self._transports[-1].open_channel(
                "direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=deadline.remaining
            )
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise MachineError(
                f"'{self._name}': the jump host could not connect to {hop.where}: {_words(error)}"
            ) from error
        return JumpSocket(channel)

    def _negotiate(self, transport: paramiko.Transport, hop: Hop, deadline: Deadline) -> None:
        transport.banner_timeout = transport.handshake_timeout = deadline.remaining + 1  # beyond our own
        try:
            transport.start_client(timeout=deadline.remaining)
        except paramiko.ssh_exception.IncompatiblePeer as error:
            kind = HostKeyError if "host key" in str(error) else MachineError
            raise kind(
                f"'{self._name}' ({hop.where}) and redrill have nothing in common: {error}. Pinned in "
                f"{hop.pins.source}: {', '.join(str(key) for key in hop.pins.accepted)}. Nothing was sent to it."
            ) from error
        except (paramiko.SSHException, EOFError, OSError) as error:
            if not deadline.is_over:
                raise MachineError(f"'{self._name}' ({hop.where}) did not speak SSH: {_words(error)}") from error
        if not transport.initial_kex_done:
            raise MachineError(
                f"'{self._name}' ({hop.where}) is silent: no SSH handshake within {deadline.budget:.3g} s."
            )


def connect_tcp(name: str, host: str, port: int, deadline: Deadline) -> EagerSocket:
    """Return a connected socket; time-outs are tried again until the deadline, a refusal is final (MachineError).

    Time-outs start at 60 ms, because the kernel repeats a lost SYN only after a second; longer ones among them let
    a host far away answer.
    """
    where = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    for timeout in itertools.cycle(_CONNECT_TIMEOUTS):
        if deadline.is_over:
            break
        try:
            connected = socket.create_connection((host, port), timeout=min(timeout, max(deadline.remaining, 0.001)))
        except TimeoutError:
            continue
        except OSError as error:
            raise MachineError(f"'{name}' ({where}) cannot be reached: {error.strerror or error}.") from error
        own_socket = EagerSocket(connected.family, connected.type, connected.proto, connected.detach())
        _tune(own_socket)
        return own_socket
    raise MachineError(f"'{name}' ({where}) did not answer within {deadline.budget:.3g} s.")


def _tune(connected: socket.socket) -> None:
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        # paramiko's keepalive wants no answer, so a dead peer is only noticed by bytes that nobody acknowledges
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _DEAD_AFTER_MS)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
