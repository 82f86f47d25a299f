"""One HTTP GET that ends in time: its deadline is that of the whole exchange, however slowly the server drips."""

import http.client
import io
import socket
import ssl

from redrill.model.deadline import Deadline

UNANSWERED = (OSError, http.client.HTTPException)
"""What ``get`` raises when there is no answer: no connection, no time left, or what comes is no HTTP."""


def get(
    host: str, port: int, path: str, deadline: Deadline, *, is_tls: bool = False, most: int = 0
) -> tuple[int, bytes]:
    """Return the status and up to ``most`` bytes of the body; one of UNANSWERED when they are not there in time.

    With TLS the server must show a certificate that this machine trusts. To look up a name takes the resolver its time.
    """
    kind = http.client.HTTPSConnection if is_tls else http.client.HTTPConnection
    connection = kind(host, port)
    stream = _connect(host, port, deadline)
    try:
        stream = _encrypt(stream, host, deadline) if is_tls else stream
        connection.sock = _Timely(stream, deadline)
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(most) if most else b""
    finally:
        stream.close()


def _connect(host: str, port: int, deadline: Deadline) -> socket.socket:
    error = OSError(f"'{host}' has no address")
    for family, sort, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        stream = socket.socket(family, sort, protocol)
        try:
            stream.settimeout(_left(deadline))
            stream.connect(address)
        except OSError as caught:
            stream.close()
            error = caught
        else:
            return stream
    raise error


def _encrypt(stream: socket.socket, host: str, deadline: Deadline) -> ssl.SSLSocket:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    stream.settimeout(_left(deadline))  # of a socket's time-out, a handshake as a whole is one operation
    return context.wrap_socket(stream, server_hostname=host)


def _left(deadline: Deadline) -> float:
    if deadline.is_over:
        raise TimeoutError(f"no whole answer within {deadline.budget:g} s")
    return deadline.remaining


class _Timely(io.RawIOBase):
    """The part of a socket that ``http.client`` uses; no operation may take longer than what is left of the deadline.

    The time-out of a plain socket begins anew with every byte that arrives.
    """

    def __init__(self, stream: socket.socket, deadline: Deadline) -> None:
        self._stream = stream
        self._deadline = deadline

    def makefile(self, _mode: str) -> io.BufferedReader:
        """Return what the response is read from."""
        return io.BufferedReader(self)

    def close(self) -> None:
        """Leave the socket to its owner: ``http.client`` closes before the body is read."""

    def sendall(self, request: bytes) -> None:
        """Send the whole request."""
        self._stream.settimeout(_left(self._deadline))
        self._stream.sendall(request)

    def readable(self) -> bool:
        """Say yes."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # a reader gives no other buffer
        """Read what is there, waiting for the first byte of it."""
        self._stream.settimeout(_left(self._deadline))
        return self._stream.recv_into(buffer)
