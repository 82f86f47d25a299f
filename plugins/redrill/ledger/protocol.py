"""What a ledger can do, wherever it is kept."""

from collections.abc import Sequence
from typing import Protocol

from redrill.model.measurement import Measurement


class Ledger(Protocol):
    """The measurements of all drills; each method raises RedrillError when where they are kept cannot be used."""

    def append(self, measurements: Sequence[Measurement]) -> None:
        """Keep these; one whose run has told of its endpoint's application already changes nothing."""

    def history(self, fleet: str, endpoint: str | None = None) -> list[Measurement]:
        """Return all measurements of a fleet, or of one endpoint of it, the oldest first."""

    def earlier(self, like: Measurement, most: int) -> list[Measurement]:
        """Return what is comparable with a measurement and was begun before it, the newest first.

        That is the same application and mode, come back, and not interrupted.
        """
