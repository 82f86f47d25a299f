"""How grave a change is: rules in a data file, each with the reason that people are told."""

import difflib
import re
from enum import StrEnum
from functools import cache

from redrill.model.data_file import read_data
from redrill.model.finding import Severity
from redrill.model.values import Value


class Sort(StrEnum):
    """What happened to an item from one observation to the next."""

    GONE = "gone"
    NEW = "new"
    CHANGED = "changed"


class Change(Value):
    """An item of a kind that is not as it was; None stands for absent."""

    kind: str
    item: str
    before: str | None
    after: str | None

    @property
    def sort(self) -> Sort:
        """What happened."""
        if self.after is None:
            return Sort.GONE
        return Sort.NEW if self.before is None else Sort.CHANGED

    @property
    def detail(self) -> str:
        """What differs, for people."""
        if self.after is None:
            return f"gone, was {_quote(self.before)}" if self.before else "gone"
        if self.before is None:
            return f"new: {_quote(self.after)}" if self.after else "new"
        if "\n" in self.before + self.after:
            lines = difflib.ndiff(self.before.splitlines(), self.after.splitlines())
            return "; ".join(line for line in lines if line.startswith(("+ ", "- ")))
        return f"was {_quote(self.before)}, is {_quote(self.after)}"


def _quote(text: str | None) -> str:
    return f"'{'; '.join((text or '').splitlines())}'"


class GradingRule(Value):
    """What makes a change how grave, and why; ``item``, ``before`` and ``after`` are regular expressions."""

    kind: str
    change: Sort | None = None
    item: str = ""
    before: str = ""
    after: str = ""
    severity: Severity
    why: str

    def applies(self, change: Change) -> bool:
        """Whether the rule is about this change."""
        texts = ((self.item, change.item), (self.before, change.before or ""), (self.after, change.after or ""))
        is_meant = self.kind == change.kind and self.change in (None, change.sort)
        return is_meant and all(re.search(pattern, text) for pattern, text in texts)


@cache
def read_rules() -> tuple[GradingRule, ...]:
    """Return all rules in their order; ValueError when the data file does not say what a rule says."""
    return read_data(__file__, "runtime.yml", tuple[GradingRule, ...])


def grade(change: Change) -> GradingRule:
    """Return the first rule that applies; every kind ends with one that always does."""
    return next(rule for rule in read_rules() if rule.applies(change))
