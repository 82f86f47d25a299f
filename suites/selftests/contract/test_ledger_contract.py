"""What every ledger does, wherever it is kept: a file of SQLite, and a real PostgreSQL."""

import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from redrill.cli import main
from redrill.errors import FleetError, RedrillError
from redrill.ledger import postgresql
from redrill.ledger.opening import open_ledger
from redrill.ledger.protocol import Ledger
from redrill.model.fleet import Backend, Fleet
from redrill.model.values import Mode
from selftests.fleet_samples import mistakes_of, parse
from selftests.measurement_samples import measure, measure_all
from selftests.support.postgres import PASSWORD, Postgres, running_postgres

FLEET = "shop-staging"
DECLARED = "fleet: shop\nledger: {{{}}}\nendpoints: {{web-1: }}\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with running_postgres() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def reopen(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Ledger]:
    """What opens the same empty ledger, again and again."""
    backend: dict[str, Any] = {"kind": request.param}
    if request.param == "postgresql":
        server: Postgres = request.getfixturevalue("server")
        server.query("DROP TABLE IF EXISTS redrill_recoveries")
        monkeypatch.setenv("LEDGER_URL", server.url)
        backend["url"] = {"env": "LEDGER_URL"}
    return lambda: open_it(backend, tmp_path)


@pytest.fixture
def ledger(reopen: Callable[[], Ledger]) -> Ledger:
    return reopen()


def open_it(backend: dict[str, Any], reports: Path) -> Ledger:
    fleet = Fleet(name=FLEET, source=Path("fleet.yml"), endpoints=(), ledger=Backend.model_validate(backend))
    return open_ledger(fleet, reports)


def test_a_new_ledger_is_empty_and_reading_makes_nothing(ledger: Ledger, tmp_path: Path) -> None:
    assert ledger.history(FLEET) == []
    assert ledger.earlier(measure(), 20) == []
    assert list(tmp_path.iterdir()) == []


def test_what_is_kept_is_what_was_measured(reopen: Callable[[], Ledger]) -> None:
    kept = [measure(1), measure(2, None, losses={}, downtime=None, phases=(), is_interrupted=True)]
    reopen().append(kept)
    assert reopen().history(FLEET) == kept


def test_the_same_moment_comes_back_whatever_its_time_zone(ledger: Ledger) -> None:
    one = measure(1)
    ledger.append([one.model_copy(update={"began": one.began.astimezone(timezone(timedelta(hours=5, minutes=30)))})])
    assert ledger.history(FLEET) == [one]


def test_a_run_is_told_of_once(ledger: Ledger) -> None:
    ledger.append([measure(1, 2.0)])
    ledger.append([measure(1, 9.0), measure(2, 3.0)])
    ledger.append([])
    assert [each.recovered_after for each in ledger.history(FLEET)] == [2.0, 3.0]


def test_history_is_that_of_one_fleet_or_endpoint_the_oldest_first(ledger: Ledger) -> None:
    ledger.append([measure(3), measure(1), measure(2, endpoint="web-2"), measure(4, fleet="another")])
    assert [each.run for each in ledger.history(FLEET)] == ["r1", "r2", "r3"]
    assert [each.run for each in ledger.history(FLEET, "web-1")] == ["r1", "r3"]
    assert ledger.history("unknown") == []


def test_comparable_are_earlier_drills_of_the_same_that_ended_well(ledger: Ledger) -> None:
    others: list[dict[str, Any]] = [
        *({"fleet": "another"}, {"endpoint": "web-2"}, {"application": "mail"}, {"mode": Mode.OBSERVE}),
        *({"recovered_after": None}, {"is_interrupted": True}),
    ]
    ledger.append([measure(20 + number, **other) for number, other in enumerate(others)])
    ledger.append(measure_all([1.0, 2.0, 3.0, 4.0]))
    now = measure(4)
    assert [each.recovered_after for each in ledger.earlier(now, 20)] == [3.0, 2.0, 1.0]
    assert [each.recovered_after for each in ledger.earlier(now, 2)] == [3.0, 2.0]


def test_controllers_that_begin_at_the_same_moment_all_get_their_rows_in(reopen: Callable[[], Ledger]) -> None:
    with ThreadPoolExecutor(8) as pool:
        for done in [pool.submit(reopen().append, [measure(number)]) for number in range(8)]:
            done.result()
    assert len(reopen().history(FLEET)) == 8


def test_the_file_is_its_owners_alone_and_lies_in_the_folder_of_reports(tmp_path: Path) -> None:
    fleet = Fleet(name=FLEET, source=Path("fleet.yml"), endpoints=())
    open_ledger(fleet, tmp_path / "reports").append([measure()])
    assert [path.name for path in (tmp_path / "reports").iterdir()] == ["ledger.sqlite"]
    assert (tmp_path / "reports/ledger.sqlite").stat().st_mode & 0o777 == 0o600


def test_the_fleet_file_can_name_another_file(tmp_path: Path) -> None:
    open_it({"kind": "sqlite", "path": str(tmp_path / "team.sqlite")}, tmp_path / "reports").append([measure()])
    with sqlite3.connect(tmp_path / "team.sqlite") as connection:
        assert connection.execute("SELECT run, recovered_after FROM redrill_recoveries").fetchall() == [("r1", 2.0)]


def test_its_path_is_taken_from_the_folder_of_the_fleet_file() -> None:
    fleet = parse(DECLARED.format("kind: sqlite, path: ../team.sqlite"))
    assert fleet.ledger is not None
    assert Path(fleet.ledger.settings["path"]).resolve() == Path("/fleets/team.sqlite")


@pytest.mark.parametrize(
    ("settings", "mistake"),
    [
        ("kind: postgresql", "ledger.url: 'url' is missing"),
        ("kind: postgresql, url: 'postgresql://u:hush@h/d'", "the URL holds a password"),
        ("kind: sqlite, file: here", "ledger.file: unknown key 'file'"),
        ("kind: mysql", "there is no backend 'mysql' in redrill.ledgers"),
    ],
)
def test_a_mistake_about_it_is_one_of_the_fleet_file(settings: str, mistake: str) -> None:
    (told,) = mistakes_of(DECLARED.format(settings))
    assert mistake.lower() in told.lower()
    assert "hush" not in told


def test_who_reads_it_needs_no_secret_of_the_endpoints(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet = tmp_path / "fleet.yml"
    unset = "{env: REDRILL_TEST_IS_NOT_SET}"
    repository = f"{{kind: restic, repository: vault, password: {unset}}}"
    fleet.write_text(f"fleet: shop\nenvironment: lab\nendpoints: {{web-1: {{repository: {repository}}}}}\n")
    assert main(["history", str(fleet), "--reports", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"No drill of 'shop' is in the ledger of '{tmp_path}' yet.\n"
    fleet.write_text(f"{fleet.read_text()}ledger: {{kind: postgresql, url: {unset}}}\n")
    assert main(["history", str(fleet)]) == 4
    assert "'REDRILL_TEST_IS_NOT_SET' is not set" in capsys.readouterr().err


def test_a_file_that_is_no_ledger_is_told(tmp_path: Path) -> None:
    (tmp_path / "ledger.sqlite").write_text("these are not the bytes that you are looking for\n" * 100)
    ledger = open_it({"kind": "sqlite"}, tmp_path)
    for ask in (lambda: ledger.history(FLEET), lambda: ledger.append([measure()])):
        with pytest.raises(RedrillError, match=r"ledger\.sqlite' cannot be used: file is not a database\. Mend it"):
            ask()


def test_a_folder_that_takes_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(RedrillError, match="cannot be used"):
        open_it({"kind": "sqlite"}, tmp_path / "reports").append([measure()])


def test_a_database_that_is_away_is_told_without_its_password(server: Postgres, tmp_path: Path) -> None:
    url = server.url.replace(f":{server.port}/", ":1/")
    (tmp_path / "url").write_text(url)
    ledger = open_it({"kind": "postgresql", "url": {"file": str(tmp_path / "url")}}, tmp_path)
    with pytest.raises(RedrillError, match="The ledger in PostgreSQL cannot be used: connection failed") as caught:
        ledger.append([measure()])
    assert PASSWORD not in str(caught.value)


def test_a_database_that_falls_silent_is_not_waited_for(
    server: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEDGER_URL", server.url)
    monkeypatch.setattr(postgresql, "ANSWER_SECONDS", 0.5)
    ledger = open_it({"kind": "postgresql", "url": {"env": "LEDGER_URL"}}, tmp_path)
    ledger.append([measure(1)])
    body = "'BEGIN PERFORM pg_sleep(60); RETURN NEW; END'"
    server.query(f"CREATE OR REPLACE FUNCTION wait() RETURNS trigger AS {body} LANGUAGE plpgsql")
    server.query("CREATE TRIGGER wait BEFORE INSERT ON redrill_recoveries FOR EACH ROW EXECUTE FUNCTION wait()")
    with pytest.raises(RedrillError, match="The ledger in PostgreSQL cannot be used"):
        ledger.append([measure(2)])


def test_a_url_of_another_database_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("mysql://user:password@host/database")
    with pytest.raises(FleetError, match="The 'url' of 'ledger' is none of a database"):
        open_it({"kind": "postgresql", "url": {"file": str(tmp_path / "url")}}, tmp_path).history(FLEET)


def test_a_ledger_without_its_extra_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redrill.database", None)
    with pytest.raises(FleetError, match=r"pip install 'redrill\[postgresql\]'"):
        open_it({"kind": "postgresql", "url": "postgresql://user@host/database"}, tmp_path).history(FLEET)
