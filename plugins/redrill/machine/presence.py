"""Whether anybody is at an address, told by the lowest sign of life: that a connection is accepted or refused."""

import socket
from collections.abc import Iterable

_SECONDS = 1.0


def is_taken(addresses: Iterable[str], port: int) -> bool:
    """Whether a host has one of these addresses now; one that drops everything silently is not seen."""
    return any(_answers(address, port) for address in addresses)


def _answers(address: str, port: int) -> bool:
    try:
        socket.create_connection((address, port), timeout=_SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
