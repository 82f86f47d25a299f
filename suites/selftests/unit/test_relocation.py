"""What is said of an endpoint that came up on a new host, over records without a machine."""

from dataclasses import replace
from pathlib import Path

import pytest

from redrill.analysis.drift import Drift
from redrill.analysis.references import find_host_references, tell_references
from redrill.analysis.relocation import as_on_the_new_host, ill_applications
from redrill.analysis.runtime import find_changes
from redrill.drill.plan import choose_targets, describe_landing, plan_run
from redrill.drill.text_evidence import Texts, write_texts
from redrill.errors import GuardError
from redrill.model.application import Application
from redrill.model.checks import TcpCheck
from redrill.model.finding import Severity
from redrill.model.fleet import Backend, Endpoint, Fleet, Relocation
from redrill.model.host_reference import HostReference, TokenKind
from redrill.model.observation import Observation, Unit
from redrill.model.record import DrillRecord, Location, RelocationFacts
from redrill.model.recovery import ApplicationResult, CheckResult
from redrill.model.values import Mode
from selftests.fleet_samples import mistakes_of
from selftests.observed_samples import NOW, observe_sample

OLD, NEW = "198.18.7.11", "198.18.7.111"
SITE = "/etc/nginx/sites-available/shop"
WEB = Endpoint(
    name="web-1",
    address=OLD,
    expendable=True,
    provisioner=Backend(kind="nspawn"),
    repository=Backend(kind="tar"),
    relocate=Relocation(name="web-1b", address=NEW),
    applications={"shop": Application(units=("nginx.service",), tcp=TcpCheck(port=80))},
)


def reference(path: str, kind: TokenKind = TokenKind.ADDRESS, *lines: int) -> HostReference:
    return HostReference(path=path, kind=kind, token=f"the old {kind}", lines=lines or (2,))


def move(folder: Path, before: Observation, after: Observation, *, healthy: bool = True, **regenerated: str) -> Drift:
    check = CheckResult(check="tcp 80", healthy=healthy)
    record = DrillRecord(
        run="run",
        endpoint="web-1",
        mode=Mode.RELOCATE,
        started=NOW,
        ended=NOW,
        phases=(),
        before=before.model_copy(update={"own_tokens": {"address": ("the old address",)}}),
        after=after.model_copy(update={"own_tokens": {"address": ("the new address",)}}),
        applications={"shop": ApplicationResult(checks=(check,), healthy=healthy)},
        relocation=RelocationFacts(
            name="web-1b", old=Location(address=OLD), new=Location(address=NEW), regenerated=regenerated
        ),
    )
    return Drift(folder, Fleet(name="shop", source=folder / "fleet.yml", endpoints=(WEB,)), record, WEB)


def test_what_names_the_old_host_may_name_the_new_one_instead(tmp_path: Path) -> None:
    drift = move(tmp_path, observe_sample("web-1"), observe_sample("web-1b"))
    before = {OLD: "host0", f"198.18.7.0/24 dev host0 src {OLD}": "", "198.18.7.110": "x", f"tcp {OLD}:80": "nginx"}
    after = {NEW: "host0", f"tcp {OLD}:80": "nginx"}
    assert as_on_the_new_host(drift, before, after) == {
        NEW: "host0",
        f"198.18.7.0/24 dev host0 src {NEW}": "",
        "198.18.7.110": "x",
        f"tcp {OLD}:80": "nginx",
    }


def test_in_another_network_the_ways_out_are_the_new_hosts(tmp_path: Path) -> None:
    def routes(network: str, gateway: str) -> dict[str, object]:
        ways = {f"{network}.0/24": "dev host0 proto kernel", "default metric 100": f"via {gateway} dev host0"}
        return {"runtime": {"routes": {**ways, "broadcast 10.0.0.255": "dev x proto kernel", "10.9.0.0/16": "dev vpn"}}}

    def found(after: dict[str, object]) -> list[str]:
        before = observe_sample("web-1", **routes("198.18.7", "198.18.7.1"))
        drift = move(tmp_path, before, observe_sample("web-1b", **after))
        relocation = drift.record.relocation.model_copy(update={"new": Location(address="198.18.20.111")})
        moved = replace(drift, record=drift.record.model_copy(update={"relocation": relocation}))
        old, new = before.runtime["routes"], moved.latest.runtime["routes"]
        return sorted(as_on_the_new_host(moved, old, new).items() ^ new.items())

    assert found(routes("198.18.20", "198.18.20.254")) == []
    assert found(routes("198.18.20", "203.0.113.1")) == [
        ("default metric 100", "via 198.18.7.1 dev host0"),
        ("default metric 100", "via 203.0.113.1 dev host0"),
    ]


def test_a_reference_to_the_old_host_is_told_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "texts").mkdir(mode=0o700)
    file = write_texts(Texts({SITE: f"server {{\n  listen {OLD}:80;\n}}\n"}), tmp_path / "texts/texts.json")
    before = observe_sample("web-1", references=(reference(SITE),))
    drift = move(tmp_path, before, observe_sample("web-1b", texts=file.relative_to(tmp_path)))
    assert tell_references(drift) == [f"{SITE}:2: listen {OLD}:80; (names the address of the old host)"]
    (finding,) = find_host_references(drift)
    assert (finding.severity, finding.subject) == (Severity.MAJOR, SITE)


def test_a_reference_that_may_have_broken_an_application_is_told_by_its_test(tmp_path: Path) -> None:
    before = observe_sample("web-1", references=(reference(SITE),))
    drift = move(tmp_path, before, observe_sample("web-1b"), healthy=False)
    assert ill_applications(drift) == {"shop": ("nginx.service",)}
    (finding,) = find_host_references(drift)
    assert finding.severity is Severity.NOTE
    assert "'shop' did not come back" in finding.why
    assert tell_references(drift) == [f"{SITE}:2: … (names the address of the old host)"]


@pytest.mark.parametrize("path", ["/etc/netplan/50-host.yaml", "/etc/hosts"])
def test_a_place_of_names_that_was_not_regenerated_names_the_old_host(tmp_path: Path, path: str) -> None:
    before = observe_sample("web-1", references=(reference(path),))
    assert [each.subject for each in find_host_references(move(tmp_path, before, observe_sample("web-1b")))] == [path]
    regenerated = move(tmp_path, before, observe_sample("web-1b"), **{path: "provisioned"})
    assert find_host_references(regenerated) == []


def test_the_token_that_lets_the_old_host_be_wiped_is_not_the_new_ones(tmp_path: Path) -> None:
    before = observe_sample("web-1", references=(reference("/etc/redrill/allow", TokenKind.MACHINE_ID),))
    assert find_host_references(move(tmp_path, before, observe_sample("web-1b"))) == []


def test_units_of_an_application_that_did_not_come_back_are_a_note(tmp_path: Path) -> None:
    def units(nginx: str) -> dict[str, object]:
        names = {"nginx.service": nginx, "cron.service": nginx}
        return {
            "units": {name: Unit(enabled="enabled", active=state) for name, state in names.items()},
            "runtime": {"overrides": {}, "timers": {}},
        }

    before, after = observe_sample("web-1", **units("active")), observe_sample("web-1b", **units("failed"))
    found = {
        each.subject: each.severity for each in find_changes(move(tmp_path, before, after, healthy=False), "units")
    }
    assert found["nginx.service"] is Severity.NOTE
    assert found["cron.service"] is not Severity.NOTE
    healthy = find_changes(move(tmp_path, before, after), "units")
    assert all(each.severity is not Severity.NOTE for each in healthy)


def test_the_plan_says_what_would_become_of_both_hosts() -> None:
    assert describe_landing(WEB) == (
        f"stop it, deploy 'web-1b' at {NEW} (nspawn), restore there, judge, remove 'web-1b', start it again"
    )
    moving = WEB.model_copy(update={"relocate": Relocation(name="web-1b", address=NEW, keep="new")})
    assert describe_landing(moving).endswith("judge, remove it for good when 'web-1b' has recovered")
    assert [each.action for each in plan_run([WEB], Mode.RELOCATE)] == ["stop, deploy a new host, restore there"]


def test_an_endpoint_without_a_new_host_is_refused() -> None:
    bare = WEB.model_copy(update={"relocate": None})
    with pytest.raises(GuardError, match="it declares no 'relocate:', so nobody knows its new host"):
        choose_targets([bare], Mode.RELOCATE, is_explicit=True)


def test_a_new_host_needs_a_name_and_an_address_of_its_own() -> None:
    text = "fleet: shop\nendpoints:\n  a: {address: 10.0.0.1, relocate: {name: b, address: 10.0.0.2}}\n"
    assert mistakes_of(f"{text}  b: {{address: 10.0.0.2}}\n") == [
        "3:43: endpoints.a.relocate.name: another host is already called 'b'; give the new one a name of its own.",
        "3:55: endpoints.a.relocate.address: the address '10.0.0.2' with port 22 is already that of 'b', at 4:16; "
        "give each endpoint its own.",
    ]


def test_what_makes_the_new_host_is_checked_as_what_makes_the_old_one() -> None:
    text = "fleet: shop\nendpoints:\n  a: {relocate: {name: b, provisioner: {kind: tree, directry: x}}}\n"
    told = "endpoints.a.relocate.provisioner.directry: unknown key 'directry'; did you mean 'directory'?"
    assert any(mistake.endswith(told) for mistake in mistakes_of(text))
