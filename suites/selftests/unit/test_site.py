"""Who is asked during the drills of one wave, and for how long."""

import socket
from collections.abc import Iterator
from math import inf
from pathlib import Path

import pytest

from redrill.drill.bench import Bench
from redrill.drill.health.asking import Target
from redrill.drill.health.probe import Moment, Probe
from redrill.drill.health.site import Site
from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline, wait_until
from redrill.model.values import Mode
from selftests.fleet_samples import parse

FLEET = """
fleet: neighbours
endpoints:
  one: {{neighbours: [hub/api]}}
  two: {{neighbours: [hub/api]}}
  hub:
    address: 127.0.0.1
    applications: {{api: {{tcp: {{port: {port}}}}}}}
"""


@pytest.fixture
def port() -> Iterator[int]:
    """A port of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as server:
        yield server.getsockname()[1]


@pytest.fixture
def benches(tmp_path: Path, port: int) -> Iterator[tuple[Bench, Bench]]:
    """Two endpoints of one wave that have the same neighbour."""
    fleet = parse(FLEET.format(port=port))
    one, two = (Bench(fleet, fleet.endpoint(name), Mode.REPLACE, tmp_path / "run") for name in ("one", "two"))
    one.site = two.site = Site(fleet, [one, two])
    yield one, two
    for bench in (one, two):
        bench.site.leave(bench.endpoint.name)


def probe_of(bench: Bench) -> Probe:
    found = bench.site.probe("hub/api")
    assert found
    return found


def is_asked_within(probe: Probe, seconds: float) -> bool:
    before = probe.log.last

    def has_answered(is_last_try: bool) -> bool | None:
        return True if probe.log.last != before else False if is_last_try else None

    return wait_until(has_answered, Deadline.after(seconds), interval=0.01)


def test_a_neighbour_is_asked_until_the_last_drill_wants_to_know_no_more(benches: tuple[Bench, Bench]) -> None:
    one, two = benches
    for bench in benches:
        bench.site.begin(bench, has_neighbours=True)
    probe = probe_of(one)
    one.site.leave("one")
    assert is_asked_within(probe, 10)
    two.site.leave("two")
    assert not is_asked_within(probe, 0.5)


def test_a_drill_that_begins_when_the_others_have_ended_has_its_neighbour_asked(benches: tuple[Bench, Bench]) -> None:
    one, two = benches
    one.site.begin(one, has_neighbours=True)
    one.site.leave("one")
    two.site.begin(two, has_neighbours=True)
    assert is_asked_within(probe_of(two), 10)


NEEDING = """
fleet: needing
endpoints:
  one: {address: 127.0.0.1, applications: {api: {command: {run: 'true'}}}}
  two: {address: 127.0.0.2, applications: {web: {command: {run: 'true'}, needs: {one/api: {}}}}}
"""


def test_what_was_well_when_its_drill_ended_does_not_fall_ill_by_that(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = parse(NEEDING)
    one, two = (Bench(fleet, fleet.endpoint(name), Mode.REPLACE, tmp_path / "run") for name in ("one", "two"))
    one.site = two.site = Site(fleet, [one, two])
    for bench in (one, two):
        monkeypatch.setattr(bench, "_machine", LocalMachine(bench.endpoint.name, tmp_path))
        bench.site.begin(bench, has_neighbours=True)
    probe = two.site.probe("one/api")
    assert probe
    assert probe.wait_until_held(Deadline.after(10))
    one.site.leave("one", ["one/api"])
    one.site.leave("one")
    one.disconnect()
    is_asked_within(probe, 0.5)
    assert probe.log.is_healthy, probe.trouble
    two.site.leave("two")
    two.disconnect()


def test_a_question_that_breaks_in_a_way_that_nobody_foresaw_is_no_healthy_answer() -> None:
    application = parse(NEEDING).endpoint("one").applications["api"]
    targets = iter([Target("127.0.0.1", LocalMachine("one", Path("/")))])

    def target() -> Target:
        return next(targets)  # StopIteration from the second time on

    probe = Probe("one/api", application, target, lambda: Moment.WATCHED)
    probe.start()
    wait_until(lambda is_last_try: True if probe.log.count(0, inf)[1] > 1 or is_last_try else None, Deadline.after(5))
    probe.stop()
    assert not probe.log.is_healthy
    assert "StopIteration" in probe.trouble
