"""Locks of all controllers that share a PostgreSQL database."""

import threading
from typing import TYPE_CHECKING, Any

from redrill.drill.locks.protocol import Ownership, digest
from redrill.errors import FleetError, GuardError
from redrill.model.database_url import DatabaseUrl
from redrill.model.values import Value
from redrill.secrets_source import reveal

if TYPE_CHECKING:
    from redrill.drill.locks.advisory import Session


class PostgresqlLocks:
    """An advisory lock for each claim, all in one session of this process, and a row for each ownership.

    A claim belongs to the session that it was made in and ends with it. Not through a pooler that shares sessions
    between clients, such as pgbouncer's transaction mode.
    """

    class Settings(Value):
        """What a fleet file must say: which database."""

        url: DatabaseUrl

    def __init__(self, settings: dict[str, Any]) -> None:
        url = self.Settings.model_validate(settings).url
        self._url = url if isinstance(url, str) else reveal(url)
        self._open = _session_class()
        self._session: Session | None = None
        self._claims: dict[int, Session] = {}
        self._turn = threading.Lock()

    def claim(self, identity: str) -> bool:
        """Take the advisory lock; False when another session has it, or this one: it would get it a second time."""
        with self._turn:
            key = key_of(identity)
            if key in self._claims:
                return False
            session = self._connect()
            if not session.take_lock(key):
                return False
            self._claims[key] = session
            return True

    def is_claimed(self, identity: str) -> bool:
        """Ask the server whether the session of the claim still has the advisory lock."""
        with self._turn:
            session = self._claims.get(key_of(identity))
            return session is not None and not session.is_broken and session.has_lock(key_of(identity))

    def free(self, identity: str) -> None:
        """Give the advisory lock back; the session ends with its last one."""
        with self._turn:
            session = self._claims.pop(key_of(identity), None)
            if session is None or session.is_broken:
                return
            session.drop_lock(key_of(identity))  # first, for the server takes its time to notice that a session ended
            if session not in self._claims.values():
                session.close()

    def read(self, identity: str) -> Ownership | None:
        """Read the row of the endpoint."""
        with self._turn:
            return self._connect().read(key_of(identity))

    def write(self, ownership: Ownership) -> None:
        """Insert or update the row of the endpoint, in the session of the claim and no other."""
        with self._turn:
            session = self._claims.get(key_of(ownership.identity))
            if session is None or session.is_broken:
                raise GuardError(f"The claim on endpoint '{ownership.endpoint}' ended with its database session.")
            session.write(key_of(ownership.identity), ownership)

    def _connect(self) -> "Session":
        if self._session is None or self._session.is_broken:
            self._session = self._open(self._url)
        return self._session


def key_of(identity: str) -> int:
    """Return the signed 64 bits that stand for an endpoint among the advisory locks."""
    return int.from_bytes(digest(identity)[:8], "big", signed=True)


def _session_class() -> "type[Session]":
    try:
        from redrill.drill.locks.advisory import Session  # noqa: PLC0415 - an extra that most fleets do without
    except ImportError as error:
        raise FleetError(
            f"Locks of the kind 'postgresql' need what is not installed ({error}): pip install 'redrill[postgresql]'."
        ) from error
    return Session
