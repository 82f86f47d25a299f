"""Secrets of fleet files: where they come from, that they are opaque, and what is said when they cannot be had."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from redrill.errors import FleetError
from redrill.model.fleet import Fleet
from redrill.model.fleet_file import parse_fleet
from redrill.model.fleet_schema import fleet_schema
from redrill.model.secret import SecretValue
from redrill.model.values import Value
from redrill.redaction import REDACTED, redact
from redrill.secrets_source import reveal, reveal_at_hand


class VaultSettings(Value):
    directory: Path
    password: SecretValue | None = None
    plain: SecretStr | None = None


def settings_of(_group: str, _kind: str) -> type[VaultSettings]:
    return VaultSettings


def parse(tmp_path: Path, password: str, key: str = "password") -> Fleet:
    text = f"fleet: shop\nendpoints:\n  web-1:\n    repository: {{kind: tar, directory: b, {key}: {password}}}\n"
    return parse_fleet(text.encode(), tmp_path / "fleet.yml", settings_of, reveal)


def secret_of(fleet: Fleet) -> SecretValue:
    repository = fleet.endpoint("web-1").repository
    assert repository is not None
    password = VaultSettings.model_validate(repository.settings).password
    assert password is not None
    return password


def mistake_of(tmp_path: Path, password: str) -> str:
    with pytest.raises(FleetError) as caught:
        parse(tmp_path, password)
    (mistake,) = caught.value.mistakes
    return mistake.removeprefix(f"{tmp_path}/fleet.yml:")


def test_a_secret_comes_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_ONE", "from-the-environment-1")
    assert reveal(secret_of(parse(tmp_path, "{env: SHOP_ONE}"))) == "from-the-environment-1"


def test_a_secret_comes_from_a_file_beside_the_fleet_without_its_line_end(tmp_path: Path) -> None:
    (tmp_path / "restic.pass").write_text("from-a-file-2\n")
    secret = secret_of(parse(tmp_path, "{file: restic.pass}"))
    assert secret.file == tmp_path / "restic.pass"
    assert reveal(secret) == "from-a-file-2"


def test_a_secret_comes_from_a_command_that_knows_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_TWO", "from-a-command-3")
    assert reveal(secret_of(parse(tmp_path, "{command: 'echo noise >&2; echo $SHOP_TWO'}"))) == "from-a-command-3"


def test_a_command_is_run_once_in_a_process(tmp_path: Path) -> None:
    secret = SecretValue(command=f"echo x >> {tmp_path}/calls; echo counted-secret-4")
    assert [reveal(secret), reveal(secret)] == ["counted-secret-4"] * 2
    assert (tmp_path / "calls").read_text() == "x\n"


def test_a_revealed_secret_is_taken_out_of_every_text(tmp_path: Path) -> None:
    (tmp_path / "p").write_text("violet walrus 5\nsecond line of it\n")
    reveal(SecretValue(file=tmp_path / "p"))
    assert redact("a violet walrus 5 b\nsecond line of it") == f"a {REDACTED} b\n{REDACTED}"


def test_a_dry_run_starts_no_command(tmp_path: Path) -> None:
    reveal_at_hand(SecretValue(command=f"touch {tmp_path}/ran; echo never-revealed"))
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("password", "mistake"),
    [
        ("{env: SHOP_UNSET}", "The environment variable 'SHOP_UNSET' is not set, so the secret is unknown; export it."),
        ("{env: SHOP_EMPTY}", "The secret from the environment variable 'SHOP_EMPTY' is empty; put the secret there."),
        ("{env: SHOP_SHORT}", "The secret from the environment variable 'SHOP_SHORT' has fewer than 8 characters"),
        ("{file: missing}", "missing' cannot be read: there is no such regular file."),
        ("{file: /dev/zero}", "The secret from the file '/dev/zero' cannot be read: there is no such regular file."),
        ("{file: binary}", "binary' is not UTF-8; store it as text."),
        ("{command: 'echo hunter2-hunter2; exit 3'}", "the command 'echo …' cannot be had: it ended with status 3;"),
        ("{command: 'true'}", "The secret from the command 'true …' is empty"),
        ("hunter2-hunter2", "a secret does not stand in the fleet file itself; write {env: NAME}, {file: PATH} or"),
        ("[hunter2-hunter2]", "a secret does not stand in the fleet file itself; write {env: NAME}, {file: PATH} or"),
        ("{}", "a secret comes from exactly one place; write {env: NAME}, {file: PATH} or"),
        ("{env: A, file: b}", "a secret comes from exactly one place; write {env: NAME}, {file: PATH} or"),
        ("{command: ' '}", "the command of a secret is empty or holds a NUL"),
        ("{env: 'A B'}", "password.env: "),
        ("{value: hunter2-hunter2}", "unknown key 'value'"),
    ],
)
def test_a_secret_that_cannot_be_had_is_a_mistake_with_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, password: str, mistake: str
) -> None:
    monkeypatch.delenv("SHOP_UNSET", raising=False)
    monkeypatch.setenv("SHOP_EMPTY", "")
    monkeypatch.setenv("SHOP_SHORT", "hush")
    (tmp_path / "binary").write_bytes(b"\xff" * 20)
    told = mistake_of(tmp_path, password)
    assert told.startswith("4:")
    assert "endpoints.web-1.repository.password" in told
    assert mistake in told
    assert "hunter2" not in told


def test_a_secret_shows_where_it_comes_from_and_never_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SIX", "opaque-secret-6")
    secret = SecretValue(env="SHOP_SIX")
    reveal(secret)
    assert (repr(secret), str(secret), f"{secret}") == ("<secret>",) * 3
    assert secret.model_dump(exclude_none=True) == {"env": "SHOP_SIX"}
    assert "opaque-secret-6" not in secret.model_dump_json() + repr([secret]) + repr(secret.__dict__)
    assert secret.origin == "the environment variable 'SHOP_SIX'"


def test_secrets_are_equal_when_they_come_from_the_same_place() -> None:
    assert SecretValue(env="A") == SecretValue(env="A")
    assert SecretValue(env="A") != SecretValue(env="B")
    assert len({SecretValue(env="A"), SecretValue(env="A")}) == 1


def test_the_fleet_dumps_the_source_of_a_secret_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_SEVEN", "dumped-secret-7")
    dumped = parse(tmp_path, "{env: SHOP_SEVEN}").model_dump_json()
    assert '"password":{"env":"SHOP_SEVEN"}' in dumped
    assert "dumped-secret-7" not in dumped


def test_a_secret_in_the_file_itself_is_warned_of_where_a_backend_allows_it(tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match=r"fleet\.yml:4:\d+: .*\.plain: a secret stands in the fleet file itself"):
        parse(tmp_path, "written-down-8", key="plain")
    assert redact("it is written-down-8") == f"it is {REDACTED}"


def test_the_schema_knows_how_a_secret_is_written() -> None:
    schema = fleet_schema({"repositories": {"vault": VaultSettings}})
    assert schema["$defs"]["vault.SecretValue"]["properties"].keys() == {"env", "file", "command"}
