"""What an oracle is: it knows which file belongs to whom and what it should be, and says when it does not know."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from redrill.model.vendor import VendorFacts

SECTION = "\x1e"
"""Starts the headline of each part of an answer; no database of a packaging system holds it."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an oracle's commands printed on an endpoint; ``check`` is None where contents were not looked at.

    ``root`` is the directory that an endpoint without a system of its own is.
    """

    question: str
    check: str | None = None
    root: Path | None = None


class Oracle(Protocol):
    """Asks one packaging system by commands that only read, in the one batch of an observation.

    ``question`` prints what belongs to whom; it ends with 77 where there is no such system. ``check`` compares
    contents on the endpoint where the record does not know an image that says it better; '' when nothing is left
    to ask, because digests are part of the first answer.
    """

    name: str
    question: str
    check: str

    def hear(self, answer: Answer) -> VendorFacts:
        """Return what was said; ValueError or LookupError when it cannot be understood."""


def lines_of(text: str) -> list[str]:
    """Return lines that end with a newline and with nothing else: names of files may hold every other separator."""
    return text.removesuffix("\n").split("\n") if text else []


def sections(text: str) -> dict[str, list[str]]:
    """Return the lines of each part of an answer by its headline."""
    parts = (part.partition("\n") for part in text.split(SECTION)[1:])
    return {headline: lines_of(body) for headline, _, body in parts}
