"""How long an answer may take: always bounded, and a connection to what may be down given up early."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from redrill.model.deadline import Deadline

CHECK_SECONDS = 5.0
"""No single answer of a health check may take longer."""

_SLACK = 4.0


@dataclass(slots=True)
class Patience:
    """How long one check is waited for.

    To a system that is down, TCP says its first word again only after one, three and seven seconds: who waited for
    that would see the system come back a second too late. So what may be down is given a few times as long to connect
    as a whole answer took before.
    """

    slowest: float | None = None
    knock: float = CHECK_SECONDS

    @contextmanager
    def measured(self, least: float | None) -> Iterator[None]:
        """Have one question asked within. ``least``: what may be down has at least so many seconds to connect.

        None: it is up, and how long it takes to answer shows how long it will take then.
        """
        self.knock = CHECK_SECONDS
        if least is not None and self.slowest is not None:
            self.knock = min(CHECK_SECONDS, max(least, _SLACK * self.slowest))
        began = time.monotonic()
        yield
        if least is None:
            self.slowest = max(self.slowest or 0.0, time.monotonic() - began)

    @property
    def deadline(self) -> Deadline:
        """The end of an answer that is asked for now."""
        return Deadline.after(CHECK_SECONDS)
