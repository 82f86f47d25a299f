"""Pinned host keys: lines, known_hosts files, and what is refused."""

import base64
import subprocess
from pathlib import Path

import pytest

from redrill.errors import HostKeyError
from redrill.machine.host_keys import (
    HostKey,
    Pins,
    UnpinnedHostError,
    parse_key,
    pin_lines,
    read_known_hosts,
)
from selftests.support.sshd import make_key


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    directory = tmp_path_factory.mktemp("keys")
    return [make_key(directory / str(number)) for number in range(3)]


def known(directory: Path, text: str, host: str = "web-1.example", port: int = 22) -> Pins:
    path = directory / "known_hosts"
    path.write_text(text)
    return read_known_hosts([path], host, port)


def test_fingerprint_is_the_one_that_ssh_keygen_shows(lines: list[str]) -> None:
    shown = subprocess.run(["ssh-keygen", "-lf", "-"], input=lines[0], capture_output=True, text=True, check=True)
    assert parse_key(lines[0]).fingerprint == shown.stdout.split()[1]


@pytest.mark.parametrize(
    "line", ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ssh-ed25519 %%%", "AAAAC3NzaC1lZDI1NTE5AAAAIA=="]
)
def test_a_line_that_is_no_key_is_refused_with_its_text(line: str) -> None:
    with pytest.raises(HostKeyError, match="is not a host key") as caught:
        pin_lines([line], "web-1", "the fleet file")
    assert repr(line) in str(caught.value)


def test_the_base64_text_must_hold_the_type_in_front_of_it(lines: list[str]) -> None:
    with pytest.raises(ValueError, match="ssh-rsa"):
        parse_key(lines[0].replace("ssh-ed25519", "ssh-rsa"))


def test_a_plain_name_matches_without_regard_to_case(lines: list[str], tmp_path: Path) -> None:
    found = known(tmp_path, f"# note\n\nWEB-1.example,10.0.0.1 {lines[0]}\nother {lines[1]}\n")
    assert found.accepted == (parse_key(lines[0]),)


def test_hashed_names_match_as_ssh_keygen_wrote_them(lines: list[str], tmp_path: Path) -> None:
    path = tmp_path / "known_hosts"
    path.write_text(f"web-1.example {lines[0]}\n[web-1.example]:2222 {lines[1]}\n")
    subprocess.run(["ssh-keygen", "-Hf", str(path)], check=True, capture_output=True)
    assert "web-1" not in path.read_text()
    assert read_known_hosts([path], "web-1.example", 22).accepted == (parse_key(lines[0]),)
    assert read_known_hosts([path], "web-1.example", 2222).accepted == (parse_key(lines[1]),)
    assert read_known_hosts([path], "web-2.example", 22).accepted == ()


def test_another_port_is_another_host(lines: list[str], tmp_path: Path) -> None:
    text = f"web-1.example {lines[0]}\n[web-1.example]:2222 {lines[1]}\n"
    assert known(tmp_path, text, port=2222).accepted == (parse_key(lines[1]),)
    assert known(tmp_path, text, port=2223).accepted == ()


def test_patterns_match_and_negations_exclude(lines: list[str], tmp_path: Path) -> None:
    text = f"*.example,!web-2.example {lines[0]}\n"
    assert known(tmp_path, text).accepted
    assert not known(tmp_path, text, host="web-2.example").accepted


def test_torn_lines_and_foreign_key_types_pin_nothing(tmp_path: Path) -> None:
    text = "web-1.example\nweb-1.example ssh-ed25519\n|1|x web-1\nweb-1.example 1024 35 12345\n"
    assert known(tmp_path, text).accepted == ()


def test_a_file_that_does_not_exist_pins_nothing(tmp_path: Path) -> None:
    assert read_known_hosts([tmp_path / "none"], "web-1", 22).accepted == ()


def test_a_revoked_key_is_refused_even_if_it_is_pinned(lines: list[str], tmp_path: Path) -> None:
    pins = known(tmp_path, f"@revoked * {lines[0]}\nweb-1.example {lines[0]}\nweb-1.example {lines[1]}\n")
    with pytest.raises(HostKeyError, match="revoked"):
        pins.check(parse_key(lines[0]), "web-1", "10.0.0.1:22")
    pins.check(parse_key(lines[1]), "web-1", "10.0.0.1:22")


def test_a_certificate_authority_is_said_to_be_unsupported(lines: list[str], tmp_path: Path) -> None:
    pins = known(tmp_path, f"@cert-authority *.example {lines[0]}\n")
    assert pins.accepted == ()
    with pytest.raises(UnpinnedHostError, match=r"certificate authority.*not supported"):
        pins.algorithms("web-1", "10.0.0.1:22")


def test_no_pinned_key_says_how_to_pin_one(tmp_path: Path) -> None:
    with pytest.raises(UnpinnedHostError) as caught:
        known(tmp_path, "").algorithms("web-1", "10.0.0.1:22")
    message = str(caught.value)
    assert all(word in message for word in ("'web-1'", "10.0.0.1:22", "ssh-keyscan", "host_keys", "known_hosts"))


def test_another_key_is_refused_with_both_fingerprints(lines: list[str]) -> None:
    pins = pin_lines(lines[:2], "web-1", "the fleet file")
    shown = parse_key(lines[2])
    with pytest.raises(HostKeyError) as caught:
        pins.check(shown, "web-1", "10.0.0.1:22")
    message = str(caught.value)
    assert all(word in message for word in ("'web-1'", "10.0.0.1:22", shown.fingerprint, "the fleet file"))
    assert all(parse_key(line).fingerprint in message for line in lines[:2])


def test_only_pinned_types_are_negotiated_and_never_sha1() -> None:
    keys = tuple(HostKey(kind, b"x") for kind in ("ssh-rsa", "ecdsa-sha2-nistp256", "ssh-dss"))
    assert Pins(keys).algorithms("web-1", "w:22") == ("ecdsa-sha2-nistp256", "rsa-sha2-512", "rsa-sha2-256")


def test_a_key_type_that_cannot_be_checked_is_as_good_as_none() -> None:
    name = b"ssh-dss"
    blob = base64.b64encode(len(name).to_bytes(4, "big") + name).decode()
    with pytest.raises(UnpinnedHostError, match="not supported"):
        pin_lines([f"ssh-dss {blob}"], "web-1", "the fleet file").algorithms("web-1", "w:22")
