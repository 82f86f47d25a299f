"""The table of measurements, the same in SQLite and in PostgreSQL."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    DateTime,
    Dialect,
    Double,
    MetaData,
    Select,
    Table,
    Text,
    TypeDecorator,
    inspect,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.schema import CreateTable

from redrill.model.measurement import Measurement
from redrill.redaction import redact_value


class _Moment(TypeDecorator[datetime]):
    """A moment in UTC; SQLite forgets time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return value and value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        del dialect
        return value and (value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC))


_JSON = JSON().with_variant(postgresql.JSONB(), "postgresql")
_ROWS = Table(
    "redrill_recoveries",
    MetaData(),
    Column("run", Text, primary_key=True),
    Column("fleet", Text, primary_key=True),
    Column("endpoint", Text, primary_key=True),
    Column("application", Text, primary_key=True),
    Column("mode", Text, nullable=False),
    Column("image", Text, nullable=False),
    Column("began", _Moment, nullable=False),
    Column("recovered_after", Double),
    Column("downtime", Double),
    Column("held", Double, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("is_interrupted", Boolean, nullable=False),
    Column("phases", _JSON, nullable=False),
    Column("losses", _JSON, nullable=False),
)
_INSERTS = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}
_ALONE = text("SELECT pg_advisory_xact_lock(hashtext('redrill_recoveries'))")


class Measurements:
    """The table behind a connection whose transaction is the caller's."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Insert what is not there yet; makes the table, which two controllers may want to at the same moment."""
        kind = self._connection.dialect.name
        if kind == "postgresql":
            self._connection.execute(_ALONE)
        self._connection.execute(CreateTable(_ROWS, if_not_exists=True))
        if measurements:
            insert: Any = _INSERTS[kind](_ROWS)
            self._connection.execute(insert.on_conflict_do_nothing(), [_row_of(each) for each in measurements])

    def history(self, fleet: str, endpoint: str | None) -> list[Measurement]:
        """Return the rows of a fleet, the oldest first."""
        query = select(_ROWS).where(_ROWS.c.fleet == fleet).order_by(_ROWS.c.began, _ROWS.c.run)
        return self._read(query if endpoint is None else query.where(_ROWS.c.endpoint == endpoint))

    def earlier(self, like: Measurement, most: int) -> list[Measurement]:
        """Return the newest rows before one that are comparable with it."""
        same = {"fleet": like.fleet, "endpoint": like.endpoint, "application": like.application, "mode": like.mode}
        query = (
            select(_ROWS)
            .where(*(_ROWS.c[name] == value for name, value in same.items()))
            .where(_ROWS.c.began < like.began, _ROWS.c.recovered_after.is_not(None), _ROWS.c.is_interrupted.is_(False))
            .order_by(_ROWS.c.began.desc(), _ROWS.c.run.desc())
            .limit(most)
        )
        return self._read(query)

    def _read(self, query: Select[Any]) -> list[Measurement]:
        if not inspect(self._connection).has_table(_ROWS.name):
            return []
        return [Measurement.model_validate(dict(row)) for row in self._connection.execute(query).mappings()]


def _row_of(measurement: Measurement) -> dict[str, Any]:
    row: dict[str, Any] = redact_value(measurement.model_dump(mode="json"))
    return {**row, "began": measurement.began}
