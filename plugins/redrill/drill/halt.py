"""A wish to stop: a signal to the controller, heard between two phases and never in the middle of one."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from redrill.errors import StoppedError

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Halt:
    """Set once, by the first wish to stop; its reason is kept. Safe for many threads."""

    def __init__(self) -> None:
        self._reason: str | None = None
        self._lock = threading.Lock()

    def wish(self, reason: str) -> None:
        """Wish the drill to stop; only the first reason counts."""
        with self._lock:
            self._reason = self._reason or reason

    @property
    def reason(self) -> str | None:
        """Why to stop; None while nobody wishes it."""
        return self._reason

    def check(self, endpoint: str, next_step: str) -> None:
        """Raise StoppedError when somebody wishes to stop."""
        if self._reason is not None:
            raise StoppedError(f"The drill of '{endpoint}' was stopped before '{next_step}': {self._reason}.")


@contextmanager
def heed_signals(halt: Halt) -> Iterator[None]:
    """Turn SIGINT and SIGTERM into a wish to stop: the phase that runs completes, the rest is left to a resume.

    Outside of the main thread signals stay as they are.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def hear(number: int, _frame: FrameType | None) -> None:
        halt.wish(f"signal {signal.Signals(number).name}")

    before = {number: signal.signal(number, hear) for number in _SIGNALS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
