"""Texts of small files: read in one round trip, never of sensitive files, and stored without secrets."""

import hashlib
from pathlib import Path

import pytest

from redrill.drill.text_evidence import Texts, read_stored_texts, write_texts
from redrill.drill.texts import choose_paths, hide, take_texts
from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline
from redrill.model.manifest import Entry, EntryKind
from redrill.model.vendor import Conffile
from redrill.probes.texts import LARGEST, MOST, read_texts


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc").mkdir()
    return tmp_path


def read(root: Path, *paths: str) -> dict[str, str]:
    return read_texts(LocalMachine("x", root), paths, Deadline.after(30))


def entry(path: str, sha256: str = "1") -> Entry:
    return Entry(path, EntryKind.FILE, 0o644, 0, 0, size=9, sha256=sha256 * 64)


def test_texts_come_back_as_they_are(root: Path) -> None:
    texts = {"/etc/a": "one\ntwo", "/etc/b c'd": "é\r\n", "/etc/empty": ""}
    for path, text in texts.items():
        (root / path[1:]).write_bytes(text.encode())
    assert read(root, *texts) == texts


def test_what_is_no_small_text_is_left_out(root: Path) -> None:
    (root / "etc/large").write_text("x" * (LARGEST + 1))
    (root / "etc/binary").write_bytes(b"a\0b")
    (root / "etc/latin").write_bytes(b"caf\xe9")
    (root / "etc/link").symlink_to("good")
    (root / "etc/good").write_text("good")
    assert read(root, *(f"/etc/{name}" for name in ("large", "binary", "latin", "link", "gone", "good"))) == {
        "/etc/good": "good"
    }


def test_sensitive_files_are_never_asked_for(root: Path) -> None:
    (root / "etc/shadow").write_text("root:secret")
    assert read(root, "/etc/shadow") == {}


def test_only_so_many_files_are_read(root: Path) -> None:
    for number in range(MOST + 1):
        (root / f"etc/{number:03}").write_text("x")
    assert len(read(root, *(f"/etc/{number:03}" for number in range(MOST + 1)))) == MOST


def test_files_that_differ_from_a_default_are_chosen_with_the_defaults_that_they_hide() -> None:
    state = [entry(f"/etc/{name}") for name in ("edited", "other", "same", "own", "new.conf.dpkg-dist", "new.conf")]
    state += [entry("/etc/systemd/system/shop.service"), entry("/etc/hostname"), entry("/etc/api-token")]
    image = [entry("/etc/other", "2"), entry("/etc/same"), entry("/etc/hostname", "2"), entry("/etc/api-token", "2")]
    system = [entry("/usr/lib/systemd/system/shop.service", "2")]
    conffiles = {"/etc/edited": Conffile("p", "a" * 32, "b" * 32), "/etc/same": Conffile("p", "a" * 32, "a" * 32)}
    chosen = choose_paths(*({each.path: each for each in side} for side in (state, system)), conffiles, _by_path(image))
    assert set(chosen) == {
        "/etc/edited",
        "/etc/other",
        "/etc/new.conf",
        "/etc/new.conf.dpkg-dist",
        "/etc/systemd/system/shop.service",
        "/usr/lib/systemd/system/shop.service",
    }


def _by_path(entries: list[Entry]) -> dict[str, Entry]:
    return {each.path: each for each in entries}


def test_texts_of_the_image_come_from_its_directory_with_their_digests(root: Path, tmp_path: Path) -> None:
    image = tmp_path / "image"
    (image / "etc").mkdir(parents=True)
    (image / "etc/a").write_text("new\n")
    (root / "etc/a").write_text("old\n")
    texts = take_texts(LocalMachine("x", root), ["/etc/a"], {"/etc/a": 4}, image, Deadline.after(30))
    digest = hashlib.md5(b"new\n", usedforsecurity=False).hexdigest()
    assert texts == Texts({"/etc/a": "old\n"}, {"/etc/a": "new\n"}, {"/etc/a": digest})


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("requirepass hunter2", "requirepass [redacted]"),
        ("  auth_pass hunter2", "  auth_pass [redacted]"),
        ("masterauth hunter2", "masterauth [redacted]"),
        ("rocommunity public", "rocommunity [redacted]"),
        ("password = hunter2", "password = [redacted]"),
        ("PasswordAuthentication no", "PasswordAuthentication no"),
        ("passwd: files systemd", "passwd: files systemd"),
        ("password required pam_unix.so", "password required pam_unix.so"),
        ("# requirepass foobared", "# requirepass foobared"),
    ],
)
def test_secrets_are_hidden_and_settings_are_not(line: str, shown: str) -> None:
    assert hide(f"before\n{line}\nafter\n") == f"before\n{shown}\nafter\n"


def test_stored_texts_come_back(tmp_path: Path) -> None:
    texts = Texts({"/etc/a": "x\n"}, {"/etc/a": "y\n"}, {"/etc/a": "0" * 32})
    file = write_texts(texts, tmp_path / "texts.json")
    assert read_stored_texts(tmp_path, file.relative_to(tmp_path)) == texts
    assert read_stored_texts(tmp_path, None) == Texts()
