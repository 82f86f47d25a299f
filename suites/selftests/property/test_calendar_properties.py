"""Over all windows, zones and moments: what the calendar promises holds minute by minute, whatever the clocks do."""

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from redrill.model.calendar import Blackout, Window, open_until
from redrill.model.values import parse_duration, spell_duration

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",  # changes by half an hour
    "America/Sao_Paulo",
    "Asia/Beirut",  # puts its clocks back over midnight
    "Pacific/Apia",
)
NIGHTS = (
    datetime(2026, 3, 29, tzinfo=UTC),
    datetime(2026, 10, 25, tzinfo=UTC),
    datetime(2026, 3, 8, tzinfo=UTC),
    datetime(2026, 11, 1, tzinfo=UTC),
    datetime(2026, 4, 4, 12, tzinfo=UTC),
    datetime(2026, 10, 3, 12, tzinfo=UTC),
    datetime(2018, 11, 4, tzinfo=UTC),
    datetime(2026, 7, 1, tzinfo=UTC),
)
"""Near changes of the clocks, and one of no importance."""

MINUTE = timedelta(minutes=1)
CLOCKS = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.sampled_from([0, 1, 15, 30, 59]))
MOMENTS = st.builds(lambda night, minutes: night + minutes * MINUTE, st.sampled_from(NIGHTS), st.integers(-900, 900))
WINDOWS = st.builds(
    lambda start, end, zone, days: Window.model_validate(
        {"from": start, "to": "24:00" if end == start else end, "zone": zone, "days": sorted(days)}
    ),
    CLOCKS,
    CLOCKS,
    st.sampled_from(ZONES),
    st.sets(st.sampled_from(["mon", "wed", "fri", "sat", "sun"]), min_size=1),
)


@settings(max_examples=400, deadline=None)
@given(windows=st.lists(WINDOWS, min_size=1, max_size=3), now=MOMENTS, minutes=st.integers(1, 300))
def test_windows_stay_open_exactly_until_the_first_minute_at_which_none_is(windows, now, minutes) -> None:
    latest = now + minutes * MINUTE
    shut = (now + n * MINUTE for n in range(minutes) if not any(w.is_open(now + n * MINUTE) for w in windows))
    assert open_until(windows, now, latest) == next(shut, latest)


@given(window=WINDOWS, now=MOMENTS)
def test_an_open_window_shows_the_times_between_its_own_on_the_clocks_of_its_zone(window, now) -> None:
    closes = window.closes_after(now)
    if closes is None:
        return
    zone = ZoneInfo(window.zone)
    assert now < closes
    if now.astimezone(zone).utcoffset() == closes.astimezone(zone).utcoffset() and window.end != "24:00":
        assert closes.astimezone(zone).strftime("%H:%M") == window.end


@settings(max_examples=200, deadline=None)
@given(
    first=st.dates(date(2018, 11, 1), date(2026, 11, 3)),
    days=st.integers(0, 3),
    zone=st.sampled_from(ZONES),
    hours=st.integers(-50, 50),
    minutes=st.integers(0, 2000),
)
def test_a_blackout_is_touched_when_one_of_the_minutes_lies_in_it(first, days, zone, hours, minutes) -> None:
    freeze = {"from": first, "to": first + timedelta(days=days), "reason": "freeze", "zone": zone}
    blackout = Blackout.model_validate(freeze)
    now = datetime(first.year, first.month, first.day, tzinfo=UTC) + timedelta(hours=hours)
    touched = any(blackout.is_on(now + n * MINUTE) for n in range(minutes + 1))
    assert blackout.touches(now, now + minutes * MINUTE) == touched


@given(milliseconds=st.integers(1, 366 * 86_400_000))
def test_a_duration_is_spelt_as_a_fleet_file_would_say_it(milliseconds) -> None:
    duration = timedelta(milliseconds=milliseconds)
    assert parse_duration(spell_duration(duration)) == duration
