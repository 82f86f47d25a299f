"""The fleet view: which endpoint of a role is not like most of them, in what."""

from pathlib import Path
from typing import Any

import pytest

from redrill.analysis.drift import Drift
from redrill.analysis.outliers import find_outliers
from redrill.analysis.peers import peers_of
from redrill.errors import UnknownFactError
from redrill.model.finding import Finding, Severity
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.observation import Account, Unit
from selftests.observed_samples import file_entry, manifest_of, observe_sample, record_run


def findings_of(folder: Path, facts: dict[str, dict], files: dict[str, list] | None = None) -> dict[str, list[Finding]]:
    """Return the findings of each endpoint by its facts and the entries of its state manifest."""
    return {name: find_outliers(drift) for name, drift in drifts_of(folder, facts, files).items()}


def drifts_of(folder: Path, facts: dict[str, dict], files: dict[str, list] | None = None) -> dict[str, Drift]:
    seen = {}
    for name, more in facts.items():
        manifest = manifest_of(folder, f"{name}.jsonl", *(files or {}).get(name, []))
        seen[name] = observe_sample(name, state_manifest=manifest, **more)
    return record_run(folder, seen)


NAMES = ("web-1", "web-2", "web-3")


def ana(uid: int) -> dict[str, Any]:
    return {"users": {"ana": Account(uid=uid, gid=1000, home="/home/ana", shell="/bin/sh")}}  # noqa: S604 - no command


def told(findings: dict[str, list[Finding]]) -> dict[str, list[tuple[str, str]]]:
    return {name: [(each.kind, each.subject) for each in rows] for name, rows in findings.items() if rows}


def webs(*values: dict) -> dict[str, dict]:
    return {f"web-{number}": value for number, value in enumerate(values, 1)}


def test_the_one_that_differs_is_named_with_what_most_have(tmp_path: Path) -> None:
    versions = webs(*({"packages": {"nginx:amd64": version}} for version in ("1.2", "1.2", "1.1")))
    found = findings_of(tmp_path, versions)
    assert told(found) == {"web-3": [("outlier: packages", "nginx:amd64")]}
    assert found["web-3"][0].detail == "1.1 here, 1.2 on 2 of 3"
    assert found["web-3"][0].severity is Severity.MAJOR


def test_what_only_one_has_and_what_only_one_lacks_are_told(tmp_path: Path) -> None:
    common = {"nginx:amd64": "1", "curl:amd64": "1"}
    found = findings_of(
        tmp_path,
        webs({"packages": common}, {"packages": common | {"gdb:amd64": "9"}}, {"packages": {"nginx:amd64": "1"}}),
    )
    assert {name: [str(each) for each in rows] for name, rows in found.items()} == {
        "web-1": [],
        "web-2": ["gdb:amd64: 9 here, absent on 2 of 3"],
        "web-3": ["curl:amd64: absent here, 1 on 2 of 3"],
    }


@pytest.mark.parametrize(
    ("kind", "most", "one"),
    [
        ("vendor release", {"vendor_release": {"VERSION_ID": "12"}}, {"vendor_release": {"VERSION_ID": "11"}}),
        ("users", ana(1000), ana(0)),
        ("groups", {"groups": {"adm": 4}}, {"groups": {"adm": 5}}),
        (
            "units",
            {"units": {"a.service": Unit(enabled="enabled", active="active (running)")}},
            {"units": {"a.service": Unit(enabled="disabled", active="active (running)")}},
        ),
        ("sysctls", {"runtime": {"sysctls": {"vm.swap": "0"}}}, {"runtime": {"sysctls": {"vm.swap": "1"}}}),
        ("listeners", {"runtime": {"listeners": {"tcp 0.0.0.0:80": "x"}}}, {"runtime": {"listeners": {}}}),
        ("firewall", {"runtime": {"firewall": {"drop": ""}}}, {"runtime": {"firewall": {"accept": "", "drop": ""}}}),
    ],
)  # fmt: skip
def test_every_facet_is_compared(tmp_path: Path, kind: str, most: dict, one: dict) -> None:
    found = findings_of(tmp_path, webs(most, one, most, most))
    assert [each.kind for each in found.pop("web-2")] == [f"outlier: {kind}"]
    assert all(rows == [] for rows in found.values())


def test_files_of_etc_are_compared_by_hash_and_mode(tmp_path: Path) -> None:
    same = [file_entry("/etc/app.conf", "a" * 64), file_entry("/etc/shadow", "s" * 64, 0o640)]
    files = {
        "web-1": [*same, file_entry("/var/lib/app", "1" * 64)],
        "web-2": [file_entry("/etc/app.conf", "b" * 64), file_entry("/etc/shadow", "s" * 64, 0o644)],
        "web-3": same,
    }
    assert told(findings_of(tmp_path, webs({}, {}, {}), files)) == {
        "web-2": [("outlier: files", "/etc/app.conf"), ("outlier: files", "/etc/shadow")]
    }


def test_what_is_each_hosts_own_is_not_compared(tmp_path: Path) -> None:
    paths = ("/etc/hostname", "/etc/ssh/ssh_host_rsa_key", "/etc/netplan/50-a.yaml", "/etc/fstab", "/etc/ld.so.cache")
    files = {name: [file_entry(path, digest * 64) for path in paths] for name, digest in zip(NAMES, "aab", strict=True)}
    listeners = ["udp 0.0.0.0:41234", "udp 0.0.0.0:50000", "unix /run/x"]
    facts = webs(*({"runtime": {"listeners": {name: "x"}, "sysctls": {"fs.file-max": name}}} for name in listeners))
    assert told(findings_of(tmp_path, facts, files)) == {}


def test_a_value_that_everybody_has_for_himself_is_the_hosts_own(tmp_path: Path) -> None:
    files = {name: [file_entry("/etc/app.key", digest * 64)] for name, digest in zip(NAMES, "abc", strict=True)}
    assert told(findings_of(tmp_path, webs({}, {}, {}), files)) == {}


def test_an_endpoints_own_addresses_and_name_differ_from_nobodys(tmp_path: Path) -> None:
    facts = webs(
        *(
            {
                "runtime": {
                    "addresses": {f"10.0.0.{number}": "eth0"},
                    "listeners": {f"tcp 10.0.0.{number}:80": "nginx"},
                    "firewall": {f"ip daddr 10.0.0.{number} accept": f"comment web-{number}"},
                }
            }
            for number in (1, 11, 3)
        )
    )
    facts["web-2"]["runtime"]["firewall"] = {"ip daddr 10.0.0.11 accept": "comment web-2"}
    assert told(findings_of(tmp_path, facts)) == {}


def test_two_camps_are_a_note_for_everybody(tmp_path: Path) -> None:
    found = findings_of(tmp_path, webs(*({"groups": {"adm": number}} for number in (4, 4, 5, 5))))
    assert {each.severity for rows in found.values() for each in rows} == {Severity.NOTE}
    assert len(told(found)) == 4
    assert found["web-4"][0].detail == "gid 5 here; at most 2 of 4 agree (gid 4)"


def test_two_endpoints_have_no_majority(tmp_path: Path) -> None:
    found = findings_of(tmp_path, webs({"groups": {"adm": 4}}, {"groups": {"adm": 5}}))
    assert {name: [(each.kind, each.severity) for each in rows] for name, rows in found.items()} == {
        "web-1": [("too few", Severity.NOTE)],
        "web-2": [("too few", Severity.NOTE)],
    }


def test_a_peer_that_does_not_know_has_no_vote(tmp_path: Path) -> None:
    blind = {"unknown": {"groups": "permission denied"}}
    drifts = drifts_of(tmp_path, webs({"groups": {"adm": 4}}, {"groups": {"adm": 4}}, blind, {"groups": {"adm": 5}}))
    assert [each.detail for each in find_outliers(drifts["web-4"])] == ["gid 5 here, gid 4 on 2 of 3"]
    assert find_outliers(drifts["web-1"]) == []


def test_an_endpoint_that_does_not_know_is_unknown(tmp_path: Path) -> None:
    manifest = manifest_of(tmp_path, "m.jsonl")
    for facts in (
        {"unknown": {"sudo rules": "denied"}, "state_manifest": manifest},
        {"unknown": {"state_manifest": "x"}},
    ):
        seen = {f"web-{n}": observe_sample(f"web-{n}", **facts) for n in (1, 2, 3)}
        with pytest.raises(UnknownFactError):
            find_outliers(record_run(tmp_path, seen)["web-1"])


def test_peers_are_the_endpoints_of_a_role() -> None:
    roles = {"web-1": "web", "db-1": "db", "web-2": "web", "spare": None}
    endpoints = tuple(Endpoint(name=name, role=role) for name, role in roles.items())
    fleet = Fleet(name="shop", source=Path("/fleet.yml"), endpoints=endpoints)
    assert peers_of(fleet, "web-1") == ("web-1", "web-2")
    assert peers_of(fleet, "spare") == ()
