"""The ledger of all controllers that share a PostgreSQL database."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redrill.errors import FleetError, RedrillError
from redrill.model.database_url import DatabaseUrl
from redrill.model.measurement import Measurement
from redrill.model.values import Value
from redrill.secrets_source import reveal

if TYPE_CHECKING:
    from redrill.ledger.table import Measurements

ANSWER_SECONDS = 30.0
"""A server that has not answered for so long is not waited for: the drill is over and wants its verdict."""


class PostgresqlLedger:
    """A table in a database; each call is a connection and a transaction of its own."""

    class Settings(Value):
        """What a fleet file must say: which database."""

        url: DatabaseUrl

    def __init__(self, settings: dict[str, Any], reports: Path) -> None:
        del reports
        self._url = self.Settings.model_validate(settings).url

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Insert rows; makes the table where there is none."""
        with self._open() as table:
            table.append(measurements)

    def history(self, fleet: str, endpoint: str | None = None) -> list[Measurement]:
        """Return rows."""
        with self._open() as table:
            return table.history(fleet, endpoint)

    def earlier(self, like: Measurement, most: int) -> list[Measurement]:
        """Return rows."""
        with self._open() as table:
            return table.earlier(like, most)

    @contextmanager
    def _open(self) -> "Iterator[Measurements]":
        try:
            from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - only a run that has drilled needs it

            from redrill.database import engine_of, first_line, watched  # noqa: PLC0415 - an extra
            from redrill.ledger.table import Measurements  # noqa: PLC0415 - as above
        except ImportError as error:
            raise FleetError(
                f"A ledger of the kind 'postgresql' needs what is not installed ({error}): "
                "pip install 'redrill[postgresql]'."
            ) from error
        url = self._url if isinstance(self._url, str) else reveal(self._url)
        try:
            with (
                engine_of(url, "ledger", {}).connect() as connection,
                watched(connection, ANSWER_SECONDS),
                connection.begin(),
            ):
                yield Measurements(connection)
        except (SQLAlchemyError, ValueError) as error:
            why = first_line(error) if isinstance(error, SQLAlchemyError) else error
            raise RedrillError(f"The ledger in PostgreSQL cannot be used: {why}") from None
