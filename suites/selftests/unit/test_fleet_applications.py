"""What a fleet file says of applications: their checks, what they need, and their neighbours."""

import pytest

from redrill.errors import FleetError
from redrill.model.fleet_file import parse_fleet
from redrill.secrets_source import reveal
from selftests.fleet_samples import SOURCE, mistakes_of, parse, settings_of


def declare(endpoint):
    return f"fleet: shop\nendpoints:\n  web-1: {{{endpoint}}}\n"


APPLICATIONS = """\
fleet: shop
defaults:
  neighbours: [logs-1/journal]
endpoints:
  web-1:
    applications: {shop: {tcp: {port: 1}, needs: {db-1/sql: {tolerate: 5s}}}}
  db-1:
    applications: {sql: {tcp: {port: 2}}}
  logs-1:
    applications: {journal: {tcp: {port: 3}}}
"""


def test_needs_and_neighbours_name_applications_of_the_fleet():
    web = parse(APPLICATIONS).endpoint("web-1")
    assert web.neighbours == ("logs-1/journal",)
    assert web.applications["shop"].needs["db-1/sql"].tolerate.total_seconds() == 5


def test_a_need_and_a_neighbour_that_no_endpoint_has_are_mistakes_at_their_place():
    assert mistakes_of(APPLICATIONS.replace("logs-1/journal]", "logs-1/jurnal]").replace("db-1/sql:", "db-2/sql:")) == [
        "3:16: defaults.neighbours[0]: there is no application 'logs-1/jurnal'; did you mean 'logs-1/journal'?",
        "6:61: endpoints.web-1.applications.shop.needs.'db-2/sql': there is no application 'db-2/sql'; "
        "did you mean 'db-1/sql'?",
    ]


def test_applications_that_need_each_other_in_a_circle_are_a_mistake():
    circle = APPLICATIONS.replace("{port: 2}", "{port: 2}, needs: {logs-1/journal: {}}")
    circle = circle.replace("{port: 3}", "{port: 3}, needs: {web-1/shop: {}}")
    assert mistakes_of(circle) == [
        "6:61: endpoints.web-1.applications.shop.needs.'db-1/sql': 'web-1/shop' needs 'db-1/sql' needs "
        "'logs-1/journal' needs 'web-1/shop': none of them can be first. Take one need out."
    ]


def test_an_application_may_need_another_one_of_its_own_endpoint():
    two = declare("applications: {a: {tcp: {port: 1}, needs: {web-1/b: {}}}, b: {tcp: {port: 2}}}")
    assert parse(two).endpoint("web-1").applications["a"].needs


@pytest.mark.parametrize(
    ("said", "meant"), [("2", 2.0), ("0.5", 0.5), ("0.5%", 0.5), ("'12 %'", None), ("101", None), ("yes", None)]
)
def test_percent_may_have_a_point(said, meant):
    text = declare(f"objectives: {{neighbour_errors: {said}}}")
    if meant is None:
        assert mistakes_of(text)
    else:
        assert parse(text).endpoint("web-1").objectives.neighbour_errors == meant


def test_a_secret_of_a_health_check_is_revealed_with_the_place_of_what_is_missing():
    text = declare("applications: {a: {redis: {password: {env: TEST_IS_NOT_SET}}}}")
    with pytest.raises(FleetError, match=r"3:\d+: endpoints.web-1.applications.a.redis.password: The environment"):
        parse_fleet(text.encode(), SOURCE, settings_of, reveal)
    assert "does not stand in the fleet file" in mistakes_of(text.replace("{env: TEST_IS_NOT_SET}", "pw"))[0]


@pytest.mark.parametrize(
    ("check", "trouble"),
    [
        ("http: {ca: a.pem}", "'ca' says whose certificates are trusted, so it needs 'tls: true'"),
        ("redis: {expect: a}", "'expect' is looked for in the value of a key; name it as 'key'"),
        ("unit: {name: nginx}", "'nginx' is not the name of a unit; write it with its type"),
    ],
)
def test_a_check_that_means_nothing_is_a_mistake(check, trouble):
    assert trouble in mistakes_of(declare(f"applications: {{a: {{{check}}}}}"))[0]
