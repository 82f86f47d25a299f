"""How the fleet file, the location and an SSH configuration become hops."""

import getpass
from pathlib import Path
from typing import Any

import pytest

from redrill.errors import HostKeyError, MachineError
from redrill.machine.host_keys import parse_key
from redrill.machine.ssh_config import Hop, resolve_hops
from redrill.model.fleet import Ssh
from redrill.model.jump import parse_jump
from redrill.model.record import Location
from selftests.support.sshd import make_key


@pytest.fixture
def resolve(tmp_path: Path) -> Any:
    """Return a function that resolves 'web-1' with a configuration text, values of the fleet file and a location."""

    def resolve_with(config: str = "", location: Location | None = None, **values: Any) -> tuple[Hop, ...]:
        (tmp_path / "config").write_text(config)
        ssh = Ssh.model_validate({"config": tmp_path / "config", "known_hosts": tmp_path / "known", **values})
        return resolve_hops("web-1", ssh, location or Location(address="web-1.example"))

    return resolve_with


CONFIG = """
Host web-1.example
    HostName 10.0.0.9
    User operator
    Port 2200
    IdentityFile ~/first
    IdentityFile ~/second
    IdentitiesOnly yes
"""


def test_the_configuration_fills_in_what_the_fleet_file_leaves_open(resolve: Any) -> None:
    (hop,) = resolve(CONFIG)
    assert (hop.host, hop.port, hop.user) == ("10.0.0.9", 2200, "operator")
    assert [path.name for path in hop.identities] == ["first", "second"]
    assert hop.is_without_agent
    assert hop.key is None


def test_values_of_the_fleet_file_win(resolve: Any) -> None:
    (hop,) = resolve(CONFIG, user="root", port=22, key="/keys/redrill")
    assert (hop.host, hop.port, hop.user, hop.key) == ("10.0.0.9", 22, "root", Path("/keys/redrill"))


def test_the_port_at_which_a_provisioner_found_the_endpoint_wins(resolve: Any) -> None:
    (hop,) = resolve(CONFIG, Location(address="web-1.example", port=4444), port=22)
    assert hop.port == 4444


def test_without_any_configuration_the_defaults_hold(resolve: Any) -> None:
    (hop,) = resolve()
    assert (hop.host, hop.port, hop.user, hop.is_without_agent) == ("web-1.example", 22, "root", False)


def test_an_endpoint_without_an_address_is_an_error(resolve: Any) -> None:
    with pytest.raises(MachineError, match="address of 'web-1' is not known"):
        resolve("", Location(root=Path("/tree")))


def test_a_missing_configuration_that_the_fleet_file_names_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="does not exist"):
        resolve_hops("web-1", Ssh(config=tmp_path / "none"), Location(address="a"))


def test_included_files_are_read(resolve: Any, tmp_path: Path) -> None:
    (tmp_path / "more").write_text("Host web-1.example\n  Port 2022\n")
    (hop,) = resolve(f"Include {tmp_path}/mor*\n")
    assert hop.port == 2022


def test_a_proxy_command_is_refused_and_not_ignored(resolve: Any) -> None:
    with pytest.raises(MachineError, match="ProxyCommand"):
        resolve("Host *\n  ProxyCommand nc %h %p\n")


def test_jump_hosts_form_a_chain_in_front_of_the_endpoint(resolve: Any) -> None:
    hops = resolve("Host gate\n  User guard\n  Port 2201\n", proxy_jump="gate,ops@[fd00::1]:2202,third")
    assert [(hop.user, hop.host, hop.port) for hop in hops] == [
        ("guard", "gate", 2201),
        ("ops", "fd00::1", 2202),
        (getpass.getuser(), "third", 22),
        ("root", "web-1.example", 22),
    ]


def test_the_configuration_may_name_jump_hosts_of_jump_hosts(resolve: Any) -> None:
    hops = resolve("Host web-1.example\n  ProxyJump inner\nHost inner\n  ProxyJump outer\n")
    assert [hop.host for hop in hops] == ["outer", "inner", "web-1.example"]


def test_jump_hosts_that_lead_in_a_circle_are_an_error(resolve: Any) -> None:
    with pytest.raises(MachineError, match="circle"):
        resolve("Host *\n  ProxyJump gate\n")


def test_proxy_jump_none_goes_straight(resolve: Any) -> None:
    assert len(resolve("Host *\n  ProxyJump gate\n", proxy_jump="none")) == 1


@pytest.mark.parametrize("text", ["", "user@", "host:0", "host:99999", "host:ssh", "-oProxyCommand=x"])
def test_a_wrong_jump_host_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="is not a jump host"):
        parse_jump(text)


def test_keys_of_the_location_win_over_the_fleet_file_and_these_over_known_hosts(resolve: Any, tmp_path: Path) -> None:
    lines = [make_key(tmp_path / name) for name in ("location", "fleet", "file")]
    (tmp_path / "known").write_text(f"web-1.example {lines[2]}\n")
    place = Location(address="web-1.example", host_keys=(lines[0],))
    found = [
        resolve("", place, host_keys=[lines[1]])[0].pins.accepted,
        resolve("", host_keys=[lines[1]])[0].pins.accepted,
        resolve("")[0].pins.accepted,
    ]
    assert found == [(parse_key(line),) for line in lines]


def test_a_revoked_key_stays_revoked_when_it_is_pinned_elsewhere(resolve: Any, tmp_path: Path) -> None:
    line = make_key(tmp_path / "key")
    (tmp_path / "known").write_text(f"@revoked * {line}\n")
    (hop,) = resolve("", host_keys=[line])
    with pytest.raises(HostKeyError, match="revoked"):
        hop.pins.check(parse_key(line), "web-1", hop.where)


def test_user_known_hosts_file_of_the_configuration_is_read(tmp_path: Path) -> None:
    line = make_key(tmp_path / "key")
    (tmp_path / "mine").write_text(f"[10.0.0.9]:2200 {line}\n")
    (tmp_path / "config").write_text(CONFIG + f"    UserKnownHostsFile {tmp_path}/mine\n")
    (hop,) = resolve_hops("web-1", Ssh(config=tmp_path / "config"), Location(address="web-1.example"))
    assert hop.pins.accepted == (parse_key(line),)
