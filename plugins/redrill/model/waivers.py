"""Findings that somebody accepts for a while: who, why, until when, and how often that was put off."""

import re
from datetime import date
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from redrill.model.finding import Finding
from redrill.model.fleet import Name
from redrill.model.globs import compile_glob
from redrill.model.rules import Match, Words
from redrill.model.values import Value

_FINDING = re.compile(r"[a-z0-9-]+-[0-9a-f]{10}")


def _check_finding(value: str) -> str:
    if not _FINDING.fullmatch(value):
        raise ValueError(f"{value!r} is not the id of a finding; copy one from a report or from 'redrill findings RUN'")
    return value


Count = Annotated[int, Field(ge=0)]


class Waiver(Value):
    """Accepts one ``finding`` by its id, or what ``match`` means, at the endpoints that one of the globs names.

    ``expires`` is the last day, in UTC, on which it counts; ``extended`` says how often that day was put off.
    """

    finding: Annotated[str, AfterValidator(_check_finding)] | None = None
    match: Match | None = None
    endpoints: tuple[Words, ...] = Field(default=("*",), min_length=1)
    owner: Words
    reason: Words
    ticket: Words
    expires: date
    extended: Count = 0

    @model_validator(mode="after")
    def _means_one_thing(self) -> "Waiver":
        if (self.finding is None) == (self.match is None):
            raise ValueError("a waiver says what it accepts by 'finding' or by 'match'; give one of the two")
        return self

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is meant, be the waiver expired or not."""
        is_meant = self.match.covers(finding) if self.match else self.finding == finding.id
        return is_meant and self.is_about(finding.endpoint)

    def is_about(self, endpoint: str) -> bool:
        """Whether an endpoint is meant."""
        return any(compile_glob(glob).fullmatch(endpoint) for glob in self.endpoints)

    @property
    def promise(self) -> str | None:
        """The promise that the findings break, perhaps with hyphens for its spaces; None for any."""
        if self.finding is not None:
            return self.finding.rpartition("-")[0]
        return self.match.promise if self.match else None


class Waivers(Value):
    """The waivers of a fleet by their ids; ``source`` is their file, ``digest`` the sha256 of its text.

    ``max_extensions`` is how often one may be put off before somebody else must hear of it.
    """

    source: Path | None = None
    digest: str = ""
    max_extensions: Count = 2
    waivers: dict[Name, Waiver] = {}

    @property
    def escalated(self) -> dict[str, Waiver]:
        """Those that were put off too often."""
        return {name: each for name, each in self.waivers.items() if each.extended > self.max_extensions}
