"""Time as a value: one deadline, one way to wait for something."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from redrill.errors import SettleTimeoutError

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Deadline:
    """A moment on the monotonic clock, in seconds, by which something must be done."""

    at: float
    budget: float

    @classmethod
    def after(cls, seconds: float) -> "Deadline":
        """Return the deadline that lies ``seconds`` from now."""
        return cls(time.monotonic() + seconds, seconds)

    @property
    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self.at - time.monotonic())

    @property
    def is_over(self) -> bool:
        """Whether no time is left."""
        return self.remaining == 0.0

    def within(self, seconds: float) -> "Deadline":
        """Return the earlier of this deadline and ``seconds`` from now."""
        return Deadline.after(min(seconds, self.remaining))


def wait_until(check: Callable[[bool], T | None], deadline: Deadline, interval: float = 0.05) -> T:
    """Call ``check(is_last_try)`` until it returns something other than None.

    The last call, made when the time is up, gets True, so that it can raise an error that says why. When even that
    returns None, SettleTimeoutError is raised. ``check`` stops the wait early by raising.
    """
    while True:
        is_last_try = deadline.is_over
        found = check(is_last_try)
        if found is not None:
            return found
        if is_last_try:
            name = getattr(check, "__name__", "a condition")
            raise SettleTimeoutError(f"Waited {deadline.budget:g} s in vain for '{name}'.")
        pause(min(interval, deadline.remaining))


def pause(seconds: float) -> None:
    """Wait a moment; the only sleep of the project."""
    time.sleep(seconds)
