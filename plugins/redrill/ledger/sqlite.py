"""The ledger of one controller: a file of SQLite."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redrill.errors import RedrillError
from redrill.model.measurement import Measurement
from redrill.model.values import Value

if TYPE_CHECKING:
    from redrill.ledger.table import Measurements

FILE = "ledger.sqlite"
_BUSY_SECONDS = 15.0


class SqliteLedger:
    """A file that only its owner may read; by default beside the folder of all runs."""

    class Settings(Value):
        """What a fleet file may say: which file, on a local disk."""

        path: Path | None = None

    def __init__(self, settings: dict[str, Any], reports: Path) -> None:
        self._file = self.Settings.model_validate(settings).path or reports / FILE

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Insert rows, into a new file where there is none."""
        with self._open(is_new=not self._file.exists()) as table:
            table.append(measurements)

    def history(self, fleet: str, endpoint: str | None = None) -> list[Measurement]:
        """Return rows; none where there is no file."""
        if not self._file.exists():
            return []
        with self._open() as table:
            return table.history(fleet, endpoint)

    def earlier(self, like: Measurement, most: int) -> list[Measurement]:
        """Return rows; none where there is no file."""
        if not self._file.exists():
            return []
        with self._open() as table:
            return table.earlier(like, most)

    @contextmanager
    def _open(self, *, is_new: bool = False) -> "Iterator[Measurements]":
        from sqlalchemy import URL, create_engine  # noqa: PLC0415 - only a run that has drilled needs it
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - as above
        from sqlalchemy.pool import NullPool  # noqa: PLC0415 - as above

        from redrill.ledger.table import Measurements  # noqa: PLC0415 - as above

        url = URL.create("sqlite+pysqlite", database=str(self._file))
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": _BUSY_SECONDS})
        try:
            if is_new:
                self._file.parent.mkdir(parents=True, exist_ok=True)
                os.close(os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600))
            with engine.begin() as connection:
                yield Measurements(connection)
        except (SQLAlchemyError, OSError, ValueError) as error:
            why = str(getattr(error, "orig", None) or error).partition("\n")[0]
            raise RedrillError(
                f"The ledger '{self._file}' cannot be used: {why}. Mend it, or move it away to begin anew."
            ) from error
