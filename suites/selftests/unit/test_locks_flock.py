"""Locks of one controller: where they are, and that whatever is wrong with them refuses."""

import json
import os
import shutil
import stat
from pathlib import Path

import pytest

from redrill.drill.locks import hold, identify, open_locks
from redrill.drill.locks.flock import FlockLocks, default_folder
from redrill.errors import CleanupError, EndpointBusyError, Exit, FleetError, GuardError
from redrill.loader import load_fleet
from redrill.model.fleet import Fleet
from redrill.model.record import Location

IDENTITY = "198.51.100.7:22"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state" / "locks"


@pytest.fixture
def store(folder: Path) -> FlockLocks:
    return FlockLocks({"folder": folder})


def take(store: FlockLocks) -> None:
    with hold(store, "web-1", IDENTITY, "run"):
        pass


def test_a_fleet_that_says_nothing_locks_on_a_disk_and_not_in_a_folder_named_by_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/elsewhere")
    store = open_locks(Fleet(name="shop", source=Path("shop.yml"), endpoints=()))
    assert isinstance(store, FlockLocks)
    assert not default_folder().is_relative_to("/elsewhere")
    assert not default_folder().is_relative_to("/run")


@pytest.mark.parametrize(
    ("locks", "mistake"),
    [
        ("{kind: flok}", "2:15: locks.kind: There is no backend 'flok' in redrill.locks; installed are: 'flock', "),
        ("{kind: flock, foldr: x}", "2:22: locks.foldr: unknown key 'foldr'; did you mean 'folder'?"),
        ("{kind: postgresql}", "2:8: locks.url: 'url' is missing; add it."),
        ("{kind: postgresql, url: mysql://a@b/c}", "2:32: locks.url: 'mysql://a@b/c' is no URL of a database; "),
        ("{kind: postgresql, url: postgresql://a:secret@b/c}", "2:32: locks.url: the URL holds a password; write"),
    ],
)
def test_a_mistake_in_the_locks_of_a_fleet_file_is_told_with_its_place(
    tmp_path: Path, locks: str, mistake: str
) -> None:
    file = tmp_path / "shop.yml"
    file.write_text(f"fleet: shop\nlocks: {locks}\nendpoints: {{web-1: {{address: 127.0.0.1}}}}\n")
    with pytest.raises(FleetError) as caught:
        load_fleet(file)
    assert str(caught.value).startswith(f"{file}:{mistake}")
    assert "secret" not in str(caught.value)


def test_the_folder_of_the_locks_is_taken_from_that_of_the_fleet_file(tmp_path: Path) -> None:
    file = tmp_path / "shop.yml"
    file.write_text("fleet: shop\nlocks: {kind: flock, folder: ours}\nendpoints: {web-1: {address: 127.0.0.1}}\n")
    with hold(open_locks(load_fleet(file)), "web-1", IDENTITY, "run"):
        assert len(list((tmp_path / "ours").iterdir())) == 2


def test_the_file_of_an_endpoint_says_to_a_reader_who_holds_it(store: FlockLocks, folder: Path) -> None:
    with hold(store, "web-1", IDENTITY, "run-7"):
        (file,) = folder.glob("*.json")
        told = json.loads(file.read_text())
    assert (told["endpoint"], told["identity"], told["run"]) == ("web-1", IDENTITY, "run-7")
    assert f"process {os.getpid()} on" in told["holder"]


def test_nobody_else_can_read_or_write_the_locks(store: FlockLocks, folder: Path) -> None:
    take(store)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.iterdir()]}
    assert set(modes.values()) == {0o700, 0o600}
    assert modes[folder] == 0o700


def test_a_folder_that_others_can_write_to_refuses(store: FlockLocks, folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o770)
    with pytest.raises(GuardError, match="nobody else may write to") as caught:
        take(store)
    assert caught.value.exit_code == Exit.GUARD


def test_a_link_in_place_of_the_folder_refuses(store: FlockLocks, folder: Path, tmp_path: Path) -> None:
    folder.parent.mkdir()
    (tmp_path / "target").mkdir(mode=0o700)
    folder.symlink_to(tmp_path / "target")
    with pytest.raises(GuardError, match="must be a directory of the current user"):
        take(store)


def test_a_file_in_place_of_the_folder_refuses(store: FlockLocks, folder: Path) -> None:
    folder.parent.mkdir()
    folder.write_text("")
    with pytest.raises(GuardError, match=r"File exists.*'locks: \{kind: flock, folder: PATH\}'"):
        take(store)


@pytest.mark.parametrize("content", ["", "{}", "\xff", '{"run": 3}'])
def test_an_ownership_that_cannot_be_understood_refuses(store: FlockLocks, folder: Path, content: str) -> None:
    take(store)
    next(folder.glob("*.json")).write_text(content, encoding="latin-1")
    with pytest.raises(GuardError, match="cannot be used"):
        take(store)


def test_a_lock_that_was_removed_under_a_run_keeps_it_from_the_wipe(store: FlockLocks, folder: Path) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        next(folder.glob("*.lock")).unlink()
        with hold(FlockLocks({"folder": folder}), "web-1", IDENTITY, "other"):
            pass
        with pytest.raises(GuardError, match="no longer that of run 'run'"):
            lock.hold_for_recovery("it was wiped")
    take(store)


def test_locks_that_vanish_after_the_wipe_are_told_of_and_never_stop_the_recovery(
    store: FlockLocks, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redrill.drill.locks.holding.RELEASE_SECONDS", 0.2)
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.hold_for_recovery("it was wiped")
        shutil.rmtree(folder)
        with pytest.raises(CleanupError, match=r"'web-1' has recovered, but.*Abandon run 'run'"):
            lock.recovered()
        assert lock.is_held_for_recovery


def test_a_lock_file_that_was_removed_after_the_wipe_is_taken_again(store: FlockLocks, folder: Path) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.hold_for_recovery("it was wiped")
        next(folder.glob("*.lock")).unlink()
        with pytest.raises(EndpointBusyError, match="quarantined"), hold(store_again(folder), "w", IDENTITY, "other"):
            pass
        lock.recovered()
        with pytest.raises(EndpointBusyError, match="is held by"), hold(store_again(folder), "w", IDENTITY, "other"):
            pass


def store_again(folder: Path) -> FlockLocks:
    return FlockLocks({"folder": folder})


def test_a_directory_and_a_port_are_endpoints_of_their_own() -> None:
    locations = [Location(root=Path("/srv/a")), Location(address="a", port=22), Location(address="a", port=2222)]
    assert [identify(location) for location in locations] == ["/srv/a", "a:22", "a:2222"]


def test_another_spelling_is_no_other_endpoint() -> None:
    assert identify(Location(root=Path("/srv/b/../a"))) == identify(Location(root=Path("/srv/a")))
    assert identify(Location(address="Web-1.Example.")) == identify(Location(address="web-1.example"))
