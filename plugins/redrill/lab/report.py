"""What the lab tells about itself."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

Report = Callable[[str], None]
"""Takes one line of progress."""


@dataclass(frozen=True, slots=True)
class LabRow:
    """One endpoint of a lab: its ``state`` is 'running', 'stopped' or 'absent'; ``since`` is when it was started."""

    endpoint: str
    address: str
    state: str
    since: datetime | None
