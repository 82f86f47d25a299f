"""Laws of what is concluded from answers over time, and of the order of drills."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrill.drill.health.log import HealthLog, longest_of, outages, seconds_of
from redrill.drill.outage import OutageClock
from redrill.drill.waves import form_waves
from redrill.errors import GuardError
from redrill.model.guards import Guards

ANSWERS = st.lists(st.tuples(st.floats(0.001, 10), st.booleans()), max_size=40)
NAMES = ("a", "b", "c", "d", "e")


def make_log(answers: list[tuple[float, bool]]) -> tuple[HealthLog, list[tuple[float, bool]]]:
    log, now, noted = HealthLog(), 0.0, []
    for pause, healthy in answers:
        now += pause
        log.note(now, healthy=healthy)
        noted.append((now, healthy))
    return log, noted


@given(ANSWERS)
def test_a_streak_holds_no_bad_answer_and_could_not_begin_earlier(answers: list[tuple[float, bool]]) -> None:
    log, noted = make_log(answers)
    tail = []
    for at, healthy in reversed(noted):
        if not healthy:
            break
        tail.append(at)
    assert log.streak == (tail[-1] if tail else None)
    assert log.held == (tail[0] - tail[-1] if tail else 0.0)


@given(ANSWERS, st.floats(0, 100), st.floats(0, 100))
def test_outages_lie_apart_within_their_time(answers: list[tuple[float, bool]], one: float, other: float) -> None:
    log, _ = make_log(answers)
    since, until = sorted((one, other))
    found = outages(log.changes, since, until)
    assert all(since <= start < end <= until for start, end in found)
    assert all(first[1] <= second[0] for first, second in pairwise(found))
    assert longest_of(found) <= seconds_of(found) <= until - since + 1e-6


@given(ANSWERS, st.floats(0, 100), st.floats(0, 100))
def test_counts_of_two_times_add_up_to_that_of_both(
    answers: list[tuple[float, bool]], one: float, other: float
) -> None:
    log, noted = make_log(answers)
    first, second = sorted((one, other))
    parts = [log.count(-1, first), log.count(first, second), log.count(second, 1e9)]
    assert sum(asked for asked, _ in parts) == len(noted)
    assert sum(failed for _, failed in parts) == sum(not healthy for _, healthy in noted)


@given(st.lists(st.sampled_from(["wipe", "deploy", "restore", "boot"]), max_size=8), st.integers(0, 8))
def test_the_parts_of_a_recovery_follow_each_other_without_a_gap_also_over_a_resume(
    names: list[str], crash: int
) -> None:
    clock = OutageClock()
    clock.mark("before the outage")
    began = clock.begin()
    for number, name in enumerate(names):
        if number == crash:
            spans, clock = tuple(clock.spans), OutageClock()
            clock.resume(began, spans)
        clock.mark(name)
    assert [span.name for span in clock.spans] == names
    assert all(span.seconds >= 0 for span in clock.spans)
    assert [span.started for span in clock.spans] == [0.0, *(span.ended for span in clock.spans)][: len(names)]


@st.composite
def needs(draw: st.DrawFn) -> dict[str, set[str]]:
    return {name: draw(st.sets(st.sampled_from(NAMES), max_size=2)) - {name} for name in NAMES}


@given(needs(), st.integers(0, 3), st.integers(1, 5))
def test_what_is_needed_is_in_the_same_wave_or_an_earlier_one(
    needed: dict[str, set[str]], canary: int, size: int
) -> None:
    guards = Guards.model_validate({"waves": {"canary": canary, "size": size, "stop_after_failures": 9}})
    try:
        waves = form_waves(NAMES, guards, needed)
    except GuardError:
        return  # what needs each other does not fit
    assert sorted(name for wave in waves for name in wave) == sorted(NAMES)
    number = {name: index for index, wave in enumerate(waves) for name in wave}
    assert all(number[other] <= number[name] for name, others in needed.items() for other in others)
    assert all(len(wave) <= (canary or size if index == 0 else size) for index, wave in enumerate(waves))


def test_endpoints_that_need_each_other_are_drilled_at_once_or_not_at_all() -> None:
    needed = {"a": {"b"}, "b": {"a"}, "c": set()}
    room = Guards.model_validate({"waves": {"canary": 0, "size": 2, "stop_after_failures": 1}})
    assert form_waves("cab", room, needed) == (("c",), ("a", "b"))
    with pytest.raises(GuardError, match="'a', 'b' need each other"):
        form_waves("cab", Guards(), needed)


def test_a_chain_of_needs_is_drilled_from_its_end() -> None:
    assert form_waves("abc", Guards(), {"a": {"b"}, "b": {"c"}}) == (("c",), ("b",), ("a",))
