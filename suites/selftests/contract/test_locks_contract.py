"""What every lock store promises, between real processes: over flock and a real PostgreSQL."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from redrill.drill.locks import LockStore, abandon, forget, hold
from redrill.errors import EndpointBusyError, Exit, FleetError
from redrill.model.deadline import Deadline, wait_until
from selftests.support.lock_takers import holder, race, store_of
from selftests.support.postgres import Postgres, running_postgres

IDENTITY = "198.51.100.7:22"
Backend = dict[str, Any]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(params=["flock", "postgresql"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    if request.param == "flock":
        return {"kind": "flock", "folder": str(tmp_path / "locks")}
    server: Postgres = request.getfixturevalue("postgres")
    server.query("DROP TABLE IF EXISTS redrill_locks")
    file = tmp_path / "url"
    file.write_text(server.url + "\n")
    return {"kind": "postgresql", "url": {"file": str(file)}}


@pytest.fixture
def store(backend: Backend) -> LockStore:
    return store_of(backend)


def take(store: LockStore, run: str) -> None:
    with hold(store, "web-1", IDENTITY, run):
        pass


def take_when_the_dead_are_gone(store: LockStore, run: str) -> None:
    """Take what a killed process held: a server needs a moment to notice that its client is no more."""

    def attempt(is_last_try: bool) -> bool | None:
        try:
            take(store, run)
        except EndpointBusyError as error:
            if is_last_try or "quarantined" in str(error):
                raise
            return None
        return True

    wait_until(attempt, Deadline.after(10))


def test_of_two_processes_at_a_barrier_exactly_one_gets_the_endpoint(backend: Backend) -> None:
    got = race(backend, [f"192.0.2.{number}:22" for number in range(50)])
    assert [sorted(pair) for pair in zip(*got, strict=True)] == [["busy 11", "held"]] * 50


def test_an_endpoint_that_another_run_holds_is_busy_and_the_message_says_who_where_and_since(
    backend: Backend, store: LockStore
) -> None:
    with holder(backend, IDENTITY, "their-run") as process:
        with pytest.raises(EndpointBusyError) as caught:
            take(store, "my-run")
        owner = store.read(IDENTITY)
    assert owner is not None
    since = owner.since.isoformat(sep=" ", timespec="seconds")[:19]
    for words in ("'web-1'", IDENTITY, "run 'their-run'", f"process {process.pid} on '", since):
        assert words in str(caught.value)
    assert caught.value.exit_code == Exit.BUSY


def test_a_living_process_of_the_same_run_is_not_robbed(backend: Backend, store: LockStore) -> None:
    with holder(backend, IDENTITY, "run"), pytest.raises(EndpointBusyError, match="run 'run'"):
        take(store, "run")


def test_an_endpoint_that_was_given_back_is_free(backend: Backend, store: LockStore) -> None:
    with holder(backend, IDENTITY, "first") as process:
        process.communicate("")
        assert process.returncode == 0
    with hold(store, "web-1", IDENTITY, "second") as lock:
        assert not lock.is_held_for_recovery
    owner = store.read(IDENTITY)
    assert owner is not None
    assert (owner.run, owner.released is not None) == ("second", True)


def test_a_killed_run_that_destroyed_nothing_leaves_the_endpoint_to_others(backend: Backend, store: LockStore) -> None:
    with holder(backend, IDENTITY, "killed") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        take_when_the_dead_are_gone(store, "other")


def test_a_killed_run_that_holds_for_recovery_keeps_the_endpoint_for_ever(backend: Backend, store: LockStore) -> None:
    with holder(backend, IDENTITY, "killed", "it was wiped") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(EndpointBusyError) as caught:
            take_when_the_dead_are_gone(store, "other")
    assert caught.value.exit_code == Exit.BUSY
    assert "quarantined by run 'killed'" in str(caught.value)
    assert "it was wiped. Resume run 'killed', or abandon it" in str(caught.value)
    with pytest.raises(EndpointBusyError, match="quarantined"):
        take(store_of(backend), "another")


def test_the_same_run_gets_back_what_its_dead_process_held_for_recovery(backend: Backend, store: LockStore) -> None:
    with holder(backend, IDENTITY, "run", "it was wiped") as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
        take_when_the_dead_are_gone(store, "run")
    with hold(store, "web-1", IDENTITY, "run") as lock:
        assert lock.is_held_for_recovery
        lock.recovered()
        assert not lock.is_held_for_recovery
    take(store, "other")


def test_leaving_without_recovery_gives_nothing_back(store: LockStore) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.hold_for_recovery("it was wiped")
        lock.release()
    with pytest.raises(EndpointBusyError, match="quarantined by run 'run'"):
        take(store, "other")


def test_an_error_after_the_wipe_keeps_the_endpoint_as_well(store: LockStore) -> None:
    def drill() -> None:
        with hold(store, "web-1", IDENTITY, "run") as lock:
            lock.hold_for_recovery("it was wiped")
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        drill()
    with pytest.raises(EndpointBusyError, match="quarantined by run 'run'"):
        take(store, "other")


def test_an_abandoned_endpoint_is_free_and_the_reason_is_kept(store: LockStore) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.hold_for_recovery("it was wiped")
    assert abandon(store, "web-1", IDENTITY, "run", "rebuilt by hand, ticket 17")
    owner = store.read(IDENTITY)
    assert owner is not None
    assert owner.note == "abandoned: rebuilt by hand, ticket 17 (it was held: it was wiped)"
    take(store, "other")


def test_abandoning_a_run_does_not_touch_what_another_holds(store: LockStore) -> None:
    assert not abandon(store, "web-1", IDENTITY, "run", "ticket 17"), "nobody ever held it"
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.hold_for_recovery("it was wiped")
    assert not abandon(store, "web-1", IDENTITY, "other", "ticket 17")
    with pytest.raises(EndpointBusyError, match="quarantined by run 'run'"):
        take(store, "other")


def test_abandoning_needs_a_reason(store: LockStore) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.hold_for_recovery("it was wiped")
    with pytest.raises(FleetError, match="Say why endpoint 'web-1' is abandoned"):
        abandon(store, "web-1", IDENTITY, "run", " ")
    with pytest.raises(EndpointBusyError, match="quarantined by run 'run'"):
        take(store, "other")


def test_an_endpoint_under_a_living_drill_cannot_be_abandoned(backend: Backend, store: LockStore) -> None:
    with holder(backend, IDENTITY, "run", "it was wiped"):
        with pytest.raises(EndpointBusyError, match="wait until that has ended"):
            abandon(store, "web-1", IDENTITY, "run", "ticket 17")
        with pytest.raises(EndpointBusyError, match="wait until that has ended"):
            forget(store, "web-1", IDENTITY, "made anew")


def test_an_endpoint_that_was_made_anew_is_free(store: LockStore) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.hold_for_recovery("it was wiped")
    forget(store, "web-1", IDENTITY, "made anew")
    take(store, "other")


def test_two_names_for_one_endpoint_exclude_each_other_in_one_process(store: LockStore) -> None:
    with (
        hold(store, "web-1", IDENTITY, "run"),
        pytest.raises(EndpointBusyError, match="'web-one'"),
        hold(store, "web-one", IDENTITY, "run"),
    ):
        pass
    take(store, "other")


def test_many_threads_hold_an_endpoint_each(store: LockStore) -> None:
    def drill(number: int) -> bool:
        identity = f"203.0.113.{number}:22"
        with hold(store, f"web-{number}", identity, "run") as lock:
            lock.hold_for_recovery("it was wiped")
            lock.recovered()
        owner = store.read(identity)
        return owner is not None and owner.released is not None

    with ThreadPoolExecutor(32) as pool:
        assert all(pool.map(drill, range(64)))


@pytest.mark.parametrize("identity", ["/srv/one two", "/srv/\udcff\n'; DROP TABLE redrill_locks; --", "x" * 5000])
def test_any_identity_and_any_words_come_back_as_they_were_told(store: LockStore, identity: str) -> None:
    with hold(store, "web-1", identity, "run '\";\n\x00\udcff é") as lock:
        lock.hold_for_recovery("why '\";\n\x00\x1b[31m\udcff é")
        assert store.read(identity) == lock.ownership
        lock.recovered()
    with hold(store, "web-1", identity, "other"):
        pass
