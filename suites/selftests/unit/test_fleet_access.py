"""What a fleet file says of the way to an endpoint, judged when it is read: jump hosts and the files of keys."""

from pathlib import Path

import pytest

from redrill.errors import FleetError
from redrill.model.fleet import Fleet
from redrill.model.fleet_file import parse_fleet
from selftests.fleet_samples import mistakes_of, parse, settings_of

KEYS = """\
fleet: shop
defaults:
  ssh: {key: shared}
endpoints:
  web-1: {}
  web-2: {}
  db-1: {ssh: {key: own}}
"""


@pytest.mark.parametrize(
    "way", ["gate", "ops@gate.example:2222", "ops@[fd00::1]:22,inner", "fd00::1", "none", "ssh://ops@gate"]
)
def test_a_way_over_jump_hosts_is_taken_as_ssh_takes_it(way: str) -> None:
    fleet = parse(f"fleet: shop\nendpoints:\n  web-1: {{ssh: {{proxy_jump: '{way}'}}}}\n")
    assert fleet.endpoint("web-1").ssh.proxy_jump == way


@pytest.mark.parametrize(
    "way",
    [
        *("", "gate,", "-oProxyCommand=x", "gate -oProxyCommand=x", "gate:0", "gate:22;id", "a:b@gate", "$(id)@gate"),
        *("gate,$(id)", r"ga\nte", r"gate\u202e", "10.0.300.1"),
    ],
)
def test_what_is_no_way_over_jump_hosts_is_refused_where_it_stands(way: str) -> None:
    (mistake,) = mistakes_of(f'fleet: shop\nendpoints:\n  web-1: {{ssh: {{proxy_jump: "{way}"}}}}\n')
    assert mistake.startswith("3:29: endpoints.web-1.ssh.proxy_jump: ")
    assert "write" in mistake


def read(fault_of_key) -> Fleet:
    return parse_fleet(KEYS.encode(), Path("/fleets/fleet.yml"), settings_of, fault_of_key=fault_of_key)


def test_each_key_is_looked_at_once_by_its_full_path() -> None:
    asked: list[Path] = []
    read(lambda path: asked.append(path) or "")
    assert asked == [Path("/fleets/shared"), Path("/fleets/own")]


def test_a_key_that_cannot_be_used_is_a_mistake_where_it_is_named() -> None:
    with pytest.raises(FleetError) as caught:
        read(lambda path: f"'{path.name}' is bad.")
    assert caught.value.mistakes == (
        "/fleets/fleet.yml:3:14: defaults.ssh.key: 'shared' is bad.",
        "/fleets/fleet.yml:7:21: endpoints.db-1.ssh.key: 'own' is bad.",
    )


def test_who_does_not_connect_needs_no_key() -> None:
    assert read(None).endpoints
