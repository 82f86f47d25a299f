"""Real servers on loopback for the questions of health checks; each ends with its test."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from redrill.model.deadline import Deadline, wait_until

REDIS_PASSWORD = "pw-7d31-loopback-only"  # noqa: S105 - of a server that lives as long as its tests


@contextmanager
def running_redis(folder: Path) -> Iterator[int]:
    """Run a Redis with a password; yield its port."""
    port = free_port(socket.SOCK_STREAM)
    options = ["--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    with _running(["redis-server", *options, "--requirepass", REDIS_PASSWORD], port):
        yield port


@contextmanager
def running_name_server(record: str) -> Iterator[int]:
    """Run a name server that knows one name, as dnsmasq says it: '/shop.example/198.18.0.1'; yield its port."""
    port = free_port(socket.SOCK_STREAM)
    options = [f"--port={port}", f"--address={record}", "--listen-address=127.0.0.1", "--bind-interfaces"]
    quiet = [
        "--no-daemon",
        "--no-resolv",
        "--no-hosts",
        "--conf-file=/dev/null",
        "--user=root",
        f"--local={record[: record.rindex('/') + 1]}",
    ]
    with _running(["dnsmasq", *quiet, *options], port):
        yield port


@contextmanager
def running_web_server(certificate: tuple[Path, Path] | None = None) -> Iterator[int]:
    """Run a web server that tells under which name it was asked; yield its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(503 if self.path == "/broken" else 200)
            self.send_header("X-Served-By", "shop 7")
            self.end_headers()
            self.wfile.write(f"asked as {self.headers['Host']}".encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server.server_port
        server.shutdown()
        thread.join()


def free_port(sort: int) -> int:
    """Return a port of loopback that nobody uses."""
    with closing(socket.socket(socket.AF_INET, sort)) as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def _running(command: list[str], port: int) -> Iterator[None]:
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:

        def answers(is_last_try: bool) -> bool | None:
            if process.poll() is not None:
                raise RuntimeError(f"{command[0]} ended: {process.stderr.read().decode() if process.stderr else ''}")
            with closing(socket.socket()) as stream:
                return True if stream.connect_ex(("127.0.0.1", port)) == 0 or is_last_try else None

        try:
            wait_until(answers, Deadline.after(10))
            yield
        finally:
            process.kill()
