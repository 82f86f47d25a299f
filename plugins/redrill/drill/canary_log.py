"""The acknowledged writes of a drill in a file of its evidence, line by line as they come, for a resume needs them."""

import os
import threading
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from redrill.model.writes import Write

FILE = "canaries.tsv"
"""Lines 'STATE CLASS<tab>NUMBER<tab>TIME', the time in seconds since 1970 by the controller's clock."""


class CanaryLog:
    """Acknowledged writes by state class, in their order; safe for many threads. What it is told is in the file, too.

    A file that takes nothing any more is left at that: the writes go on, and a resume would know fewer of them.
    """

    def __init__(self, file: Path) -> None:
        """Read what the file holds; one that is not there holds nothing, and what a power failure left is skipped."""
        self._file = file
        self._lock = threading.Lock()
        self._writes: dict[str, list[Write]] = defaultdict(list)
        with suppress(FileNotFoundError):
            *whole, _ = file.read_bytes().split(b"\n")  # the controller may have died while it wrote the last line
            for line in whole:
                with suppress(ValueError, OverflowError):
                    name, number, time = line.decode().split("\t")
                    self._writes[name].append(Write(int(number), datetime.fromtimestamp(float(time), UTC)))

    def clear(self) -> None:
        """Forget all, also in the file: a drill begins."""
        with self._lock:
            self._writes.clear()
            self._file.unlink(missing_ok=True)

    def add(self, names: Sequence[str], write: Write) -> None:
        """Note that a write to these state classes is durable."""
        text = "".join(f"{name}\t{write.number}\t{write.acknowledged.timestamp():.6f}\n" for name in names)
        with self._lock:
            for name in names:
                self._writes[name].append(write)
            with suppress(OSError):
                descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
                try:
                    os.write(descriptor, text.encode())
                finally:
                    os.close(descriptor)

    def sync(self) -> None:
        """Have the file on disk: a controller that loses its power must not lose more than a moment; OSError."""
        with suppress(FileNotFoundError):
            descriptor = os.open(self._file, os.O_WRONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)

    def written(self, name: str) -> list[Write]:
        """Return the writes to a state class so far."""
        with self._lock:
            return list(self._writes.get(name, ()))
