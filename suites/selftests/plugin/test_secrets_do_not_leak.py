"""Twelve kinds of secrets, let out by every route that a test has, are found nowhere afterwards."""

import json
from pathlib import Path

import pytest

from selftests.support.canaries import ROUTES, TESTS, Canary, exposed, hatch, search
from selftests.support.drills import Drilled, run_pytest
from selftests.support.trees import tree_fleet


@pytest.fixture
def canaries(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Canary]:
    """Canaries, and a file from which the tests that leak them read them."""
    hatched = hatch()
    monkeypatch.setenv("CANARY_FILE", str(tmp_path / "canaries.json"))
    (tmp_path / "canaries.json").write_text(json.dumps([canary.shown for canary in hatched.values()]))
    return hatched


@pytest.fixture
def fleet(tmp_path: Path, canaries: dict[str, Canary], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fleet of directories, each of which has a secret from another place."""
    file = tree_fleet(tmp_path)
    monkeypatch.setenv("ORCHARD_KEY", canaries["fleet-env"].shown)
    (tmp_path / "orchard.key").write_text(canaries["fleet-file"].shown + "\n")
    (tmp_path / "orchard.command").write_text(canaries["fleet-command"].shown + "\n")
    sources = {
        "oak-1: {role: app": "{env: ORCHARD_KEY}",
        "elm-1: {role: app": "{file: orchard.key}",
        "ash-1: {role: app": f"{{command: 'cat {tmp_path}/orchard.command'}}",
    }
    text = file.read_text()
    for endpoint, source in sources.items():
        assert endpoint in text
        text = text.replace(endpoint, f"{endpoint}, repository: {{identity: {source}}}")
    file.write_text(text)
    return file


def leak(reports: Path, *arguments: str) -> Drilled:
    """Run the tests that leak everything."""
    reports.mkdir(exist_ok=True)
    (reports / "test_leaks.py").write_text(TESTS)
    return run_pytest(reports, "test_leaks.py", "-p", "no:cacheprovider", "--showlocals", *arguments)


def test_the_canaries_leak_without_a_fleet(tmp_path: Path, canaries: dict[str, Canary]) -> None:
    run = leak(tmp_path / "plain", "--alluredir=results", "--junitxml=junit.xml")
    places = [tmp_path / "plain/results"]
    for kind, canary in canaries.items():
        assert search(places, "", [canary]), f"the canary '{kind}' proves nothing: {run.output}"


@pytest.mark.parametrize(
    "arguments",
    [
        ("-v",),
        ("-n", "2", "-rA"),
        ("-s", "-vv", "--color=yes"),
        ("--tb=native", "--log-file=app.log", "-o", "log_cli=1"),
    ],
    ids=["plain", "workers", "no capture", "native tracebacks and log files"],
)
def test_no_secret_leaves_by_any_route(
    fleet: Path, canaries: dict[str, Canary], tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    reports = tmp_path / "reports"
    run = leak(reports, f"--redrill-fleet={fleet}", *arguments)
    assert run.folder is not None, run.output
    results = list((run.folder / "allure-results").glob("*-result.json"))
    assert len(results) == ROUTES * len(canaries), run.output
    assert not search([reports], run.output, list(canaries.values()))
    assert not exposed(run.folder)


def test_no_secret_leaves_by_a_drill_that_breaks(fleet: Path, canaries: dict[str, Canary], tmp_path: Path) -> None:
    known, shaped = canaries["fleet-command"], canaries["environment"]
    text = fleet.read_text()
    write = '\'echo "$REDRILL_CANARY" >> "$ROOT/var/lib/app/canaries"\''
    assert write in text
    command = f"echo '{shaped.shown}' >&2; cat {tmp_path}/orchard.command >&2; exit 1"
    fleet.write_text(text.replace(write, json.dumps(command)))
    suites = ("--pyargs", "redrill_suites", "-p", "no:cacheprovider")
    run = run_pytest(tmp_path / "reports", *suites, f"--redrill-fleet={fleet}", "--redrill-mode=replace", "-l")
    assert "[redacted]" in run.records["oak-1"]["failure"]["message"], run.output
    assert not search([tmp_path / "reports"], run.output, [known, shaped])
    assert run.folder is not None
    assert not exposed(run.folder)


def test_no_secret_leaves_by_a_test_that_cannot_be_collected(
    fleet: Path, canaries: dict[str, Canary], tmp_path: Path
) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    (reports / "test_wrong.py").write_text(TESTS + "\nraise RuntimeError('\\n'.join(CASES))\n")
    run = run_pytest(reports, "test_wrong.py", "-p", "no:cacheprovider", "-l", f"--redrill-fleet={fleet}")
    assert "test_wrong.py" in run.output
    assert not search([reports], run.output, list(canaries.values()))


def test_an_attached_file_that_holds_secrets_is_shown_by_its_hash(
    fleet: Path, canaries: dict[str, Canary], tmp_path: Path
) -> None:
    reports = tmp_path / "reports"
    reports.mkdir()
    (tmp_path / "shadow").write_text("a list of names and nothing else")
    code = f"import allure\ndef test_it():\n    allure.attach.file({str(tmp_path / 'shadow')!r}, 'file')\n"
    (reports / "test_attach.py").write_text(code)
    run = run_pytest(reports, "test_attach.py", "-p", "no:cacheprovider", f"--redrill-fleet={fleet}")
    assert run.folder is not None, run.output
    (attached,) = (run.folder / "allure-results").glob("*-attachment*")
    assert attached.read_text().startswith("'shadow' is not shown: 32 bytes, sha256 ")
    assert canaries


def test_a_secret_that_cannot_be_had_ends_the_session_before_it_begins(fleet: Path, tmp_path: Path) -> None:
    (tmp_path / "orchard.key").unlink()
    run = run_pytest(tmp_path / "reports", "--pyargs", "redrill_suites", f"--redrill-fleet={fleet}")
    assert run.status == 4
    assert "orchard.key' cannot be read" in run.output
    assert "endpoints.elm-1.repository.identity" in run.output
    assert run.folder is None
