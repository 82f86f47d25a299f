"""Every sort of health check against a real server: what is healthy, what is not, and what it says then."""

import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from redrill.drill.health.asking import Asker, Target, require_clients
from redrill.drill.health.patience import Patience
from redrill.errors import FleetError
from redrill.machine.local_machine import LocalMachine
from redrill.model.application import Application
from redrill.model.recovery import CheckResult
from selftests.support.certificates import write_server_certificate
from selftests.support.dripping import dripping_server
from selftests.support.postgres import PASSWORD, Postgres, running_postgres
from selftests.support.servers import (
    REDIS_PASSWORD,
    free_port,
    running_name_server,
    running_redis,
    running_web_server,
)

HOST = "127.0.0.1"


def ask(kind: str, settings: Mapping[str, object], machine: LocalMachine | None = None) -> CheckResult:
    application = Application.model_validate({kind: settings})
    (answer,) = Asker(application).ask(Target(HOST, machine))
    return answer


@pytest.fixture
def passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PG", PASSWORD), ("KV", REDIS_PASSWORD), ("WRONG", "pw-of-nobody-at-all")):
        monkeypatch.setenv(f"TEST_{name}_PASSWORD", value)


def secret(name: str) -> dict[str, str]:
    return {"env": f"TEST_{name}_PASSWORD"}


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    with running_redis(tmp_path_factory.mktemp("redis")) as port:
        yield port


@pytest.mark.parametrize(
    ("more", "trouble"),
    [
        ({}, ""),
        ({"expect": "asked as"}, ""),
        ({"headers": {"x-served-by": "shop"}}, ""),
        ({"host": "shop.example", "expect": "asked as shop.example"}, ""),
        ({"path": "/broken"}, "status 503, expected 200"),
        ({"path": "/broken", "status": 503}, ""),
        ({"expect": "nothing like it"}, "lacks 'nothing like it'"),
        ({"headers": {"x-served-by": "blog"}}, "header 'x-served-by' is 'shop 7', which lacks 'blog'"),
        ({"headers": {"x-cache": "hit"}}, "header 'x-cache' is '', which lacks 'hit'"),
    ],
)
def test_http_judges_status_headers_and_body(more: Mapping[str, object], trouble: str) -> None:
    with running_web_server() as port:
        answer = ask("http", {"port": port, **more})
    assert answer.healthy is not bool(trouble)
    assert trouble in answer.detail


def test_http_over_tls_trusts_only_what_it_is_told_to(tmp_path: Path) -> None:
    certificate, key = write_server_certificate(tmp_path, "shop.example", HOST)
    with running_web_server((certificate, key)) as port:
        plain = {"port": port, "tls": True}
        assert "CERTIFICATE_VERIFY_FAILED" in ask("http", plain).detail
        assert ask("http", {**plain, "ca": str(certificate)}).healthy
        assert ask("http", {**plain, "ca": str(certificate), "host": "shop.example"}).healthy
        other = ask("http", {**plain, "ca": str(certificate), "host": "blog.example"})
    assert not other.healthy
    assert "blog.example" in other.detail


def test_tcp_is_healthy_while_somebody_listens() -> None:
    with socket.create_server((HOST, 0)) as server:
        port = server.getsockname()[1]
        assert ask("tcp", {"port": port}).healthy
    assert "refused" in ask("tcp", {"port": port}).detail


@pytest.mark.parametrize(
    ("run", "expect", "trouble"),
    [
        ("echo all is well", "well", ""),
        ("echo ill >&2; exit 3", "", "exit status 3: ill"),
        ("echo ill", "well", "'ill' lacks 'well'"),
    ],
)
def test_a_command_is_asked_on_the_endpoint(tmp_path: Path, run: str, expect: str, trouble: str) -> None:
    answer = ask("command", {"run": run, "expect": expect}, LocalMachine("a", tmp_path))
    assert (answer.healthy, trouble in answer.detail) == (not trouble, True)


@pytest.mark.parametrize(("kind", "settings"), [("command", {"run": "true"}), ("unit", {"name": "nginx.service"})])
def test_what_is_asked_on_the_endpoint_is_not_reachable_while_there_is_no_connection(
    kind: str, settings: Mapping[str, object]
) -> None:
    answer = ask(kind, settings)
    assert not answer.healthy
    assert answer.detail.startswith("not reachable")


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("more", "trouble"),
    [
        ({}, ""),
        ({"query": "SELECT 7, NULL, 'x'", "expect": "7||x"}, ""),
        ({"query": "SELECT 7", "expect": "8"}, "'7' lacks '8'"),
        ({"query": "SELECT nothing"}, 'column "nothing" does not exist'),
        ({"password": secret("WRONG")}, "password authentication failed"),
        ({"database": "nowhere"}, 'database "nowhere" does not exist'),
    ],
)
def test_postgresql_logs_in_and_judges_the_answer(postgres: Postgres, more: Mapping[str, object], trouble: str) -> None:
    login = {"port": postgres.port, "user": "redrill", "database": "postgres", "password": secret("PG")}
    answer = ask("postgresql", {**login, **more})
    assert (answer.healthy, trouble in answer.detail) == (not trouble, True), answer.detail
    assert PASSWORD not in answer.detail


@pytest.mark.usefixtures("passwords")
def test_postgresql_that_is_frozen_has_not_answered_in_time(
    postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redrill.drill.health.patience.CHECK_SECONDS", 0.3)
    login = {"port": postgres.port, "user": "redrill", "database": "postgres", "password": secret("PG")}
    sleepy = ask("postgresql", {**login, "query": "SELECT pg_sleep(60)"})
    assert sleepy.detail == "TimeoutError: no answer within 0.3 s"


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("more", "trouble"),
    [
        ({}, ""),
        ({"password": secret("WRONG")}, "invalid username-password pair"),
        ({"password": None}, "Authentication required"),
        ({"key": "unknown"}, "there is no key 'unknown'"),
        ({"database": 99}, "DB index is out of range"),
    ],
)
def test_redis_logs_in_and_judges_the_answer(redis: int, more: Mapping[str, object], trouble: str) -> None:
    answer = ask("redis", {"port": redis, "password": secret("KV"), **more})
    assert (answer.healthy, trouble in answer.detail) == (not trouble, True), answer.detail


@pytest.mark.usefixtures("passwords")
def test_redis_judges_the_value_of_a_key(redis: int) -> None:
    with socket.create_connection((HOST, redis)) as stream:
        stream.sendall(f"AUTH {REDIS_PASSWORD}\r\nSET item value-7\r\n".encode())
        stream.recv(100)
    login = {"port": redis, "password": secret("KV"), "key": "item"}
    assert ask("redis", {**login, "expect": "value-"}).healthy
    assert ask("redis", {**login, "expect": "value-8"}).detail == "'value-7' lacks 'value-8'"


@pytest.mark.parametrize(
    ("more", "trouble"),
    [
        ({}, ""),
        ({"expect": "198.18.0.77"}, ""),
        ({"expect": "198.18.0.78"}, "'198.18.0.77' lacks '198.18.0.78'"),
        ({"type": "MX"}, "no such record"),
        ({"name": "blog.example"}, "REFUSED"),
    ],
)
def test_dns_judges_the_records_of_a_name(more: Mapping[str, object], trouble: str) -> None:
    with running_name_server("/shop.example/198.18.0.77") as port:
        answer = ask("dns", {"port": port, "name": "shop.example", **more})
    assert (answer.healthy, trouble in answer.detail) == (not trouble, True), answer.detail


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("kind", "more"),
    [
        ("http", {}),
        ("tcp", {}),
        ("postgresql", {"user": "a", "database": "b", "password": secret("PG")}),
        ("redis", {"password": secret("KV")}),
        ("dns", {"name": "shop.example"}),
    ],
)
def test_nobody_answering_is_not_healthy_and_says_so(kind: str, more: Mapping[str, object]) -> None:
    answer = ask(kind, {"port": free_port(socket.SOCK_STREAM), **more})
    assert not answer.healthy
    assert answer.detail


@pytest.mark.parametrize("kind", ["http", "tcp", "postgresql", "redis", "dns"])
def test_nobody_is_asked_while_it_has_no_address(kind: str) -> None:
    more = {"tcp": {"port": 1}, "postgresql": {"user": "a", "database": "b"}, "dns": {"name": "shop.example"}}
    (answer,) = Asker(Application.model_validate({kind: more.get(kind, {})})).ask(Target(""))
    assert (answer.healthy, answer.detail) == (False, "not reachable: it has no address at this moment")


@pytest.mark.usefixtures("passwords")
@pytest.mark.parametrize(
    ("kind", "more"),
    [("http", {}), ("postgresql", {"user": "a", "database": "b"}), ("redis", {"password": secret("KV")})],
)
def test_a_server_that_says_nothing_is_given_up(
    kind: str, more: Mapping[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("redrill.drill.health.patience.CHECK_SECONDS", 0.3)
    with dripping_server(b"", b"") as port:
        assert not ask(kind, {"port": port, **more}).healthy


def test_all_checks_of_an_application_are_asked() -> None:
    with running_web_server() as port:
        application = Application.model_validate({"http": {"port": port}, "tcp": {"port": port}, "dns": {"name": "x"}})
        answers = Asker(application).ask(Target(HOST))
    assert [(answer.check.split()[0], answer.healthy) for answer in answers][:2] == [("http", True), ("tcp", True)]
    assert len(answers) == 3


def test_what_may_be_down_is_given_little_time_to_connect_once_it_is_known_how_long_that_takes() -> None:
    patience = Patience()
    with patience.measured(0.1):
        assert patience.knock == 5.0
    with patience.measured(None):
        pass
    with patience.measured(0.1):
        assert patience.knock == 0.1


def test_a_library_that_is_not_installed_is_told_before_anything_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    application = Application.model_validate({"redis": {}})
    with pytest.raises(FleetError, match=r"'kv-1/cache' needs what is not installed .*'redrill\[redis\]'"):
        require_clients([("kv-1/cache", application)])


def test_a_ca_file_and_a_secret_that_are_not_there_are_told_before_anything_is_asked(tmp_path: Path) -> None:
    missing = Application.model_validate({"http": {"tls": True, "ca": str(tmp_path / "ca.pem")}})
    with pytest.raises(FleetError, match=r"'web-1/shop' trusts '.*ca.pem', which is no file"):
        require_clients([("web-1/shop", missing)])
    unknown = Application.model_validate({"redis": {"password": {"env": "TEST_IS_NOT_SET"}}})
    with pytest.raises(FleetError, match="'TEST_IS_NOT_SET' is not set"):
        require_clients([("kv-1/cache", unknown)])
