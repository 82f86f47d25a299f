"""Canaries and consistency in the fleet file: short for what is usual, and every mistake told with its place."""

import pytest

from redrill.model.canary import CommandCanary, Consistency, Hooks
from redrill.model.fleet import Endpoint
from selftests.fleet_samples import mistakes_of, parse

FILES = ["append /home", "rename /home", "append /var", "rename /var"]


def endpoint_of(application: str = "", rest: str = "") -> Endpoint:
    text = f"tcp: {{port: 1}}, units: [db.service]{application}"
    return parse(f"fleet: shop\nendpoints:\n  db-1: {{applications: {{db: {{{text}}}}}{rest}}}\n").endpoint("db-1")


def test_a_canary_without_a_kind_is_one_of_commands() -> None:
    canary = endpoint_of(", canary: {write: w, read: r}").applications["db"].canary
    assert canary == CommandCanary(write="w", read="r")


def test_every_endpoint_has_canaries_in_its_files_unless_it_says_otherwise() -> None:
    assert list(endpoint_of().state_classes) == FILES
    assert list(endpoint_of(rest=", file_canaries: [/var]").state_classes) == FILES[2:]
    assert list(endpoint_of(rest=", file_canaries: []").state_classes) == []


def test_a_state_class_knows_whether_it_is_of_an_application() -> None:
    endpoint = endpoint_of(", canary: {kind: redis}", ", canaries: {cache: {kind: sqlite, path: /var/c.db}}")
    owners = {name: each.application for name, each in endpoint.state_classes.items()}
    assert owners == {**dict.fromkeys(FILES), "cache": None, "db": "db"}


@pytest.mark.parametrize(
    ("application", "rest", "way", "consistency"),
    [
        ("", "", "stop", Consistency.STOPPED),
        ("", ", backup: {lead: 5s}", "pause", Consistency.PAUSED),
        (", quiesce: stop", ", backup: {lead: 5s}", "stop", Consistency.STOPPED),
        (", quiesce: freeze", "", "freeze", Consistency.CRASH),
        (", quiesce: live", "", "live", Consistency.CRASH),
        (", quiesce: {before: a, after: b}", "", Hooks(before="a", after="b"), Consistency.HOOKS),
    ],
)
def test_how_an_application_stands_still_is_what_it_declares_or_what_its_units_and_the_lead_suggest(
    application: str, rest: str, way: str | Hooks, consistency: Consistency
) -> None:
    endpoint = endpoint_of(application, rest)
    assert (endpoint.quiesce_of("db"), endpoint.consistency_of("db")) == (way, consistency)


def test_an_application_without_units_is_backed_up_live() -> None:
    fleet = parse("fleet: shop\nendpoints: {db-1: {applications: {db: {tcp: {port: 1}}}}}")
    assert fleet.endpoint("db-1").quiesce_of("db") == "live"


@pytest.mark.parametrize(
    ("application", "mistake"),
    [
        (
            "canary: {kind: postgresql, databse: shop, database: x}",
            "4:36: endpoints.db-1.applications.db.canary.databse: unknown key 'databse'; did you mean 'database'?",
        ),
        (
            "canary: {kind: sqlite}",
            "4:17: endpoints.db-1.applications.db.canary.path: 'path' is missing; add it.",
        ),
        (
            "canary: {kind: mysql}",
            "4:17: endpoints.db-1.applications.db.canary: there is no kind 'mysql'; known are: 'command', "
            "'postgresql', 'redis', 'sqlite', 'append', 'rename'.",
        ),
        (
            "canary: {kind: append, folder: here}",
            "4:40: endpoints.db-1.applications.db.canary.folder: 'here' is no absolute path of the endpoint; write it "
            "as '/var/lib/shop/shop.db'.",
        ),
        (
            "quiesce: {before: a}",
            "4:18: endpoints.db-1.applications.db.quiesce.after: 'after' is missing; add it.",
        ),
        (
            "quiesce: halt",
            "4:18: endpoints.db-1.applications.db.quiesce: 'halt' is refused: input should be 'stop', 'pause', "
            "'freeze' or 'live'.",
        ),
        (
            "quiesce: freeze",
            "3:29: endpoints.db-1.applications.db: 'quiesce: freeze' needs 'units': they are what must stand still.",
        ),
    ],
)
def test_a_mistake_is_told_with_its_place_and_without_the_alternatives_that_were_tried(
    application: str, mistake: str
) -> None:
    text = f"fleet: shop\nendpoints:\n  db-1: {{applications: {{db: {{tcp: {{port: 1}},\n        {application}}}}}}}\n"
    assert mistakes_of(text) == [mistake]


def test_a_canary_of_the_endpoint_has_another_name_than_its_applications() -> None:
    text = "fleet: shop\nendpoints: {db-1: {applications: {db: {tcp: {port: 1}}}, canaries: {db: {kind: redis}}}}"
    (mistake,) = mistakes_of(text)
    assert "'db' is both an application and one of 'canaries'" in mistake
