"""What an application that needs others is credited with: their outages, and only those that there were."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from redrill.drill.bench import Bench
from redrill.drill.health.results import Recovery, with_needs
from redrill.drill.health.site import Site
from redrill.model.recovery import ApplicationResult
from redrill.model.values import Mode
from selftests.fleet_samples import parse

FLEET = """
fleet: needing
endpoints:
  db: {address: 127.0.0.1, applications: {sql: {command: {run: 'true'}}}}
  web: {address: 127.0.0.2, applications: {shop: {command: {run: 'true'}, needs: {db/sql: {tolerate: 5s}}}}}
"""
BEGAN, UP, RECOVERED = 10.0, 14.0, 20.0
"""Seconds at which the outage of 'shop' began, its system was up, and it was healthy again."""


@pytest.mark.parametrize(
    ("answers", "needed", "after", "waited"),
    [
        pytest.param({0.0: True, 5.0: True}, (), None, 0.0, id="not-away"),
        pytest.param({0.0: True, 12.0: False, 18.0: True}, ("db/sql",), 2.0, 6.0, id="away-meanwhile"),
        pytest.param({0.0: True, 2.0: False, 12.0: True}, ("db/sql",), 6.0, 2.0, id="away-before-its-system-was-up"),
        pytest.param({0.0: True, 2.0: False, 8.0: True}, (), None, 0.0, id="back-before"),
    ],
)
def test_what_was_not_away_is_not_credited_as_an_outage_that_was_tolerated(
    tmp_path: Path, answers: Mapping[float, bool], needed: tuple[str, ...], after: float | None, waited: float
) -> None:
    fleet = parse(FLEET)
    benches = [Bench(fleet, endpoint, Mode.REPLACE, tmp_path) for endpoint in fleet.endpoints]
    site = Site(fleet, benches)
    for bench in benches:
        site.begin(bench, has_neighbours=True)
        site.leave(bench.endpoint.name)
    sql, shop = site.probe("db/sql"), site.probe("web/shop")
    assert sql
    assert shop
    sql.log = type(sql.log)()
    for at, healthy in answers.items():
        sql.log.note(at, healthy=healthy)
    recovery = Recovery(shop, (RECOVERED, 1.0), RECOVERED + 1)
    result = with_needs(ApplicationResult(checks=(), healthy=True), recovery, site, BEGAN, UP)
    assert (result.needed, result.after_needs, result.waited) == (needed, after, waited)
