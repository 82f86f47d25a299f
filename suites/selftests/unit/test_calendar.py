"""Change windows and blackouts, also on the nights on which the clocks change."""

from datetime import UTC, date, datetime, timedelta

import pytest
from pydantic import ValidationError

from redrill.model.calendar import Blackout, Window, open_until

BERLIN = "Europe/Berlin"
GAP, FOLD = date(2026, 3, 29), date(2026, 10, 25)
"""At 02:00 CET it becomes 03:00 CEST (01:00 UTC); at 03:00 CEST it becomes 02:00 CET (01:00 UTC)."""


def window(start, end, zone=BERLIN, **more):
    return Window.model_validate({"from": start, "to": end, "zone": zone, **more})


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "start", "end", "opens", "closes"),
    [
        (date(2026, 1, 5), "01:00", "04:00", "2026-01-05T00:00", "2026-01-05T03:00"),
        (date(2026, 7, 6), "01:00", "04:00", "2026-07-05T23:00", "2026-07-06T02:00"),
        (date(2026, 1, 5), "22:00", "04:00", "2026-01-05T21:00", "2026-01-06T03:00"),
        (date(2026, 1, 5), "00:00", "24:00", "2026-01-04T23:00", "2026-01-05T23:00"),
        (GAP, "01:00", "04:00", "2026-03-29T00:00", "2026-03-29T02:00"),
        (GAP, "02:30", "04:00", "2026-03-29T01:00", "2026-03-29T02:00"),
        (GAP, "01:00", "02:30", "2026-03-29T00:00", "2026-03-29T01:00"),
        (GAP, "02:10", "02:50", "2026-03-29T01:00", "2026-03-29T01:00"),
        (FOLD, "01:00", "02:30", "2026-10-24T23:00", "2026-10-25T00:30"),
        (FOLD, "02:30", "04:00", "2026-10-25T00:30", "2026-10-25T03:00"),
        (FOLD, "01:00", "04:00", "2026-10-24T23:00", "2026-10-25T03:00"),
    ],
    ids=str,
)
def test_a_window_lies_where_the_clocks_of_its_zone_say(day, start, end, opens, closes):
    assert window(start, end).span_on(day) == (utc(opens), utc(closes))


@pytest.mark.parametrize(
    ("now", "is_open"),
    [
        ("2026-03-29T00:59", False),
        ("2026-03-29T01:00", True),
        ("2026-03-29T01:59", True),
        ("2026-03-29T02:00", False),
    ],
)
def test_a_window_that_starts_at_a_time_that_is_skipped_opens_when_the_clocks_change(now, is_open):
    assert window("02:30", "04:00").is_open(utc(now)) is is_open


def test_a_window_whose_whole_time_is_skipped_never_opens_that_night():
    narrow = window("02:10", "02:50")
    assert not any(narrow.is_open(utc(f"2026-03-29T{hour:02}:{minute:02}")) for hour in range(24) for minute in (0, 30))
    assert narrow.is_open(utc("2026-03-28T01:30"))


def test_a_time_that_is_shown_twice_counts_the_first_time():
    narrow = window("02:10", "02:50")
    assert narrow.is_open(utc("2026-10-25T00:30"))
    assert not narrow.is_open(utc("2026-10-25T01:30"))


def test_a_window_over_midnight_belongs_to_the_day_on_which_it_starts():
    friday = window("22:00", "04:00", days=["fri"])
    assert friday.is_open(utc("2026-11-20T21:30"))  # Friday, 22:30
    assert friday.is_open(utc("2026-11-21T02:30"))  # Saturday, 03:30
    assert not friday.is_open(utc("2026-11-20T02:30"))  # Friday, 03:30
    assert not friday.is_open(utc("2026-11-21T21:30"))


def test_a_window_of_a_zone_far_away_opens_on_its_own_day():
    auckland = window("01:00", "03:00", zone="Pacific/Auckland", days=["mon"])
    assert auckland.is_open(utc("2026-11-22T12:30"))  # there it is Monday, 01:30
    assert not auckland.is_open(utc("2026-11-23T12:30"))


def stays_open(windows, now, for_minutes):
    """Return for how many of these minutes a window stays open."""
    start = utc(now)
    return (open_until(windows, start, start + timedelta(minutes=for_minutes)) - start) / timedelta(minutes=1)


def test_a_window_stays_open_until_it_closes():
    night = [window("22:00", "04:00", zone="UTC")]
    assert stays_open(night, "2026-11-20T03:00", 60) == 60
    assert stays_open(night, "2026-11-20T03:00", 61) == 60
    assert stays_open(night, "2026-11-20T04:00", 10) == 0
    assert stays_open(night, "2026-11-20T21:59", 10) == 0


def test_windows_that_follow_one_another_or_overlap_are_one():
    now = "2026-11-20T21:00"
    early, late = window("20:00", "22:00", zone="UTC"), window("22:00", "02:00", zone="UTC")
    assert stays_open([late, early], now, 600) == 300
    assert stays_open([early, window("21:30", "23:00", zone="UTC")], now, 600) == 120
    assert stays_open([early, window("22:01", "23:00", zone="UTC")], now, 600) == 60
    assert stays_open([window("00:00", "24:00")], now, 60 * 24 * 366) == 60 * 24 * 366


@pytest.mark.parametrize(
    ("now", "minutes"),
    [("2026-03-28T00:30", 150), ("2026-03-29T00:30", 90), ("2026-10-25T00:30", 150), ("2026-10-24T23:30", 210)],
)
def test_the_hour_by_which_the_clocks_change_makes_a_window_shorter_or_longer(now, minutes):
    assert stays_open([window("01:00", "04:00")], now, 600) == minutes


@pytest.mark.parametrize(("now", "is_on"), [("2026-12-17T22:59", False), ("2026-12-17T23:00", True)])
def test_a_blackout_begins_at_midnight_of_its_zone(now, is_on):
    freeze = Blackout.model_validate({"from": "2026-12-18", "to": "2027-01-06", "reason": "freeze", "zone": BERLIN})
    assert freeze.is_on(utc(now)) is is_on


def test_a_blackout_that_begins_meanwhile_is_in_the_way():
    freeze = Blackout.model_validate({"from": "2026-12-18", "to": "2027-01-06", "reason": "freeze", "zone": BERLIN})
    assert not freeze.touches(utc("2026-12-17T22:00"), utc("2026-12-17T22:59"))
    assert freeze.touches(utc("2026-12-17T22:00"), utc("2026-12-17T23:00"))
    assert freeze.touches(utc("2026-12-17T22:00"), utc("2027-02-01T00:00"))
    assert not freeze.touches(utc("2027-01-06T23:00"), utc("2027-01-07T23:00"))


def test_the_last_day_of_a_blackout_is_part_of_it():
    freeze = Blackout.model_validate({"from": "2026-12-24", "to": "2026-12-24", "reason": "eve"})
    assert freeze.is_on(utc("2026-12-24T23:59"))
    assert not freeze.is_on(utc("2026-12-25T00:00"))


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"from": "2:00"}, "'2:00' is not a time of day"),
        ({"from": "25:00"}, "'25:00' is not a time of day"),
        ({"from": "24:00"}, "has no length"),
        ({"from": "04:00"}, "has no length"),
        ({"zone": "Europe/Berln"}, "there is no time zone 'Europe/Berln'; write a name such as"),
        ({"zone": "../../etc/passwd"}, "there is no time zone"),
        ({"zone": "Europe"}, "there is no time zone"),
        ({"days": ["monday"]}, "'mon', 'tue'"),
        ({"days": []}, "at least 1"),
    ],
)
def test_a_wrong_window_is_told(wrong, words):
    with pytest.raises(ValidationError) as caught:
        Window.model_validate({"from": "01:00", "to": "04:00", "zone": BERLIN, **wrong})
    assert words in str(caught.value)


def test_a_machine_without_time_zone_data_says_what_to_install(monkeypatch):
    def missing(_name):
        raise LookupError

    monkeypatch.setattr("redrill.model.calendar.ZoneInfo", missing)
    monkeypatch.setattr("redrill.model.calendar.available_timezones", set)
    with pytest.raises(ValidationError, match="has no time zone data; install 'tzdata'"):
        window("01:00", "04:00")


def test_a_blackout_that_ends_before_it_starts_is_told():
    with pytest.raises(ValidationError, match="cannot end on 2026-01-01, before it starts on 2026-02-01"):
        Blackout.model_validate({"from": "2026-02-01", "to": "2026-01-01", "reason": "x"})
