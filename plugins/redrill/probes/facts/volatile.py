"""What of the small facts is no fact, because it changes by itself: rules in a data file, each with its reason."""

import fnmatch
import re
from collections.abc import Mapping
from functools import cache

from redrill.model.data_file import read_data
from redrill.model.values import Value


class VolatileRule(Value):
    """Items of a ``kind`` to leave out, by ``glob`` or ``regex`` and ``value``, or what to ``strip`` from its values.

    ``*`` of a glob matches anything, also dots and slashes; ``regex`` and ``value`` must match as a whole. An item is
    left out when all that the rule says applies to it.
    """

    kind: str
    glob: tuple[str, ...] = ()
    regex: str = ""
    value: str = ""
    strip: str = ""
    reason: str


def settle_items(kind: str, items: Mapping[str, str]) -> dict[str, str]:
    """Return the items of a kind, in order, without what is volatile."""
    left_out, stripped = _compiled(kind)
    settled = {}
    for item in sorted(items):
        value = items[item]
        if not any(name.fullmatch(item) and worth.fullmatch(value) for name, worth in left_out):
            settled[item] = stripped.sub("", value).strip() if stripped else value
    return settled


@cache
def read_rules() -> tuple[VolatileRule, ...]:
    """Return all rules; ValueError when the data file does not say what a rule says."""
    return read_data(__file__, "volatile.yml", tuple[VolatileRule, ...])


@cache
def _compiled(kind: str) -> tuple[list[tuple[re.Pattern[str], re.Pattern[str]]], re.Pattern[str] | None]:
    rules = [rule for rule in read_rules() if rule.kind == kind]
    left_out = [_compile(rule) for rule in rules if not rule.strip]
    cuts = [rule.strip for rule in rules if rule.strip]
    return left_out, re.compile("|".join(cuts)) if cuts else None


def _compile(rule: VolatileRule) -> tuple[re.Pattern[str], re.Pattern[str]]:
    names = [fnmatch.translate(glob) for glob in rule.glob] + [rule.regex] * bool(rule.regex)
    return re.compile("|".join(names) or ".*", re.DOTALL), re.compile(rule.value or ".*", re.DOTALL)
