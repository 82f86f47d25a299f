"""Who is asked during the drills of one wave, and for how long."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrill.drill.bench import Bench
from redrill.drill.health.probe import Probe
from redrill.drill.health.site import Site
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
