"""What is concluded from answers over time: streaks, flapping, outages, and what only a second answer tells."""

from collections.abc import Sequence

import pytest

from redrill.drill.health.log import Change, HealthLog, longest_of, outages, seconds_of
from redrill.drill.health.results import tell_changes
from redrill.model.recovery import ApplicationResult


def log_of(answers: str, log: HealthLog | None = None, start: float = 0.0) -> HealthLog:
    """Return a log of one answer a second: '+' is healthy, '-' is not."""
    log = log or HealthLog()
    for second, answer in enumerate(answers):
        log.note(start + second, healthy=answer == "+", detail=answer)
    return log


def result_of(log: HealthLog) -> ApplicationResult:
    changes = tell_changes(log.changes, lambda moment: moment)
    return ApplicationResult(checks=(), healthy=True, changes=changes, first_healthy=log.first_healthy)


@pytest.mark.parametrize(
    ("answers", "streak", "held"),
    [("", None, 0.0), ("-", None, 0.0), ("--+++", 2.0, 2.0), ("++-", None, 0.0), ("+-++", 2.0, 1.0), ("+", 0.0, 0.0)],
)
def test_a_streak_begins_with_the_first_healthy_answer_after_a_bad_one(
    answers: str, streak: float | None, held: float
) -> None:
    log = log_of(answers)
    assert (log.streak, log.held, log.is_healthy) == (streak, held, streak is not None)


def test_what_the_ending_system_still_answers_is_no_return() -> None:
    log = log_of("++")
    log.expect_return()
    log_of("++", log, start=2.0)
    assert log.streak is None
    log_of("-++", log, start=4.0)
    assert (log.streak, log.first_healthy) == (5.0, 5.0)


def test_a_system_that_came_back_between_two_questions_counts_from_when_it_is_known_to_be_new() -> None:
    log = log_of("++")
    log.expect_return()
    log_of("+", log, start=2.0)
    log.confirm_return()
    log_of("++", log, start=3.0)
    assert (log.streak, log.held) == (3.0, 1.0)


def test_a_return_that_nothing_healthy_preceded_counts_from_its_first_answer() -> None:
    log = log_of("--")
    log.expect_return()
    log_of("+", log, start=2.0)
    assert log.streak == 2.0


def test_one_answer_well_and_then_ill_again_is_a_flap() -> None:
    log = log_of("+-")
    log.expect_return()
    flapping = result_of(log_of("-+-+", log, start=2.0))
    assert [(change.at, change.detail) for change in flapping.flaps] == [(4.0, "-")]


def test_the_outage_itself_and_a_late_start_are_no_flaps() -> None:
    log = log_of("+--")
    log.expect_return()
    assert result_of(log_of("---+++", log, start=3.0)).flaps == ()


def test_what_never_came_back_has_not_flapped() -> None:
    log = log_of("+-")
    log.expect_return()
    assert result_of(log_of("---", log, start=2.0)).flaps == ()


@pytest.mark.parametrize(
    ("answers", "window", "expected"),
    [
        ("+++", (0, 3), []),
        ("+--+", (0, 4), [(1, 3)]),
        ("+--+", (2, 4), [(2, 3)]),
        ("--", (0, 5), [(0, 5)]),
        ("-+-", (0, 2), [(0, 1)]),
        ("", (0, 5), []),
    ],
)
def test_an_outage_lasts_from_the_first_bad_answer_to_the_next_good_one(
    answers: str, window: tuple[float, float], expected: Sequence[tuple[float, float]]
) -> None:
    assert outages(log_of(answers).changes, *window) == list(expected)


def test_seconds_in_several_intervals_count_once() -> None:
    assert seconds_of([(0, 2), (1, 3), (5, 6)]) == 4
    assert longest_of([(0, 2), (1, 4)]) == 3
    assert (seconds_of([]), longest_of([])) == (0, 0)


def test_answers_are_counted_within_a_time() -> None:
    assert log_of("+-+-").count(1, 3) == (2, 1)
    assert log_of("+-+-").count(0, 9) == (4, 2)


def test_the_last_healthy_answer_before_a_moment_is_known() -> None:
    assert log_of("++--").last_healthy(before=3.5) == 1.0
    assert log_of("--").last_healthy(before=3.5) is None


def test_changes_are_told_since_the_outage_with_the_state_at_its_begin_first() -> None:
    changes = [Change(0.0, healthy=False), Change(1.0, healthy=True), Change(5.0, healthy=False)]
    told = tell_changes(changes, lambda moment: moment - 3.0)
    assert [(change.at, change.healthy) for change in told] == [(0.0, True), (2.0, False)]


def test_the_downtime_is_longer_than_the_recovery_by_what_was_down_before() -> None:
    result = ApplicationResult(checks=(), healthy=True, recovered_after=4.0, last_healthy=-2.5)
    assert result.downtime == 6.5
    assert ApplicationResult(checks=(), healthy=True, recovered_after=4.0).downtime is None
