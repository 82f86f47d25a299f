"""Recorded runs of real tools, from ``fixtures/data``."""

from dataclasses import dataclass
from pathlib import Path

_DATA = Path(__file__).parents[3] / "fixtures/data"


@dataclass(frozen=True, slots=True)
class Recorded:
    """What a tool printed, and its exit status."""

    stdout: str
    stderr: str
    exit: int

    @property
    def diagnosis(self) -> str:
        """Both streams and the status, as the oracle of swupd asks for them."""
        return f"{self.stdout}{self.stderr}\nexit {self.exit}\n"


def recorded_file(path: str) -> Path:
    """Return a file or folder of the data."""
    return _DATA / path


def recorded(case: str) -> Recorded:
    """Return one case, such as 'swupd/diagnose-clean'."""
    folder = _DATA / case
    # Read as bytes: a carriage return in the middle of a line must stay one.
    out, err = ((folder / name).read_bytes().decode("utf-8", "surrogateescape") for name in ("stdout", "stderr"))
    return Recorded(out, err, int((folder / "exit").read_text()))
