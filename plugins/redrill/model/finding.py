"""One judged difference: what is not as it should be, how bad that is and why."""

import hashlib
from enum import StrEnum

from redrill.model.values import Text, Value


class Severity(StrEnum):
    """How bad a finding is, gravest first. A note is told and never fails a test."""

    CRITICAL = "critical"
    MAJOR = "major"
    MINOR = "minor"
    NOTE = "note"


class Finding(Value):
    """One finding at one endpoint.

    ``promise`` is what it breaks ('leaks', 'identity', …), ``kind`` the sort within it ('leak', 'masked default', …),
    ``subject`` what it is about: a path, a unit, a kernel parameter. ``detail`` says what differs, ``why`` is the
    reason of the severity. ``group`` joins what is told together, such as a directory; ``facts`` are further columns
    of the table (size, owner, age).
    """

    promise: str
    kind: str
    endpoint: str
    subject: Text
    detail: Text
    severity: Severity
    why: Text
    group: Text = ""
    facts: dict[str, Text] = {}

    @property
    def id(self) -> str:
        """The finding's name for waivers: the same in every run and on every endpoint that has it."""
        words = "\0".join((self.promise, self.kind, self.subject))
        return f"{self.promise.replace(' ', '-')}-{hashlib.sha256(words.encode()).hexdigest()[:10]}"

    def __str__(self) -> str:
        """Return the finding as one line."""
        return f"{self.subject}: {self.detail}" if self.detail else self.subject
