"""Locks in PostgreSQL when the database is away, silent, or has forgotten us."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrill.drill.locks import LockStore, hold, open_locks
from redrill.drill.locks.postgresql import key_of
from redrill.errors import CleanupError, EndpointBusyError, Exit, FleetError, GuardError
from redrill.loader import load_fleet
from selftests.support.lock_takers import store_of
from selftests.support.postgres import PASSWORD, Postgres, running_postgres

IDENTITY = "198.51.100.7:22"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as postgres:
        yield postgres


@pytest.fixture
def postgres(server: Postgres) -> Iterator[Postgres]:
    server.query("DROP TABLE IF EXISTS redrill_locks")
    yield server
    server.stop()
    server.start()


@pytest.fixture
def store(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> LockStore:
    monkeypatch.setenv("LOCKS_URL", postgres.url)
    monkeypatch.setattr("redrill.drill.locks.holding.RELEASE_SECONDS", 10.0)
    return another_store()


def another_store() -> LockStore:
    return store_of({"kind": "postgresql", "url": {"env": "LOCKS_URL"}})


def take(store: LockStore, run: str) -> None:
    with hold(store, "web-1", IDENTITY, run):
        pass


def test_a_database_that_is_away_refuses_before_anything_is_touched(postgres: Postgres, store: LockStore) -> None:
    postgres.stop()
    with pytest.raises(GuardError, match="cannot be used: connection failed") as caught:
        take(store, "run")
    assert caught.value.exit_code == Exit.GUARD
    assert PASSWORD not in str(caught.value)


def test_a_wrong_password_refuses_without_a_word_of_it(
    postgres: Postgres, store: LockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    del store
    monkeypatch.setenv("WRONG_URL", postgres.url.replace(PASSWORD, "wrong-7d1e"))
    with pytest.raises(GuardError, match="password authentication failed") as caught:
        take(store_of({"kind": "postgresql", "url": {"env": "WRONG_URL"}}), "run")
    assert "wrong-7d1e" not in str(caught.value)


def test_a_database_that_goes_away_before_the_wipe_keeps_the_run_from_it(postgres: Postgres, store: LockStore) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        postgres.stop()
        with pytest.raises(GuardError):
            lock.hold_for_recovery("it was wiped")
        assert not lock.is_held_for_recovery
        postgres.start()
        with pytest.raises(GuardError, match="no longer that of run 'run'"):
            lock.hold_for_recovery("it was wiped")
    take(store, "other")


def test_a_silent_database_counts_as_away(
    postgres: Postgres, store: LockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        monkeypatch.setattr("redrill.drill.locks.advisory.ANSWER_SECONDS", 0.5)
        postgres.freeze()
        with pytest.raises(GuardError):
            lock.hold_for_recovery("it was wiped")


def test_a_database_that_restarts_during_the_recovery_goes_on_holding(postgres: Postgres, store: LockStore) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.hold_for_recovery("it was wiped")
        postgres.stop()
        postgres.start()
        with pytest.raises(EndpointBusyError, match="quarantined by run 'run'"):
            take(another_store(), "other")
        lock.recovered()
        with pytest.raises(EndpointBusyError, match="is held by run 'run'"):
            take(another_store(), "other")
    take(another_store(), "other")


def test_a_database_that_stays_away_after_the_wipe_goes_on_holding(
    postgres: Postgres, store: LockStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redrill.drill.locks.holding.RELEASE_SECONDS", 0.5)
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.hold_for_recovery("it was wiped")
        postgres.stop()
        with pytest.raises(CleanupError, match="has recovered, but its lock still says"):
            lock.recovered()
    postgres.start()
    with pytest.raises(EndpointBusyError, match="quarantined by run 'run'"):
        take(another_store(), "other")
    with hold(store, "web-1", IDENTITY, "run") as lock:
        lock.recovered()
    take(another_store(), "other")


def test_a_run_whose_session_was_ended_does_not_wipe_what_another_has_got(postgres: Postgres, store: LockStore) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock:
        postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'redrill'")
        with hold(another_store(), "web-1", IDENTITY, "other"):
            for _ in range(2):
                with pytest.raises(GuardError):
                    lock.hold_for_recovery("it was wiped")
    owner = store.read(IDENTITY)
    assert owner is not None
    assert (owner.run, owner.recovery) == ("other", "")


def test_a_new_session_of_the_process_does_not_pass_for_the_claims_of_the_old(
    postgres: Postgres, store: LockStore
) -> None:
    with hold(store, "web-1", IDENTITY, "run") as lock, hold(store, "db-1", "198.51.100.8:22", "run") as wiped:
        wiped.hold_for_recovery("it was wiped")
        postgres.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'redrill'")
        wiped.recovered()
        with pytest.raises(GuardError, match="no longer that of run 'run'"):
            lock.hold_for_recovery("it was wiped")


def test_the_session_ends_with_the_last_endpoint(postgres: Postgres, store: LockStore) -> None:
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'redrill'"
    with hold(store, "web-1", IDENTITY, "run"), hold(store, "db-1", "198.51.100.8:22", "run"):
        assert postgres.query(count) == "1"
        assert postgres.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "2"
    assert postgres.query("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == "0"


def test_the_table_tells_an_operator_who_holds_what(postgres: Postgres, store: LockStore) -> None:
    with hold(store, "web-1", IDENTITY, "run-7") as lock:
        lock.hold_for_recovery("it was wiped")
    row = postgres.query("SELECT key, endpoint, identity, run, recovery, released IS NULL FROM redrill_locks")
    assert row == f"{key_of(IDENTITY)}|web-1|{IDENTITY}|run-7|it was wiped|t"


def test_a_read_only_database_refuses(postgres: Postgres, store: LockStore) -> None:
    take(store, "run")
    postgres.query("ALTER ROLE redrill SET default_transaction_read_only = on")
    other = another_store()
    try:
        with pytest.raises(GuardError, match="read-only"):
            take(other, "other")
    finally:
        postgres.query("ALTER ROLE redrill RESET ALL")
    take(other, "other")


def test_without_the_extra_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redrill.drill.locks.advisory", None)
    with pytest.raises(FleetError, match=r"pip install 'redrill\[postgresql\]'") as caught:
        store_of({"kind": "postgresql", "url": "postgresql://redrill@db.example/locks"})
    assert caught.value.exit_code == Exit.USAGE


@pytest.mark.parametrize("url", ["mysql://a@db.example/locks", "no url at all, but long enough"])
def test_a_secret_that_is_no_url_is_refused_unseen(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("REDRILL_TEST_LOCKS", url)
    with pytest.raises(FleetError, match="write 'postgresql://") as caught:
        take(store_of({"kind": "postgresql", "url": {"env": "REDRILL_TEST_LOCKS"}}), "run")
    assert url not in str(caught.value)


def test_the_locks_of_a_fleet_file_are_those_that_are_used(tmp_path: Path, store: LockStore) -> None:
    file = tmp_path / "shop.yml"
    file.write_text(
        "fleet: shop\nlocks: {kind: postgresql, url: {env: LOCKS_URL}}\nendpoints: {web-1: {address: 127.0.0.1}}\n"
    )
    with hold(store, "web-1", IDENTITY, "run"), pytest.raises(EndpointBusyError):
        take(open_locks(load_fleet(file)), "other")
    assert PASSWORD not in load_fleet(file).model_dump_json()
