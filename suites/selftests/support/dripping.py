"""A server that never stops answering: a byte, and after a moment another one."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redrill.model.deadline import pause

INTERVAL = 0.05


@contextmanager
def dripping_server(head: bytes = b"", drop: bytes = b"x") -> Iterator[int]:
    """Yield the port of a server on loopback that answers with ``head``, and then with drops for ever."""
    is_over = threading.Event()

    def drip(client: socket.socket) -> None:
        with client, suppress(OSError):
            client.recv(4096)
            client.sendall(head)
            while not is_over.is_set():
                client.sendall(drop)
                pause(INTERVAL)

    def serve(server: socket.socket) -> None:
        with suppress(OSError):
            while not is_over.is_set():
                drip(server.accept()[0])

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=serve, args=(server,))
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            is_over.set()
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
