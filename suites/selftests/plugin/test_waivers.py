"""From the first look at a fleet to a run that counts only what nobody has accepted, through real runs."""

import json
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from redrill.cli import main
from selftests.support.drills import Drilled, run_pytest, run_redrill
from selftests.support.orchard import SUITES, Orchard, plant_orchard

TERMS = ("--owner", "ana", "--ticket", "OPS-7", "--reason", "goes with the next image")


@dataclass(frozen=True, slots=True)
class Adopted:
    """A fleet with leaks and changes by hand, the run before they were adopted and the one after."""

    orchard: Orchard
    before: Drilled
    after: Drilled

    @property
    def waivers(self) -> Path:
        return self.orchard.folder / "waivers.yml"


def spoil(orchard: Orchard) -> None:
    """Do by hand what a redeploy loses: a leak on two endpoints, another mode on one."""
    for name in ("oak-1", "elm-1"):
        (orchard.root(name) / "opt/leak").write_text("made by hand\n")
    (orchard.root("oak-1") / "usr/bin/logger").chmod(0o4755)


def drill(orchard: Orchard, reports: Path, *arguments: str) -> Drilled:
    """Spoil the endpoints once more and drill them."""
    spoil(orchard)
    return orchard.drill(reports, *arguments)


@pytest.fixture(scope="module")
def adopted(tmp_path_factory: pytest.TempPathFactory) -> Adopted:
    orchard = plant_orchard(tmp_path_factory.mktemp("adopted"))
    before = drill(orchard, orchard.folder / "reports")
    assert main(["adopt", f"{before.folder}", *TERMS]) == 0
    orchard.edit("disposable: true\n", "disposable: true\nwaivers: waivers.yml\n")
    return Adopted(orchard, before, drill(orchard, orchard.folder / "reports", "-n2"))


@pytest.fixture
def orchard(adopted: Adopted, tmp_path: Path) -> Orchard:
    """The adopted fleet with a fleet file and waivers of its own, so that a test may change them."""
    copy = Orchard(tmp_path)
    for file in (adopted.orchard.fleet, adopted.waivers):
        shutil.copy(file, tmp_path)
    (tmp_path / "lab").symlink_to(adopted.orchard.folder / "lab")
    spoil(adopted.orchard)
    return copy


def observe(orchard: Orchard, *arguments: str) -> Drilled:
    return run_redrill(orchard.fleet, orchard.folder / "reports", *arguments)


def edit_waivers(orchard: Orchard, old: str, new: str, count: int = -1) -> None:
    file = orchard.folder / "waivers.yml"
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, count))


def states(run: Drilled) -> Counter[str]:
    assert run.folder
    lines = (run.folder / "findings.jsonl").read_text().splitlines()
    return Counter(json.loads(line)["state"] for line in lines if json.loads(line)["state"] != "note")


def test_without_waivers_the_endpoints_are_rejected(adopted: Adopted) -> None:
    before = adopted.before
    assert (before.status, before.verdict["decision"]) == (1, "REJECT"), before.output
    assert {"test_nothing_leaks[oak-1]", "test_nothing_leaks[elm-1]"} <= before.red
    assert "test_system_was_not_changed_by_hand[oak-1]" in before.red
    assert set(states(before)) == {"open"}


def test_what_was_adopted_is_waived_and_nothing_is_open(adopted: Adopted) -> None:
    after = adopted.after
    assert (after.status, after.verdict["decision"], after.red) == (0, "APPROVE", set()), after.output
    assert states(after) == {"waived": states(adopted.before)["open"]}
    figures = after.verdict["figures"]["findings"]
    assert (figures["open"], figures["waived"]) == (0, states(after)["waived"])


def test_waived_findings_are_told_with_owner_and_expiry(adopted: Adopted) -> None:
    assert adopted.after.folder
    expiry = (datetime.now(UTC) + timedelta(days=90)).date()
    summary = (adopted.after.folder / "summary.md").read_text()
    assert re.search(
        rf"^- waiver 'leaks-\w+' of ana, OPS-7, until {expiry}: goes with the next image \(2 finding", summary, re.M
    )
    tables = [file.read_text() for file in (adopted.after.folder / "allure-results").glob("*.csv")]
    assert [text for text in tables if f"of ana, OPS-7, until {expiry}" in text]
    assert re.search(r"^findings: \d+ waived", adopted.after.output, re.M)


def test_adopting_again_adds_nothing_and_overwrites_nothing(
    adopted: Adopted, capsys: pytest.CaptureFixture[str]
) -> None:
    text = adopted.waivers.read_text()
    arguments = ["adopt", f"{adopted.before.folder}", *TERMS, "--output", f"{adopted.waivers}"]
    assert main(arguments) == 4
    assert "exists already; say '--update'" in capsys.readouterr().err
    assert main([*arguments, "--update"]) == 0
    assert "There is nothing to adopt" in capsys.readouterr().out
    assert adopted.waivers.read_text() == text


def test_an_update_adopts_what_is_new(orchard: Orchard, adopted: Adopted) -> None:
    name = re.search(r"^  (leaks-\w+):", adopted.waivers.read_text(), re.M)
    assert name
    edit_waivers(orchard, name[1], "leaks-0123456789")
    arguments = ["adopt", f"{adopted.before.folder}", *TERMS, "--output", f"{orchard.folder / 'waivers.yml'}"]
    assert main([*arguments, "--update"]) == 0
    assert f"\n  {name[1]}:\n" in (orchard.folder / "waivers.yml").read_text()


def test_the_findings_of_a_stored_run_are_listed(adopted: Adopted, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["findings", f"{adopted.after.folder}", "--promise", "leaks", "--endpoint", "oak-1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["finding"]["subject"], row["state"]) for row in rows if row["state"] != "note"] == [
        ("/opt/leak", "waived")
    ]
    assert main(["findings", f"{adopted.before.folder}", "--severity", "critical"]) == 0
    assert "/usr/bin/logger" in capsys.readouterr().out


def test_an_endpoint_whose_drill_never_ended_is_not_taken_for_clean(
    adopted: Adopted, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = copy_of(adopted.after, tmp_path)
    (folder / "records/oak-1.json").unlink()
    assert main(["findings", f"{folder}"]) == 0
    assert "Not known: 'every promise' of oak-1: There is no record of its drill." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (("--output", "/nowhere/waivers.yml"), "'/nowhere/waivers.yml' cannot be written: No such file or directory"),
        (("--expires", "1w"), "'1w' is no day; write a date such as '2027-01-31', or a time such as '90d'."),
        (("--expires", "2026-01-31"), "2026-01-31 is over already; name a day to come."),
        (("--promise", "leak"), "'leak' is not one of"),
    ],
)
def test_terms_that_make_no_waiver_are_told(
    adopted: Adopted, capsys: pytest.CaptureFixture[str], more: tuple[str, ...], told: str
) -> None:
    assert main(["adopt", f"{adopted.before.folder}", *TERMS, *more]) == 4
    assert told in capsys.readouterr().err


def test_a_run_is_judged_again_by_the_waivers_that_it_kept(adopted: Adopted, tmp_path: Path) -> None:
    folder = copy_of(adopted.after, tmp_path)
    stored = json.loads((folder / "fleet.json").read_text())
    (folder / "fleet.json").write_text(json.dumps({**stored, "waivers": f"{tmp_path}/gone.yml"}))
    again = run_pytest(tmp_path / "reports", *SUITES, f"--redrill-record={folder}", "-n2")
    assert (again.status, again.outcomes) == (0, adopted.after.outcomes), again.output
    assert again.verdict["findings"] == adopted.after.verdict["findings"]


def test_findings_count_again_from_the_day_after_their_waiver_has_expired(orchard: Orchard) -> None:
    yesterday = (datetime.now(UTC) - timedelta(days=1)).date()
    text = (orchard.folder / "waivers.yml").read_text()
    (orchard.folder / "waivers.yml").write_text(re.sub(r"expires: .*", f"expires: {yesterday}", text))
    run = observe(orchard)
    assert (run.status, run.verdict["decision"]) == (1, "REJECT"), run.output
    assert {"test_nothing_leaks[oak-1]", "test_nothing_leaks[elm-1]"} <= run.red
    assert "counts again: waiver 'leaks-" in run.output
    assert f"of ana, OPS-7, expired on {yesterday}: goes with the next image" in run.output
    assert len(run.verdict["findings"]["expired"]) > 0


def test_findings_are_waived_on_the_last_day(orchard: Orchard) -> None:
    today = datetime.now(UTC).date()
    text = (orchard.folder / "waivers.yml").read_text()
    (orchard.folder / "waivers.yml").write_text(re.sub(r"expires: .*", f"expires: {today}", text))
    run = observe(orchard)
    # Over midnight it may be the day after when the run ends.
    assert run.status == (0 if datetime.now(UTC).date() == today else run.status), run.output


def test_a_waiver_that_is_put_off_for_ever_is_escalated_where_it_counts(orchard: Orchard) -> None:
    edit_waivers(orchard, "endpoints: [elm-1, oak-1]", "endpoints: [elm-1, oak-1]\n    extended: 3", 1)
    run = observe(orchard)
    assert run.red == {"test_waivers_are_in_order[elm-1]", "test_waivers_are_in_order[oak-1]"}
    assert "test_waivers_are_in_order[ash-1]" in run.tests("passed")
    assert "of ana, OPS-7, extended 3 times, until" in run.output
    edit_waivers(orchard, "max_extensions: 2", "max_extensions: 3")
    assert observe(orchard).status == 0


UNUSED = "  none: {match: {promise: leaks, subject: /srv/x}, owner: bo, reason: r, ticket: t, expires: 2999-01-01}\n"


def test_what_matches_nothing_is_reported_and_fails_nothing(orchard: Orchard) -> None:
    file = orchard.folder / "waivers.yml"
    file.write_text(file.read_text() + UNUSED)
    orchard.edit("defaults:\n", "defaults:\n  ignore: [{promise: leaks, subject: /srv/y, reason: r}]\n")
    run = observe(orchard)
    assert run.status == 0, run.output
    assert run.verdict["findings"]["unused"] == [
        "waiver 'none' of bo, t, matched nothing in this run; remove it",
        "the ignore rule for promise 'leaks', subject '/srv/y' (r) matched nothing in this run; remove it",
    ]
    assert run.folder
    assert "- waiver 'none' of bo, t, matched nothing" in (run.folder / "summary.md").read_text()


def test_ignore_rules_of_all_levels_count(orchard: Orchard) -> None:
    orchard.edit("waivers: waivers.yml\n", "")
    orchard.edit("defaults:\n", "defaults:\n  ignore: [{kind: permissions, reason: r}]\n")
    orchard.edit("  bare: {}\n", "  bare:\n    ignore: [{subject: /opt/*, reason: r}]\n")
    orchard.edit("oak-1: {role: app", "oak-1: {ignore: [{subject: /opt/leak, reason: it is a cache}], role: app")
    run = observe(orchard)
    assert (run.status, run.red) == (0, set()), run.output
    assert set(states(run)) == {"ignored"}


@pytest.mark.parametrize(
    ("old", "new", "mistake", "workers"),
    [
        ("owner: ", "owned: ", r"\d+:5: waivers\.\S+\.owned: unknown key 'owned'; did you mean 'owner'\?", ()),
        ("expires: 2", "expires: x2", r"\d+:14: waivers\.\S+\.expires: 'x2\S+' is refused", ("-n2",)),
    ],
)
def test_a_wrong_waivers_file_is_told_with_its_place_before_anything_is_touched(
    orchard: Orchard, old: str, new: str, mistake: str, workers: tuple[str, ...]
) -> None:
    edit_waivers(orchard, old, new, 1)
    before = orchard.manifest()
    run = orchard.drill(orchard.folder / "reports", *workers)
    assert run.status == 4, run.output
    assert len(re.findall(rf"waivers\.yml:{mistake}", run.output)) == 1, run.output
    assert "Traceback" not in run.output
    assert run.folder is None
    assert orchard.manifest() == before


def test_a_waivers_file_that_is_not_there_is_a_usage_error(orchard: Orchard) -> None:
    (orchard.folder / "waivers.yml").unlink()
    run = observe(orchard)
    assert (run.status, run.folder) == (4, None), run.output
    assert f"The waivers file '{orchard.folder}/waivers.yml' cannot be read: No such file or directory" in run.output


def test_the_proof_of_the_redeploy_can_neither_be_waived_nor_ignored(adopted: Adopted, tmp_path: Path) -> None:
    folder = copy_of(adopted.after, tmp_path)
    stored, file = json.loads((folder / "fleet.json").read_text()), folder / "records/oak-1.json"
    for endpoint in stored["endpoints"]:
        endpoint["ignore"] = [{"subject": "**", "reason": "r"}]
    (folder / "fleet.json").write_text(json.dumps({**stored, "waivers": f"{tmp_path}/waivers.yml"}))
    everything = "match: {subject: '**'}, owner: bo, reason: r, ticket: t, expires: 2999-01-01"
    (tmp_path / "waivers.yml").write_text(f"waivers:\n  everything: {{{everything}}}\n")
    record = json.loads(file.read_text())
    stain = next(marker for marker in record["markers"] if not marker["is_survivor"])
    file.write_text(json.dumps(record | {"markers": [*record["markers"], {**stain, "found": stain["nonce"]}]}))
    again = run_pytest(tmp_path / "reports", *SUITES, f"--redrill-record={folder}")
    assert (again.status, again.red) == (1, {"test_stains_outside_the_state_paths_are_gone[oak-1]"}), again.output


def copy_of(run: Drilled, tmp_path: Path) -> Path:
    return Path(shutil.copytree(str(run.folder), tmp_path / "copy"))
