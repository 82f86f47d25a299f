"""What is said about a key file that cannot be used."""

from pathlib import Path

import pytest

from redrill.machine.keys import load_key
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
