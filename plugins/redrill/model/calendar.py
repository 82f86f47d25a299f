"""When drills may run: weekly windows and blackout dates, in time zones that change their clocks."""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal, get_args
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from redrill.model.values import Text, Value

Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
_DAYS: tuple[Day, ...] = get_args(Day)
_END_OF_DAY = "24:00"


def _check_clock(value: str) -> str:
    if value != _END_OF_DAY and not re.fullmatch(r"([01][0-9]|2[0-3]):[0-5][0-9]", value):
        raise ValueError(f"{value!r} is not a time of day; write it as '22:30', with two digits each")
    return value


def _check_zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ValueError, OSError, LookupError):
        if not available_timezones():
            advice = "this machine has no time zone data; install 'tzdata' (the Debian or the Python package)"
        else:
            advice = "write a name such as 'Europe/Berlin' or 'UTC'"
        raise ValueError(f"there is no time zone {value!r}; {advice}") from None
    return value


Clock = Annotated[str, AfterValidator(_check_clock)]
Zone = Annotated[str, AfterValidator(_check_zone)]


class Window(Value):
    """A span of the day in which drills may run, on the days (all by default) on which it starts.

    An end before the start lies on the next day; ``24:00`` is the end of the day. A time that the clocks skip means the
    moment at which they do; one that they show twice means the first.
    """

    model_config = ConfigDict(populate_by_name=True)

    days: tuple[Day, ...] = Field(default=_DAYS, min_length=1)
    start: Clock = Field(alias="from")
    end: Clock = Field(alias="to")
    zone: Zone = "UTC"

    @model_validator(mode="after")
    def _has_a_length(self) -> "Window":
        if self.start in (self.end, _END_OF_DAY):
            raise ValueError(
                f"a window from '{self.start}' to '{self.end}' has no length; write from '00:00' to '24:00' for a day"
            )
        return self

    def span_on(self, day: date) -> tuple[datetime, datetime]:
        """Return the first moment of the window that starts on ``day`` and the moment at which it is over, in UTC."""
        zone = ZoneInfo(self.zone)
        is_over_midnight = self.end <= self.start
        return moment(day, self.start, zone), moment(day + timedelta(days=is_over_midnight), self.end, zone)

    def closes_after(self, now: datetime) -> datetime | None:
        """Return when the window, open at a moment that is aware of its zone, closes, in UTC; None while it is shut."""
        today = now.astimezone(ZoneInfo(self.zone)).date()
        days = [day for day in (today - timedelta(days=1), today) if _DAYS[day.weekday()] in self.days]
        return max((end for start, end in map(self.span_on, days) if start <= now < end), default=None)

    def is_open(self, now: datetime) -> bool:
        """Whether the window is open at a moment, which must be aware of its zone."""
        return self.closes_after(now) is not None

    def __str__(self) -> str:
        days = "every day" if len(set(self.days)) == len(_DAYS) else ", ".join(self.days)
        return f"{days} {self.start}-{self.end} {self.zone}"


class Blackout(Value):
    """Whole days without drills: both dates are included."""

    model_config = ConfigDict(populate_by_name=True)

    start: date = Field(alias="from")
    end: date = Field(alias="to")
    reason: Text
    zone: Zone = "UTC"

    @model_validator(mode="after")
    def _is_in_order(self) -> "Blackout":
        if self.end < self.start:
            raise ValueError(f"a blackout cannot end on {self.end}, before it starts on {self.start}")
        return self

    def is_on(self, now: datetime) -> bool:
        """Whether a moment lies in the blackout."""
        return self.touches(now, now)

    def touches(self, first: datetime, last: datetime) -> bool:
        """Whether a moment from the first to the last, both included, lies in the blackout."""
        zone = ZoneInfo(self.zone)
        return self.start <= last.astimezone(zone).date() and first.astimezone(zone).date() <= self.end


def moment(day: date, clock: str, zone: ZoneInfo) -> datetime:
    """Return the moment, in UTC, at which the clocks of a zone show ``clock`` on a day for the first time.

    A time that they skip becomes the moment at which they are put forward.
    """
    if clock == _END_OF_DAY:
        day, clock = day + timedelta(days=1), "00:00"
    local = datetime.combine(day, time.fromisoformat(clock))
    found = local.replace(tzinfo=zone, fold=0).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == local:
        return found
    change = local.replace(tzinfo=zone, fold=1).astimezone(UTC)
    offset = change.astimezone(zone).utcoffset()
    while change.astimezone(zone).utcoffset() == offset:
        change += timedelta(minutes=1)
    return change


def open_until(windows: Sequence[Window], now: datetime, latest: datetime) -> datetime:
    """Return how long there is always a window open from now on: the ``latest`` that is asked for, or the first break.

    That is ``now`` itself when none is open.
    """
    reached = now
    while reached < latest:
        closings = [closes for window in windows if (closes := window.closes_after(reached))]
        if not closings:
            return reached
        reached = max(closings)
    return latest
