"""What is said about a key file that cannot be used."""

import os
from pathlib import Path

import pytest

from redrill.machine.keys import fault_of_key, load_key
from selftests.support.sshd import make_key


def test_a_good_key_is_loaded(tmp_path: Path) -> None:
    line = make_key(tmp_path / "id")
    assert load_key(tmp_path / "id").get_base64() == line.split()[1]


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"/none' does not exist"):
        load_key(tmp_path / "none")


def test_a_directory_is_not_a_key(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        load_key(tmp_path)


def test_a_key_with_a_passphrase_is_never_asked_for(tmp_path: Path) -> None:
    make_key(tmp_path / "id", "-N", "secret")
    with pytest.raises(ValueError, match=r"passphrase.*agent"):
        load_key(tmp_path / "id")


def test_an_old_pem_key_with_a_passphrase_is_told_alike(tmp_path: Path) -> None:
    make_key(tmp_path / "id", "-t", "rsa", "-m", "PEM", "-N", "secret")
    with pytest.raises(ValueError, match=r"passphrase.*agent"):
        load_key(tmp_path / "id")


def test_a_public_key_is_told_from_a_private_one(tmp_path: Path) -> None:
    make_key(tmp_path / "id")
    with pytest.raises(ValueError, match="is a public key"):
        load_key(tmp_path / "id.pub")


def test_anything_else_is_no_key(tmp_path: Path) -> None:
    (tmp_path / "id").write_text("hello\n")
    with pytest.raises(ValueError, match="not a private key"):
        load_key(tmp_path / "id")


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o620, 0o777])
def test_a_key_that_is_open_to_others_is_refused_with_its_mode_and_the_remedy(tmp_path: Path, mode: int) -> None:
    make_key(tmp_path / "id")
    (tmp_path / "id").chmod(mode)
    with pytest.raises(ValueError, match=rf"/id' is open to others \(mode {mode:04o}\); run 'chmod 600 {tmp_path}/id'"):
        load_key(tmp_path / "id")


@pytest.mark.parametrize(("mode", "is_taken"), [(0o440, True), (0o444, False)])
def test_a_key_of_somebody_else_may_be_lent_to_a_group_but_not_to_all(
    tmp_path: Path, mode: int, is_taken: bool
) -> None:
    make_key(tmp_path / "id")
    (tmp_path / "id").chmod(mode)
    os.chown(tmp_path / "id", os.geteuid() + 1, -1)
    assert (fault_of_key(tmp_path / "id") == "") is is_taken


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "id", 0o600)
    with pytest.raises(ValueError, match="cannot be read: it is not a regular file"):
        load_key(tmp_path / "id")
