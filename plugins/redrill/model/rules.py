"""Which findings a rule of the owner's means: those that are ignored for a reason, and those that are waived."""

from typing import Annotated

from pydantic import AfterValidator, model_validator

from redrill.model.finding import Finding
from redrill.model.globs import compile_glob
from redrill.model.values import Text, Value


def _check_words(value: str) -> str:
    if not value.strip():
        raise ValueError("there are no words in it; say it in words, for somebody will ask")
    return value


Words = Annotated[Text, AfterValidator(_check_words)]
"""Text that says something."""


class Match(Value):
    """Findings of a promise, of a kind, with a subject that a glob matches as a whole; what is left out means all."""

    promise: Words | None = None
    kind: Words | None = None
    subject: Words | None = None

    @model_validator(mode="after")
    def _means_something(self) -> "Match":
        if not (self.promise or self.kind or self.subject):
            raise ValueError("this would mean every finding; give at least one of 'promise', 'kind' and 'subject'")
        return self

    def covers(self, finding: Finding) -> bool:
        """Whether a finding is meant."""
        return (
            self.promise in (None, finding.promise)
            and self.kind in (None, finding.kind)
            and (self.subject is None or compile_glob(self.subject).fullmatch(finding.subject) is not None)
        )

    def __str__(self) -> str:
        return ", ".join(f"{key} '{value}'" for key, value in self.meant.items())

    @property
    def meant(self) -> dict[str, str]:
        """What the rule says about the findings that it means."""
        words = {"promise": self.promise, "kind": self.kind, "subject": self.subject}
        return {key: value for key, value in words.items() if value is not None}


class IgnoreRule(Match):
    """Findings that say nothing about the endpoint, and why; the rules of all levels of a fleet file add up."""

    reason: Words
