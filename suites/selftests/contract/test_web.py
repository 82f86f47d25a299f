"""The one HTTP client: it answers like any other, and never later than its deadline."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from redrill.machine.web import UNANSWERED, get
from redrill.model.deadline import Deadline
from selftests.support.dripping import dripping_server


def brief() -> Deadline:
    return Deadline.after(0.3)


@pytest.fixture
def port() -> Iterator[int]:
    """The port of a server that answers in chunks with the path that it was asked for."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send_response(203)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(f"{len(self.path):x}\r\n{self.path}\r\n0\r\n\r\n".encode())

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def test_status_and_body_are_returned(port: int) -> None:
    assert get("127.0.0.1", port, "/a?b=c", Deadline.after(5), most=100) == (203, b"/a?b=c")
    assert get("127.0.0.1", port, "/a?b=c", Deadline.after(5), most=2) == (203, b"/a")
    assert get("localhost", port, "/", Deadline.after(5)) == (203, b"")


@pytest.mark.parametrize(
    ("head", "drop"),
    [(b"", b"H"), (b"HTTP/1.0 200 OK\r\nX: ", b"x"), (b"HTTP/1.0 200 OK\r\n\r\n", b"x")],
    ids=["status", "headers", "body"],
)
def test_a_server_that_drips_has_not_answered_in_time(head: bytes, drop: bytes) -> None:
    with dripping_server(head, drop) as port, pytest.raises(TimeoutError):
        get("127.0.0.1", port, "/", brief(), most=1 << 20)


def test_a_server_that_drips_its_handshake_has_not_answered_in_time() -> None:
    with dripping_server(b"\x16\x03\x03\x40\x00", b"\0") as port, pytest.raises(TimeoutError):
        get("127.0.0.1", port, "/", brief(), is_tls=True)


def test_no_time_left_asks_nothing(port: int) -> None:
    with pytest.raises(TimeoutError, match="no whole answer within 0 s"):
        get("127.0.0.1", port, "/", Deadline.after(0))


@pytest.mark.parametrize("answer", [b"", b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.0 two OK\r\n\r\n"])
def test_what_is_no_http_is_no_answer(answer: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def say() -> None:
            client, _ = server.accept()
            with client:
                client.recv(4096)
                client.sendall(answer)

        thread = threading.Thread(target=say)
        thread.start()
        with pytest.raises(UNANSWERED):
            get("127.0.0.1", server.getsockname()[1], "/", Deadline.after(5))
        thread.join()


def test_nobody_there_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(UNANSWERED):
        get("127.0.0.1", port, "/", Deadline.after(5))
