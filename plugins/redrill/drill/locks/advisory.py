"""One session of PostgreSQL that holds advisory locks and keeps the table of ownerships; needs the extra."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from sqlalchemy import BigInteger, Column, DateTime, Executable, MetaData, Table, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.engine import CursorResult
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import Text

from redrill.database import engine_of, first_line, watched
from redrill.drill.locks.protocol import Ownership, digest
from redrill.errors import GuardError

ANSWER_SECONDS = 15.0
"""A server that has not answered for so long counts as gone, also when its machine keeps the connection open."""

_TABLE = Table(
    "redrill_locks",
    MetaData(),
    Column("key", BigInteger, primary_key=True, autoincrement=False),
    Column("identity", Text, nullable=False),
    Column("endpoint", Text, nullable=False),
    Column("run", Text, nullable=False),
    Column("holder", Text, nullable=False),
    Column("since", DateTime(timezone=True), nullable=False),
    Column("released", DateTime(timezone=True)),
    Column("recovery", Text, nullable=False),
    Column("note", Text, nullable=False),
)
_TABLE_KEY = int.from_bytes(digest("the table redrill_locks")[:8], "big", signed=True)

_TAKE = text("SELECT pg_try_advisory_lock(:key)")
_DROP = text("SELECT pg_advisory_unlock(:key)")
_HAS = text(
    "SELECT EXISTS (SELECT FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database"
    " WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND datname = current_database() AND granted"
    " AND objsubid = 1 AND CAST(classid AS bigint) = (CAST(:key AS bigint) >> 32) & 4294967295"
    " AND CAST(objid AS bigint) = CAST(:key AS bigint) & 4294967295)"
)

_SERVER = (
    # A controller that lost its power holds its locks until the server notices, by default after two hours.
    *("SET tcp_keepalives_idle = 10", "SET tcp_keepalives_interval = 5", "SET tcp_keepalives_count = 3"),
    # What a setting of the server or the role says must neither end the session nor hold up a drill.
    *("SET statement_timeout = '10s'", "SET lock_timeout = '10s'"),
    "SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'idle_session_timeout'",
    # An ownership that is only promised to the disk is none.
    "SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'",
)


class Session:
    """A connection that is never renewed; every method raises GuardError when the server fails, and it is broken."""

    def __init__(self, url: str) -> None:
        self.is_broken = False
        with _translated():
            self._connection = engine_of(url, "locks", {"isolation_level": "AUTOCOMMIT"}).connect()
        for statement in _SERVER:
            self._execute(text(statement))
        self._make_table()

    def take_lock(self, key: int) -> bool:
        """Take an advisory lock for the session; False when another session has it."""
        return bool(self._execute(_TAKE, {"key": key}).scalar_one())

    def has_lock(self, key: int) -> bool:
        """Whether the server says that this session has the lock."""
        return bool(self._execute(_HAS, {"key": key}).scalar_one())

    def drop_lock(self, key: int) -> None:
        """Give one lock back."""
        self._execute(_DROP, {"key": key})

    def read(self, key: int) -> Ownership | None:
        """Return the row of a key."""
        row = self._execute(select(_TABLE).where(_TABLE.c.key == key)).mappings().first()
        return None if row is None else Ownership.model_validate({k: v for k, v in row.items() if k != "key"})

    def write(self, key: int, ownership: Ownership) -> None:
        """Insert or replace the row of a key."""
        values = dict(ownership)
        insertion = insert(_TABLE).values(key=key, **values)
        self._execute(insertion.on_conflict_do_update(index_elements=["key"], set_=values))

    def close(self) -> None:
        """End the session, and with it all its locks."""
        self.is_broken = True
        with suppress(SQLAlchemyError):
            self._connection.close()

    def _make_table(self) -> None:
        """Create the table unless it is there; two controllers may want to at the same moment."""
        self._execute(text("SELECT pg_advisory_lock(:key)"), {"key": _TABLE_KEY})
        with self._trouble(), watched(self._connection, ANSWER_SECONDS):
            _TABLE.create(self._connection, checkfirst=True)
        self.drop_lock(_TABLE_KEY)

    def _execute(self, statement: Executable, values: dict[str, Any] | None = None) -> CursorResult[Any]:
        with self._trouble(), watched(self._connection, ANSWER_SECONDS):
            return self._connection.execute(statement, values)

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            with _translated():
                yield
        except GuardError:
            self.close()  # an open session would go on holding what its process gave up
            raise


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except SQLAlchemyError as error:
        raise GuardError(f"The locks in PostgreSQL cannot be used: {first_line(error)}") from None
