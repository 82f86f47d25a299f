"""Where an endpoint names itself: how it is searched, and what is judged of it."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from redrill.analysis.identity import Situation
from redrill.analysis.references import find_host_references, judge_references
from redrill.errors import UnknownFactError
from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline
from redrill.model.finding import Severity
from redrill.model.fleet import Endpoint
from redrill.model.host_reference import HostReference, TokenKind
from redrill.probes.facts.references import MOST_HITS, parse_references, reference_fact
from selftests.observed_samples import observe_sample, record_run

MACHINE_ID = "5f0c6d3b3b9e4a55a2c3d1f09f7f6c11"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write(tmp_path, "etc/hostname", "oak-1\n")
    write(tmp_path, "etc/machine-id", f"{MACHINE_ID}\n")
    return tmp_path


def write(root: Path, path: str, text: str | bytes) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(text.encode() if isinstance(text, str) else text)


def search(root: Path, *more: str, kilobytes: int = 512) -> dict[str, list[tuple[str, tuple[int, ...]]]]:
    """Return kinds and lines by path, but for the two files that say who the endpoint is."""
    fact = reference_fact(more, kilobytes)
    found = fact.parse(LocalMachine("oak-1", root).run(fact.command, Deadline.after(20)).checked().text)["references"]
    rows: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for each in found:
        rows.setdefault(each.path, []).append((each.kind.value, each.lines))
    return {path: row for path, row in rows.items() if path not in ("/etc/hostname", "/etc/machine-id")}


def refer(path: str, kind: TokenKind, value: str = "t", lines: tuple[int, ...] = (1,)) -> HostReference:
    return HostReference(path=path, kind=kind, token=value, lines=lines)


def test_references_are_told_by_line_and_kind(root: Path) -> None:
    write(root, "etc/app/app.conf", f"listen = all\nname = oak-1\nlicence={MACHINE_ID.upper()}\nalso = OAK-1\n")
    assert search(root) == {"/etc/app/app.conf": [("machine id", (3,)), ("name", (2, 4))]}


@pytest.mark.parametrize("line", ["oak-10", "myoak-1", "oak-1x", "oak_1", "soak-1-b", "poplar"])
def test_a_part_of_another_word_is_no_reference(root: Path, line: str) -> None:
    write(root, "etc/app.conf", f"server {line}\n")
    assert search(root) == {}


@pytest.mark.parametrize("line", ["http://oak-1/", "user@oak-1:", "oak-1.", "'oak-1'", "oak-10 oak-1", "\tOak-1"])
def test_a_word_of_its_own_is_a_reference(root: Path, line: str) -> None:
    write(root, "etc/app.conf", f"{line}\n")
    assert search(root) == {"/etc/app.conf": [("name", (1,))]}


@pytest.mark.parametrize("mark", ["#", "  # ", ";", "//"])
def test_a_comment_binds_nothing(root: Path, mark: str) -> None:
    write(root, "etc/app.conf", f"{mark} oak-1\n")
    assert search(root) == {}


def test_a_full_name_is_not_also_a_short_one(root: Path) -> None:
    write(root, "etc/hosts", "127.0.1.1 oak-1.wood.example oak-1\n")
    write(root, "etc/app.conf", "server oak-1.wood.example\nname oak-1\n")
    assert search(root) == {
        "/etc/hosts": [("full name", (1,))],
        "/etc/app.conf": [("full name", (1,)), ("name", (2,))],
    }


def test_units_cron_and_declared_data_are_searched_and_nothing_else(root: Path) -> None:
    places = (
        "etc/systemd/system/a.service",
        "var/spool/cron/crontabs/alice",
        "home/alice/.config/systemd/user/b.service",
        "srv/the shop/conf/c.ini",
    )
    for place in (*places, "home/alice/notes", "var/lib/app/data", "srv/other/d.ini"):
        write(root, place, "oak-1\n")
    assert search(root, "/srv/the shop/*") == {f"/{place}": [("name", (1,))] for place in sorted(places)}


def test_what_is_binary_or_big_is_left_out(root: Path) -> None:
    write(root, "etc/app.db", b"oak-1\n\0\1\2")
    write(root, "etc/app.log", "oak-1\n" + "x" * 5000)
    assert search(root, kilobytes=4) == {}


def test_a_short_or_common_name_is_not_searched_for(root: Path) -> None:
    write(root, "etc/app.conf", "db localhost\n")
    for name in ("db", "localhost"):
        write(root, "etc/hostname", f"{name}\n")
        assert search(root) == {}


def test_neither_lines_nor_tokens_are_kept(root: Path) -> None:
    write(root, "etc/app.conf", f"password=hunter2 {MACHINE_ID}\n")
    fact = reference_fact()
    text = LocalMachine("oak-1", root).run(fact.command, Deadline.after(20)).checked().text
    assert "hunter2" not in text
    kept = fact.parse(text)
    assert MACHINE_ID not in str(kept)
    assert {len(token) for tokens in kept["own_tokens"].values() for token in tokens} == {16}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name\toak-1\n", "before it began"),
        ("name\toak-1\n\x1e\nlate\n", "longer than"),
        ("name\toak-1\n\x1e\n" + "1\t1\t./etc/a\n" * (MOST_HITS + 1), "more than"),
        ("name\toak-1\n\x1e\n7\t1\t./etc/a\n", "out of range"),
    ],
)
def test_a_search_that_did_not_end_well_is_unknown(text: str, words: str) -> None:
    with pytest.raises((ValueError, LookupError), match=words):
        parse_references(text)


@pytest.mark.parametrize("pattern", ["srv/shop", "", "/srv/\n"])
def test_declared_data_have_absolute_paths(pattern: str) -> None:
    with pytest.raises(ValidationError, match="no absolute path"):
        Endpoint(name="oak-1", references=(pattern,))


@pytest.mark.parametrize(
    ("kind", "replace", "relocate"),
    [
        (TokenKind.NAME, Severity.NOTE, Severity.MAJOR),
        (TokenKind.FQDN, Severity.NOTE, Severity.MAJOR),
        (TokenKind.ADDRESS, Severity.NOTE, Severity.MAJOR),
        (TokenKind.MAC, Severity.MAJOR, Severity.MAJOR),
        (TokenKind.DISK, Severity.MAJOR, Severity.MAJOR),
        (TokenKind.INTERFACE, Severity.MINOR, Severity.MINOR),
        (TokenKind.MACHINE_ID, Severity.MINOR, Severity.MINOR),
    ],
)
def test_references_are_ranked_by_what_changes(kind: TokenKind, replace: Severity, relocate: Severity) -> None:
    for situation, severity in ((Situation.REPLACE, replace), (Situation.RELOCATE, relocate)):
        (finding,) = judge_references((refer("/etc/app.conf", kind, lines=(3, 7)),), situation, "web-1")
        assert (finding.severity, finding.facts["token"]) == (severity, kind.value)
        assert finding.detail == f"names the endpoint's own {kind.value} in lines 3, 7"


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/etc/hosts", TokenKind.NAME),
        ("/etc/ssh/ssh_host_rsa_key.pub", TokenKind.NAME),
        ("/etc/systemd/network/10-lan.network", TokenKind.MAC),
        ("/etc/netplan/50-cloud-init.yaml", TokenKind.ADDRESS),
        ("/etc/nftables.conf", TokenKind.INTERFACE),
        ("/etc/fstab", TokenKind.DISK),
    ],
)
def test_a_reference_where_it_is_expected_is_no_finding(path: str, kind: TokenKind) -> None:
    assert judge_references((refer(path, kind),), Situation.RELOCATE, "web-1") == []
    elsewhere = refer(path.replace("/etc", "/etc/cron.d"), kind)
    assert judge_references((elsewhere,), Situation.RELOCATE, "web-1") != []


def test_several_tokens_of_a_kind_in_a_file_are_one_finding() -> None:
    cards = (refer("/etc/app", TokenKind.MAC, "a", (4, 2)), refer("/etc/app", TokenKind.MAC, "b", (3, 2)))
    (finding,) = judge_references(cards, Situation.REPLACE, "web-1")
    assert finding.facts["lines"] == "2, 3, 4"


def test_a_reference_that_the_drill_broke_is_critical_wherever_it_stands(tmp_path: Path) -> None:
    disk, card = refer("/etc/fstab", TokenKind.DISK, "old"), refer("/etc/netplan/a.yaml", TokenKind.MAC, "same")
    before = observe_sample("web-1", references=(disk, card), own_tokens={"disk id": ("old",)})
    after = observe_sample("web-1", references=(card,), own_tokens={"disk id": ("new",), "hardware address": ("same",)})
    (finding,) = find_host_references(record_run(tmp_path, {"web-1": after}, {"web-1": before})["web-1"])
    assert (finding.kind, finding.subject) == ("broken reference: disk id", "/etc/fstab")
    assert finding.severity is Severity.CRITICAL


def test_what_says_who_the_endpoint_is_cannot_be_broken(tmp_path: Path) -> None:
    places = (("/etc/machine-id", TokenKind.MACHINE_ID), ("/etc/netplan/a.yaml", TokenKind.ADDRESS))
    before = observe_sample(
        "web-1", references=tuple(refer(*place, "old") for place in places), own_tokens={"machine id": ("old",)}
    )
    after = observe_sample("web-1", own_tokens={"machine id": ("new",), "address": ("new",)})
    assert find_host_references(record_run(tmp_path, {"web-1": after}, {"web-1": before})["web-1"]) == []


@pytest.mark.parametrize("facts", [{}, {"own_tokens": {"name": ("t",)}, "unknown": {"references": "late"}}])
def test_references_that_were_not_searched_for_are_unknown(tmp_path: Path, facts) -> None:
    drift = record_run(tmp_path, {"web-1": observe_sample("web-1", **facts)})["web-1"]
    with pytest.raises(UnknownFactError):
        find_host_references(drift)
