"""Rules and waivers as people write them: what they mean, and every mistake with its place."""

from datetime import date
from pathlib import Path

import pytest
from pydantic import ValidationError

from redrill.errors import FleetError
from redrill.model.rules import Match
from redrill.model.waivers_file import parse_waivers
from selftests.finding_samples import find, rule, waive
from selftests.fleet_samples import mistakes_of, parse

WAIVER = "finding: leaks-0123456789, owner: ana, ticket: OPS-1, reason: r, expires: 2026-12-31"


def waivers(text: str):
    return parse_waivers(text.encode(), Path("waivers.yml"))


def test_a_waiver_is_read_with_its_defaults():
    read = waivers(f"waivers:\n  a: {{{WAIVER}}}\n")
    one = read.waivers["a"]
    assert (one.expires, one.extended, one.endpoints, read.max_extensions) == (date(2026, 12, 31), 0, ("*",), 2)
    assert len(read.digest) == 64


def test_a_file_without_waivers_is_one():
    assert waivers("waivers:\n").waivers == {}


@pytest.mark.parametrize(
    ("text", "mistake"),
    [
        ("", "1:1: the file is empty; give it the key 'waivers'."),
        ("- a", "1:1: the file is not a mapping; give it the key 'waivers'."),
        ("waiver:\n", "1:1: waiver: unknown key 'waiver'; did you mean 'waivers'?"),
        ("max_extensions: -1\n", "1:17: max_extensions: -1 is refused: input should be greater than or equal to 0."),
        (f"waivers:\n  a: {{{WAIVER}}}\n  a: {{{WAIVER}}}", "3:3: the key 'a' was given before, at 2:3; keep one"),
        (f"waivers:\n  A: {{{WAIVER}}}", "2:3: waivers.A: 'A' is not a name;"),
        (f"waivers:\n  a: {{{WAIVER}, extends: 1}}", "2:93: waivers.a.extends: unknown key 'extends'; did you mean"),
        (f"waivers:\n  a: {{{WAIVER}, extended: -1}}", "2:103: waivers.a.extended: -1 is refused"),
        (f"waivers:\n  a: {{{WAIVER}, match: {{kind: leak}}}}", "2:6: waivers.a: a waiver says what it accepts by"),
        (f"waivers:\n  a: {{{WAIVER[27:]}}}", "2:6: waivers.a: a waiver says what it accepts by 'finding' or by"),
        (f"waivers:\n  a: {{{WAIVER}}}".replace("-31", "-32"), "2:81: waivers.a.expires: '2026-12-32' is refused"),
        (f"waivers:\n  a: {{{WAIVER}}}".replace("ana", "' '"), "2:41: waivers.a.owner: there are no words in it;"),
        (f"waivers:\n  a: {{{WAIVER}}}".replace("OPS-1", "7"), "2:54: waivers.a.ticket: 7 is not text; write it in"),
        (f"waivers:\n  a: {{{WAIVER}}}".replace("leaks-", ""), "2:16: waivers.a.finding: '0123456789' is not the id"),
        ("waivers:\n  a:\n", "2:5: waivers.a: null stands where a mapping is wanted;"),
        ("waivers: [a", "1:12: this is not YAML that can be read"),
    ],
)
def test_a_mistake_is_told_with_its_place(text, mistake):
    with pytest.raises(FleetError) as caught:
        waivers(text)
    assert caught.value.mistakes[0].removeprefix("waivers.yml:").startswith(mistake), caught.value.mistakes


def test_all_mistakes_are_told_at_once_in_their_order():
    with pytest.raises(FleetError) as caught:
        waivers("waivers:\n  b: {owner: x}\n  a: {}\n")
    places = [mistake.split(": ")[0] for mistake in caught.value.mistakes]
    assert places == ["waivers.yml:2:6"] * 3 + ["waivers.yml:3:6"] * 4


@pytest.mark.parametrize(
    ("meant", "is_meant"),
    [
        ({"subject": "/opt/*"}, True),
        ({"subject": "/opt"}, False),
        ({"subject": "/*"}, False),
        ({"subject": "/**"}, True),
        ({"promise": "leaks"}, True),
        ({"promise": "leak"}, False),
        ({"kind": "leak", "subject": "/opt/lea?"}, True),
        ({"kind": "Leak"}, False),
    ],
)
def test_a_rule_covers_what_all_its_words_say(meant, is_meant):
    assert Match(**meant).covers(find("/opt/leak")) is is_meant


def test_a_rule_that_would_mean_everything_is_refused():
    with pytest.raises(ValidationError, match="would mean every finding"):
        Match()


def test_the_endpoints_of_a_waiver_are_globs():
    waiver = waive(endpoints=("web-*", "db-1"))
    assert [waiver.is_about(name) for name in ("web-1", "web-17", "db-1", "db-10")] == [True, True, True, False]


LEVELS = """\
fleet: shop
waivers: accepted/waivers.yml
defaults:
  churn: [/var/a]
  ignore: [{subject: /opt/a, reason: r}]
roles:
  web:
    churn: [/var/b]
    ignore: [{subject: /opt/b, reason: r}, {subject: /opt/a, reason: r}]
endpoints:
  web-1: {role: web, churn: [/var/c], ignore: [{promise: leaks, reason: r}]}
  web-2: {role: web, ignore: }
"""


def test_the_rules_of_all_levels_add_up_and_each_counts_once():
    fleet = parse(LEVELS)
    assert fleet.endpoint("web-1").churn == ("/var/a", "/var/b", "/var/c")
    assert [str(each) for each in fleet.endpoint("web-1").ignore] == [
        *("subject '/opt/a'", "subject '/opt/b'", "promise 'leaks'")
    ]
    assert len(fleet.endpoint("web-2").ignore) == 2


def test_the_waivers_file_is_taken_from_the_folder_of_the_fleet_file():
    assert parse(LEVELS).waivers == Path("/fleets/shop/accepted/waivers.yml")


@pytest.mark.parametrize(
    ("old", "new", "mistake"),
    [
        ("/opt/b, reason: r", "/opt/b", "9:14: roles.web.ignore[0].reason: 'reason' is missing; add it."),
        ("promise: leaks, ", "", "11:48: endpoints.web-1.ignore[0]: this would mean every finding; give at least one"),
        ("{subject: /opt/a, reason: r}]\nroles", "/opt/a]\nroles", "5:12: defaults.ignore[0]: '/opt/a' stands where"),
        ("churn: [/var/b]", "churn: /var/b", "8:12: roles.web.churn: '/var/b' stands where a list is wanted"),
    ],
)
def test_a_wrong_rule_is_told_where_it_stands(old, new, mistake):
    assert [each[: len(mistake)] for each in mistakes_of(LEVELS.replace(old, new))] == [mistake]


def test_a_rule_says_what_it_means():
    assert str(rule(promise="leaks", subject="/opt/**")) == "promise 'leaks', subject '/opt/**'"
