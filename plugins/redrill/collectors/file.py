"""A log sink that is a file of lines 'HOSTNAME BOOT-ID MESSAGE': what endpoints that are directories log to."""

import time
from collections.abc import Sequence
from pathlib import Path

from redrill.collectors.protocol import Arrival, Reach
from redrill.errors import MachineError
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.values import Value

_RECENT_SECONDS = 3600


class FileCollector:
    """Reads the file; a missing file is an unreachable sink."""

    class Settings(Value):
        """Where the file is."""

        path: Path

    def __init__(self, _fleet: Fleet, endpoint: Endpoint, _reach: Reach) -> None:
        self._path = self.Settings.model_validate(endpoint.log_sink.settings if endpoint.log_sink else {}).path

    def find(self, nonces: Sequence[str], _deadline: Deadline) -> list[Arrival]:
        """Return each line that contains one of the nonces."""
        rows = (line.split(" ", 2) for line in self._lines())
        return [Arrival(nonce, row[0], row[1]) for row in rows if len(row) == 3 for nonce in nonces if nonce in row[2]]

    def boots_seen(self, hostname: str, _deadline: Deadline) -> set[str]:
        """Return the boot ids of a host's lines, none when nothing was written for an hour."""
        if self._path.exists() and time.time() - self._path.stat().st_mtime > _RECENT_SECONDS:
            return set()
        rows = (line.split(" ", 2) for line in self._lines())
        return {row[1] for row in rows if len(row) == 3 and row[0] == hostname}

    def close(self) -> None:
        """Keep nothing open."""

    def _lines(self) -> list[str]:
        try:
            return self._path.read_text(encoding="utf-8", errors="replace").splitlines()
        except OSError as error:
            raise MachineError(f"The log sink '{self._path}' cannot be read: {error.strerror}.") from error
