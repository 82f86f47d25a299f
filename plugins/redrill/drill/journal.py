"""The write-ahead journal of a run: a fsynced line before and one after every phase, hash-chained."""

import hashlib
import json
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redrill.redaction import redact_value

GENESIS = "0" * 64


class Journal:
    """An append-only file of JSON lines; each holds the sha256 of the line before it. Safe for many threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._previous = _last_digest(path)

    def write(self, event: str, endpoint: str = "", **facts: Any) -> None:
        """Append one event, without secrets; it is on disk when this returns."""
        with self._lock:
            entry = redact_value({"at": datetime.now(UTC).isoformat(), "event": event, "endpoint": endpoint, **facts})
            line = json.dumps(entry | {"previous": self._previous}, sort_keys=True)
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                _append(descriptor, line.encode() + b"\n")
            finally:
                os.close(descriptor)
            self._previous = _digest(line)


def read_journal(path: Path) -> list[dict[str, Any]]:
    """Return the events of a journal; ValueError when a line was changed, dropped or reordered."""
    events, previous = [], GENESIS
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        event = json.loads(line)
        if event["previous"] != previous:
            raise ValueError(f"{path}:{number}: the chain is broken: this line does not follow the one before it.")
        previous = _digest(line)
        events.append(event)
    return events


def _append(descriptor: int, data: bytes) -> None:
    """Append all of the data durably, or nothing: half a line on a full disk would break the chain for ever."""
    end = os.fstat(descriptor).st_size
    try:
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    except OSError:
        os.ftruncate(descriptor, end)
        raise


def _digest(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()


def _last_digest(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return _digest(lines[-1]) if lines else GENESIS
