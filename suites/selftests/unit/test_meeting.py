"""Endpoints that need each other go down together."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

import pytest

from redrill.drill.halt import Halt
from redrill.drill.meeting import Meeting
from redrill.model.deadline import Deadline
from selftests.fleet_samples import parse

FLEET = """
fleet: site
endpoints:
  web-1: {applications: {shop: {tcp: {port: 1}, needs: {db-1/sql: {}}}}}
  db-1: {applications: {sql: {tcp: {port: 2}, needs: {kv-1/store: {}}}}}
  kv-1: {applications: {store: {tcp: {port: 3}}}}
  mail-1: {applications: {mail: {tcp: {port: 4}}}}
"""


@dataclass
class Wave:
    """Drills that come to the meeting, each in a thread of its own."""

    pool: ThreadPoolExecutor
    halt: Halt = field(default_factory=Halt)
    meeting: Meeting = field(default_factory=lambda: Meeting(parse(FLEET).endpoints))

    def come(self, name: str, seconds: float = 60.0) -> Future[list[str]]:
        return self.pool.submit(self.meeting.await_others, name, self.halt, Deadline.after(seconds))


@pytest.fixture
def wave() -> Iterator[Wave]:
    with ThreadPoolExecutor(4) as pool:
        made = Wave(pool)
        try:
            yield made
        finally:
            made.halt.wish("the test is over")


def waits(drill: Future[list[str]]) -> bool:
    return bool(wait([drill], timeout=0.2).not_done)


def test_those_that_need_each_other_wait_for_the_last_of_them(wave: Wave) -> None:
    first, second = wave.come("web-1"), wave.come("db-1")
    assert waits(first)
    assert waits(second)
    last = wave.come("kv-1")
    assert [each.result(10) for each in (first, second, last)] == [[], [], []]


def test_who_has_no_needs_waits_for_nobody(wave: Wave) -> None:
    assert wave.come("mail-1").result(10) == []


def test_who_has_left_is_not_waited_for(wave: Wave) -> None:
    first = wave.come("kv-1")
    wave.meeting.leave("db-1")
    assert waits(first)
    wave.meeting.leave("web-1")
    assert first.result(10) == []


def test_those_that_do_not_come_in_time_are_named(wave: Wave) -> None:
    assert wave.come("web-1", 0.05).result(10) == ["db-1", "kv-1"]


def test_nobody_waits_on_when_the_drill_is_to_stop(wave: Wave) -> None:
    first = wave.come("db-1")
    wave.halt.wish("signal SIGINT")
    assert first.result(10) == ["kv-1", "web-1"]
