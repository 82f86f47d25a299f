"""Small value types that the fleet file and the records share."""

import re
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, PlainSerializer

STATE_PATHS = ("/home", "/etc", "/var")
"""The only things that a restore puts back."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+)(ms|s|m|h|d)")


class Value(BaseModel):
    """A frozen value that refuses unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Mode(StrEnum):
    """What a run may do; only ``observe`` touches nothing.

    ``replace`` rebuilds an endpoint and restores it as itself, ``vanilla`` rebuilds it once more before that and
    restores nothing, ``relocate`` has it come up on a new host and leaves the old one as it was.
    """

    OBSERVE = "observe"
    REPLACE = "replace"
    RELOCATE = "relocate"
    VANILLA = "vanilla"

    @property
    def is_destructive(self) -> bool:
        """Whether endpoints are taken out of service in this mode: destroyed, or stopped for a new host."""
        return self is not Mode.OBSERVE


def parse_duration(value: Any) -> Any:
    """Return the timedelta for '90s', '5m', '1h30m' or '250ms'; a bare number is refused: nobody knows its unit."""
    if isinstance(value, timedelta):
        return value
    if isinstance(value, str) and value and re.fullmatch(rf"({_DURATION.pattern})+", value):
        seconds = sum(int(number) * _UNITS[unit] for number, unit in _DURATION.findall(value))
        if 0 < seconds <= 366 * _UNITS["d"]:
            return timedelta(seconds=seconds)
    raise ValueError(f"{value!r} is not a duration; write a number with its unit, such as '90s', '5m' or '1h30m'")


def spell_duration(value: timedelta) -> str:
    """Return a duration as a fleet file says it, such as '1h30m'; what is below a millisecond is rounded."""
    rest, words = round(value.total_seconds() * 1000), []
    for unit, seconds in reversed(_UNITS.items()):
        count, rest = divmod(rest, round(seconds * 1000))
        words += [f"{count}{unit}"] if count else []
    return "".join(words) or "0s"


def spell_seconds(seconds: float) -> str:
    """Return a measured time for people to read, such as '0 s', '2.2 s', '41 s' or '12m5s'."""
    if 0 < seconds < 9.95:
        return f"{seconds:.1f} s"
    return f"{seconds:.0f} s" if seconds < 120 else spell_duration(timedelta(seconds=round(seconds)))


Duration = Annotated[
    timedelta,
    BeforeValidator(parse_duration, json_schema_input_type=str),
    PlainSerializer(lambda value: f"{round(value.total_seconds() * 1000)}ms", return_type=str),
]


def is_inside(path: str, parents: tuple[str, ...] = STATE_PATHS) -> bool:
    """Whether ``path`` is one of ``parents`` or lies below one of them."""
    return f"{path}/".startswith(tuple(f"{parent.rstrip('/')}/" for parent in parents))


def printable(text: str) -> str:
    """Return ``text`` with undecodable bytes and control characters, but for line ends and tabs, escaped."""
    return "".join(char if char.isprintable() or char in "\n\t" else _escape(char) for char in text)


def _escape(char: str) -> str:
    is_byte = "\udc80" <= char <= "\udcff"  # what surrogateescape makes of a byte that is no UTF-8
    return f"\\x{ord(char) - 0xDC00:02x}" if is_byte else repr(char)[1:-1]


Text = Annotated[str, AfterValidator(printable)]
"""Words of a person or a tool, safe for terminals and JSON."""
