"""The laws: kept by sound endpoints, and each broken by what it is about."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from selftests.support.drills import Drilled
from selftests.support.history import violations
from selftests.support.orchard import ENDPOINTS, Orchard, plant_orchard

MORE = "test_a_second_drill_changes_nothing_more"
ORDER = "test_the_order_of_endpoints_does_not_matter"
RESTORED = "test_what_is_restored_is_what_was_backed_up"
LESS = "test_less_state_is_never_healthier"
LAWS = (MORE, ORDER, RESTORED, LESS)

LOSSY = {
    "kind": "command",
    "snapshots": 'for file in loose/*.tar; do printf \'{"id": "%s", "created": "%s"}\\n\' "$(basename "$file" .tar)" '
    '"$(date -u -r "$file" +%Y-%m-%dT%H:%M:%SZ)"; done',
    "create": "mkdir -p loose && tar --format=posix -C lab/oak-1/root -cf loose/$REDRILL_RUN.tar home etc var; "
    'echo "$REDRILL_RUN"',
    "open": 'cat "loose/$REDRILL_SNAPSHOT.tar"',
}
"""A backup by a plain tar, which keeps no extended attributes."""


@pytest.fixture
def orchard(tmp_path: Path) -> Orchard:
    return plant_orchard(tmp_path)


def drill(orchard: Orchard, tmp_path: Path) -> Drilled:
    return orchard.drill(tmp_path / "reports", "--redrill-laws")


def broken_laws(run: Drilled) -> set[str]:
    return {test for test in run.red if test.startswith(LAWS)}


def second_records(run: Drilled) -> list[Path]:
    assert run.folder
    return sorted(run.folder.glob(f"{run.folder.name}-again/records/*.json"))


def on_boot(orchard: Orchard, endpoint: str, script: str) -> None:
    (orchard.root(endpoint) / "etc/rc.start/70-fault").write_text(f"{script}\n")


def give_up_early(orchard: Orchard) -> None:
    """Have nobody wait a minute for an application that does not come back."""
    orchard.edit("rto: 30s", "rto: 3s")


def test_sound_endpoints_keep_every_law_and_nothing_is_left_on_them(orchard: Orchard, tmp_path: Path) -> None:
    run = drill(orchard, tmp_path)
    assert run.status == 0, run.output
    assert {f"{law}[{name}]" for law in LAWS for name in ENDPOINTS} - run.tests("passed") == {f"{LESS}[elm-1]"}
    assert [file.stem for file in second_records(run)] == sorted(ENDPOINTS)
    assert violations(second_records(run)[0].parents[1]) == []
    cases = json.loads(second_records(run)[0].read_text())["phases"]
    assert any("hard cases" in phase["detail"] for phase in cases)
    assert [str(path) for path in (tmp_path / "lab").rglob(".redrill-*") if "root" in path.parts] == []


def test_each_law_is_broken_by_what_it_is_about(orchard: Orchard, tmp_path: Path) -> None:
    give_up_early(orchard)
    orchard.edit("oak-1: {role: app", f"oak-1: {{role: app, repository: {json.dumps(LOSSY)}")
    (orchard.root("elm-1") / "etc/generations").touch()
    on_boot(orchard, "elm-1", 'echo another >> "$ROOT/etc/generations"')
    poison = orchard.root("ash-1") / "var/a-poison"
    poison.touch()
    (poison.parent / "b-nothing").touch()
    counted = f"$(grep -c ash-1 '{tmp_path}/boots')"
    # Harmless in the first drill, else there would be no second one: a sick endpoint is not drilled.
    is_poisoned = f'[ {counted} -gt 1 ] && [ -e "$ROOT/var/a-poison" ]'
    on_boot(orchard, "ash-1", f'if {is_poisoned}; then rm "$ROOT/run/app.started"; fi')
    run = drill(orchard, tmp_path)
    assert broken_laws(run) == {f"{RESTORED}[oak-1]", f"{MORE}[elm-1]", f"{LESS}[ash-1]", f"{ORDER}[ash-1]"}
    assert run.status == 1, run.output


def test_an_endpoint_that_depends_on_the_order_breaks_that_law_only(orchard: Orchard, tmp_path: Path) -> None:
    give_up_early(orchard)
    # In the second drill 'ash-1' has booted three times before 'oak-1' does for the first time.
    counted = f"$(grep -c ash-1 '{tmp_path}/boots')"
    on_boot(orchard, "oak-1", f'if [ {counted} -gt 2 ]; then rm "$ROOT/run/app.started"; fi')
    run = drill(orchard, tmp_path)
    assert broken_laws(run) == {f"{ORDER}[oak-1]"}


def test_without_a_second_drill_no_law_is_judged(orchard: Orchard, tmp_path: Path) -> None:
    run = orchard.drill(tmp_path / "reports", "-k", "test_a_second or test_image", "--redrill-endpoint=ash-1")
    assert run.outcomes[f"{MORE}[ash-1]"] == "skipped"
    assert second_records(run) == []


@pytest.fixture
def confirmed(orchard: Orchard) -> Orchard:
    """A fleet whose plans somebody has to read and confirm."""
    orchard.edit("disposable: true\n", "")
    orchard.edit("guards:", "guards:\n  allow_token: {required: false}")
    give_up_early(orchard)
    return orchard


def plan(orchard: Orchard, *more: str) -> str:
    """Return the id of a plan of one endpoint, as the command prints it."""
    program = Path(sys.executable).with_name("redrill")
    words = ["plan", orchard.fleet, "--mode", "replace", "--environment", "lab", "--endpoint", "ash-1", *more]
    done = subprocess.run([program, *words], capture_output=True, text=True, check=True)
    assert ("--redrill-laws --environment lab --confirm" in done.stdout) is ("--redrill-laws" in more)
    return done.stdout.split()[-1]


def test_a_plan_that_names_both_drills_is_confirmed_once_for_them(confirmed: Orchard, tmp_path: Path) -> None:
    chosen = (f"--redrill-confirm={plan(confirmed, '--redrill-laws')}", "--redrill-endpoint=ash-1")
    run = confirmed.drill(tmp_path / "reports", "--redrill-laws", *chosen)
    assert run.status == 0, run.output
    assert [file.stem for file in second_records(run)] == ["ash-1"]


def test_a_plan_of_one_drill_is_no_word_for_two(confirmed: Orchard, tmp_path: Path) -> None:
    before = confirmed.boots
    for chosen, words in (
        ([f"--redrill-confirm={plan(confirmed)}"], "is not what would be done now: the purpose changed."),
        ([], "It has to be a plan to drill twice for the laws (--redrill-laws)."),
    ):
        run = confirmed.drill(tmp_path / "reports", "--redrill-laws", "--redrill-endpoint=ash-1", *chosen)
        assert (run.status, "Nothing was touched" in run.output) == (10, True), run.output
        assert words in " ".join(run.output.split())
    assert confirmed.boots == before


def test_what_is_not_as_the_confirmed_plan_says_is_not_drilled_again(confirmed: Orchard, tmp_path: Path) -> None:
    on_boot(
        confirmed,
        "ash-1",
        'tr 0-9a-f 1-9a-f0 <"$ROOT/etc/machine-id" >"$ROOT/run/id"; cat "$ROOT/run/id" >"$ROOT/etc/machine-id"',
    )
    chosen = (f"--redrill-confirm={plan(confirmed, '--redrill-laws')}", "--redrill-endpoint=ash-1")
    run = confirmed.drill(tmp_path / "reports", "--redrill-laws", *chosen)
    assert run.status == 10, run.output
    assert "the identity of 'ash-1' changed. Nothing more was touched" in " ".join(run.output.split())
    assert second_records(run) == []


def test_a_fleet_whose_endpoints_are_not_wiped_twice_in_a_row_knows_no_laws(orchard: Orchard, tmp_path: Path) -> None:
    orchard.edit("guards:", "guards:\n  min_interval: 1h")
    before = orchard.boots
    run = drill(orchard, tmp_path)
    assert (run.status, orchard.boots) == (10, before), run.output
    assert "'guards.min_interval'" in run.output


def test_other_modes_know_no_laws(orchard: Orchard, tmp_path: Path) -> None:
    run = orchard.drill(tmp_path / "reports", "--redrill-mode=observe", "--redrill-laws")
    assert run.status == 4
    assert "--redrill-laws" in run.output
