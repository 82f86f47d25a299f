"""One HTTP GET that ends in time: its deadline is that of the whole exchange, however slowly the server drips."""

import http.client
import io
import socket
import ssl
from dataclasses import dataclass
from email.message import Message
from functools import lru_cache
from pathlib import Path

from redrill.model.deadline import Deadline

UNANSWERED = (OSError, http.client.HTTPException)
"""What ``get`` raises when there is no answer: no connection, no time left, or what comes is no HTTP."""


@dataclass(frozen=True, slots=True)
class Page:
    """What a GET is sent to: ``name`` is asked for, and must be in the certificate, in the place of ``host``.

    With TLS the certificate must be trusted by this machine, or by the file ``ca`` (PEM) alone.
    """

    host: str
    port: int
    path: str
    is_tls: bool = False
    name: str | None = None
    ca: Path | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """The status, the headers (asked for in any case) and the first bytes of the body."""

    status: int
    headers: Message
    body: bytes


def get(
    host: str, port: int, path: str, deadline: Deadline, *, is_tls: bool = False, most: int = 0
) -> tuple[int, bytes]:
    """Return the status and up to ``most`` bytes of the body; one of UNANSWERED when they are not there in time.

    With TLS the server must show a certificate that this machine trusts. To look up a name takes the resolver its time.
    """
    answer = fetch(Page(host, port, path, is_tls), deadline, most=most)
    return answer.status, answer.body


def fetch(page: Page, deadline: Deadline, *, most: int = 0, knock: float | None = None) -> Answer:
    """Return the answer with up to ``most`` bytes of the body; one of UNANSWERED when it is not there in time.

    ``knock`` is how many seconds the connection alone may take, where that is less than all that is left.
    """
    connection = http.client.HTTPConnection(page.host, page.port)
    stream = _connect(page.host, page.port, deadline, knock)
    try:
        stream = _encrypt(stream, page, deadline) if page.is_tls else stream
        connection.sock = _Timely(stream, deadline)
        connection.request("GET", page.path, headers={"Host": _spell_host(page), "Connection": "close"})
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read(most) if most else b"")
    finally:
        stream.close()


def _spell_host(page: Page) -> str:
    name = page.name or page.host
    name = f"[{name}]" if ":" in name else name
    return name if page.port == (443 if page.is_tls else 80) else f"{name}:{page.port}"


def _connect(host: str, port: int, deadline: Deadline, knock: float | None) -> socket.socket:
    error = OSError(f"'{host}' has no address")
    for family, sort, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        stream = socket.socket(family, sort, protocol)
        try:
            stream.settimeout(min(_left(deadline), knock or _left(deadline)))
            stream.connect(address)
        except OSError as caught:
            stream.close()
            error = caught
        else:
            return stream
    raise error


def _encrypt(stream: socket.socket, page: Page, deadline: Deadline) -> ssl.SSLSocket:
    context = _context(page.ca)
    stream.settimeout(_left(deadline))  # of a socket's time-out, a handshake as a whole is one operation
    return context.wrap_socket(stream, server_hostname=page.name or page.host)


@lru_cache(maxsize=64)
def _context(ca: Path | None) -> ssl.SSLContext:
    """Return what checks certificates; once, for to read all that this machine trusts takes longer than to ask."""
    context = ssl.create_default_context(cafile=ca)
    context.set_alpn_protocols(["http/1.1"])
    return context


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
