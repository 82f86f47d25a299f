"""What runs after a drill against what ran before: which changes are findings, and how grave they are."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from redrill.analysis.certificates import find_ending
from redrill.analysis.grading import Change, Sort, grade, read_rules
from redrill.analysis.promises import PROMISES, why_not
from redrill.analysis.runtime import KINDS, find_changes
from redrill.errors import UnknownFactError
from redrill.model.finding import Finding, Severity
from redrill.model.observation import Account, Certificate, Observation, Unit
from selftests.observed_samples import NOW, observe_sample, record_run

EMPTY = {kind.name: {} for kind in KINDS}


def look(**facts: Any) -> Observation:
    """Return an observation that knows all kinds; those given are not empty."""
    return observe_sample("web-1", certificates={}, **{"runtime": EMPTY, **facts})


def runtime(**kinds: dict[str, str]) -> dict[str, dict[str, str]]:
    return EMPTY | {name.replace("_", " "): items for name, items in kinds.items()}


def judge(folder: Path, promise: str, before: Observation, after: Observation) -> list[Finding]:
    return find_changes(record_run(folder, {"web-1": after}, {"web-1": before})["web-1"], promise)


def told(findings: list[Finding]) -> list[tuple[str, str, str]]:
    return [(finding.kind, str(finding), finding.severity.value) for finding in findings]


def test_an_endpoint_that_is_as_before_has_no_findings(tmp_path: Path) -> None:
    units = {"nginx.service": Unit(enabled="enabled", active="active (running)")}
    seen = look(units=units, packages={"tar:amd64": "1.34"}, runtime=runtime(sysctls={"net.ipv4.ip_forward": "1"}))
    drift = record_run(tmp_path, {"web-1": seen}, {"web-1": seen})["web-1"]
    assert [
        PROMISES[name](drift) for name in ("units", "accounts", "packages", "network", "kernel", "environment")
    ] == [[] for _ in range(6)]


def test_units_are_judged_by_what_starts_them_and_by_what_they_do(tmp_path: Path) -> None:
    before = {
        "shop.service": Unit(enabled="enabled", active="active (running)"),
        "stock.service": Unit(enabled="static", active="active (running)"),
        "old.service": Unit(enabled="static", active="failed (failed)"),
        "apt.timer": Unit(enabled="disabled", active="inactive (dead)"),
    }
    after = {
        "shop.service": Unit(enabled="disabled", active="failed (failed)"),
        "stock.service": Unit(enabled="static", active="inactive (dead)"),
        "old.service": Unit(enabled="static", active="inactive (dead)"),
        "apt.timer": Unit(enabled="disabled", active="active (waiting)"),
    }
    assert told(judge(tmp_path, "units", look(units=before), look(units=after))) == [
        ("enablement changed", "shop.service: was 'enabled', is 'disabled'", "major"),
        ("activity new", "apt.timer: new: 'active'", "minor"),
        ("activity gone", "old.service: gone, was 'failed (failed)'", "note"),
        ("activity changed", "shop.service: was 'active (running)', is 'failed (failed)'", "major"),
        ("activity gone", "stock.service: gone, was 'active (running)'", "major"),
    ]


def test_a_unit_that_was_caught_at_work_and_a_socket_in_use_are_no_findings(tmp_path: Path) -> None:
    before = {
        "backup.service": Unit(enabled="static", active="activating (start)"),
        "dbus.socket": Unit(enabled="static", active="active (running)"),
        "srv-data.mount": Unit(enabled="generated", active="active (mounted)"),
    }
    after = {
        "backup.service": Unit(enabled="static", active="inactive (dead)"),
        "dbus.socket": Unit(enabled="static", active="active (listening)"),
        "srv-data.mount": Unit(enabled="generated", active="inactive (dead)"),
    }
    assert judge(tmp_path, "units", look(units=before), look(units=after)) == []


def test_a_new_rule_for_sudo_without_a_password_is_critical(tmp_path: Path) -> None:
    after = runtime(
        sudo_rules={"alice ALL=(ALL) NOPASSWD: ALL": "", "bob ALL=(ALL) ALL": ""}, members={"adm alice": ""}
    )
    assert told(judge(tmp_path, "accounts", look(), look(runtime=after))) == [
        ("members new", "adm alice: new", "major"),
        ("sudo rules new", "alice ALL=(ALL) NOPASSWD: ALL: new", "critical"),
        ("sudo rules new", "bob ALL=(ALL) ALL: new", "major"),
    ]


def test_users_and_groups_are_compared_as_a_whole(tmp_path: Path) -> None:
    alice = Account(uid=1000, gid=1000, home="/home/alice", shell="/bin/bash")  # noqa: S604 - a field of passwd
    before = look(users={"alice": alice}, groups={"shop": 990})
    after = look(users={"alice": alice.model_copy(update={"uid": 1001})}, groups={"shop": 991})
    assert told(judge(tmp_path, "accounts", before, after)) == [
        (
            "users changed",
            "alice: was '1000:1000 /home/alice /bin/bash', is '1001:1000 /home/alice /bin/bash'",
            "critical",
        ),
        ("groups changed", "shop: was '990', is '991'", "critical"),
    ]


def test_the_network_is_judged_by_what_can_be_reached(tmp_path: Path) -> None:
    before = runtime(
        listeners={"tcp 0.0.0.0:80": "nginx of nginx.service"},
        routes={"default": "via 192.0.2.1 dev eth0", "198.51.100.0/24": "dev eth1"},
        firewall={"inet shop input": "policy drop;\ntcp dport 22 accept\ntcp dport 80 accept", "inet old x": ""},
    )
    after = runtime(
        listeners={"tcp 0.0.0.0:80": "python3 of shop.service"},
        firewall={"inet shop input": "policy drop;\ntcp dport 80 accept\ntcp dport 22 accept"},
    )
    assert told(judge(tmp_path, "network", look(runtime=before), look(runtime=after))) == [
        ("listeners changed", "tcp 0.0.0.0:80: was 'nginx of nginx.service', is 'python3 of shop.service'", "major"),
        ("routes gone", "198.51.100.0/24: gone, was 'dev eth1'", "major"),
        ("routes gone", "default: gone, was 'via 192.0.2.1 dev eth0'", "critical"),
        ("firewall gone", "inet old x: gone", "critical"),
        ("firewall changed", "inet shop input: + tcp dport 80 accept; - tcp dport 80 accept", "critical"),
    ]


def test_a_fact_that_is_unknown_on_one_side_is_no_clean_bill(tmp_path: Path) -> None:
    unknown = look(unknown={"firewall": "permission denied"})
    with pytest.raises(UnknownFactError, match="firewall of 'web-1' are unknown: permission denied"):
        judge(tmp_path, "network", look(), unknown)


def test_a_fact_that_could_be_seen_on_one_side_only_is_unknown(tmp_path: Path) -> None:
    absent = look(absent={"firewall": "there is nothing of the kind"})
    with pytest.raises(UnknownFactError, match="could not be seen after the drill: there is nothing"):
        judge(tmp_path, "network", look(), absent)


def test_a_record_of_an_older_redrill_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownFactError, match="Drill it again"):
        judge(tmp_path, "network", look(runtime={}), look())


def test_promises_that_need_a_running_system_do_not_apply_to_a_directory(tmp_path: Path) -> None:
    absent = {
        kind.fact: "it has no running system" for kind in KINDS if kind.promise not in ("accounts", "environment")
    }
    drift = record_run(tmp_path, {"web-1": look(absent=absent)})["web-1"]
    applicable = [name for name in (*dict.fromkeys(kind.promise for kind in KINDS), "runtime leaks") if name]
    assert [name for name in applicable if not why_not(name, drift)] == ["accounts", "environment"]


def test_every_change_of_every_kind_has_a_grade_with_a_reason() -> None:
    for kind in (kind.name for kind in KINDS if kind.promise):
        for sort in Sort:
            sides = {"before": None if sort is Sort.NEW else "a", "after": None if sort is Sort.GONE else "b"}
            change = Change(kind=kind, item="item", **sides)
            assert change.sort is sort
            assert grade(change).why


def test_every_rule_is_about_a_kind_that_is_compared() -> None:
    assert {rule.kind for rule in read_rules()} == {kind.name for kind in KINDS if kind.promise}


def ending(days: float | None) -> Certificate:
    end = None if days is None else NOW + timedelta(days=days)
    return Certificate(subject="CN=shop", issuer="CN=us", not_after=end, sha256="ab" * 32)


def test_certificates_that_have_ended_or_end_within_a_fortnight_are_findings(tmp_path: Path) -> None:
    certificates = {"/a": ending(-1), "/b": ending(13.9), "/c": ending(14.1), "/d": ending(None)}
    drift = record_run(tmp_path, {"web-1": observe_sample("web-1", certificates=certificates)})["web-1"]
    assert [(each.subject, each.kind, each.severity) for each in find_ending(drift)] == [
        ("/a", "expired", Severity.CRITICAL),
        ("/b", "expires soon", Severity.MAJOR),
        ("/d", "not understood", Severity.NOTE),
    ]


def test_a_list_of_whom_to_trust_may_hold_some_that_are_past(tmp_path: Path) -> None:
    names = ["/ca.pem", *(f"/ca.pem#{number}" for number in range(2, 11))]
    seen = observe_sample("web-1", certificates={name: ending(-1 if name == "/ca.pem#3" else 99) for name in names})
    findings = find_ending(record_run(tmp_path, {"web-1": seen})["web-1"])
    assert [(each.subject, each.severity) for each in findings] == [("/ca.pem#3", Severity.NOTE)]


def test_certificates_that_were_never_looked_for_are_unknown(tmp_path: Path) -> None:
    drift = record_run(tmp_path, {"web-1": observe_sample("web-1")})["web-1"]
    with pytest.raises(UnknownFactError, match="not observed"):
        find_ending(drift)
