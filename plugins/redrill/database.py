"""A PostgreSQL database that several controllers share: how it is reached, and never waited for; needs the extra."""

import os
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg  # noqa: F401 - the driver that the URL will ask for: its absence must show when this is imported
from sqlalchemy import Connection, create_engine
from sqlalchemy.engine import Engine, make_url
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from redrill.errors import FleetError
from redrill.redaction import register

_CLIENT = {"connect_timeout": 10, "keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}


def engine_of(url: str, key: str, options: Mapping[str, Any]) -> Engine:
    """Return what connects, with no pool; FleetError, without the URL and its password, when it is none of PostgreSQL.

    ``key`` is that of the fleet file, ``options`` are those of the engine.
    """
    try:
        parsed = make_url(url)
    except ArgumentError:
        parsed = None
    if parsed is None or parsed.get_backend_name() != "postgresql":
        raise FleetError(f"The 'url' of '{key}' is none of a database: write 'postgresql://USER@HOST/DATABASE'.")
    if parsed.password:
        register(parsed.password)
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        poolclass=NullPool,
        connect_args={**_CLIENT, "application_name": "redrill"},
        **options,
    )


@contextmanager
def watched(connection: Connection, seconds: float) -> Iterator[None]:
    """Shut the connection down from outside when no answer comes: the driver itself waits for ever."""
    timer = threading.Timer(seconds, _shut_down, [connection])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(connection: Connection) -> None:
    driver: Any = connection.connection.driver_connection
    with suppress(OSError), socket.socket(fileno=os.dup(driver.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)


def first_line(error: SQLAlchemyError) -> str:
    """Return what the server or the driver says, without the statement."""
    return str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
