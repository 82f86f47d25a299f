"""What a redeploy would lose, and who owns what: findings from stored evidence."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from redrill.analysis.drift import Drift
from redrill.analysis.leaks import find_leaks
from redrill.analysis.ownership import find_ownership
from redrill.drill.evidence import write_manifest
from redrill.drill.vendor_evidence import write_vendor
from redrill.errors import UnknownFactError
from redrill.model.finding import Finding, Severity
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Entry, EntryKind, Manifest
from redrill.model.observation import Account, Observation
from redrill.model.record import DrillRecord, ImageFacts
from redrill.model.values import Mode
from redrill.model.vendor import Expected, OracleState, VendorFacts

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROOT_ONLY = {"root": Account(uid=0, gid=0, home="/root", shell="/bin/sh")}  # noqa: S604 - a value of /etc/passwd


def entry(path: str, kind: EntryKind = EntryKind.FILE, **values: int) -> Entry:
    return Entry(path, kind, values.pop("mode", 0o644), values.pop("uid", 0), values.pop("gid", 0), **values)


def folder(path: str) -> Entry:
    return entry(path, EntryKind.DIRECTORY, mode=0o755)


class Evidence:
    """A run on disk, built up piece by piece."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.seen: dict[str, object] = {"users": ROOT_ONLY, "groups": {"root": 0}}
        self.record: dict[str, object] = {}

    def manifest(self, name: str, *entries: Entry) -> Path:
        file = write_manifest(Manifest({each.path: each for each in entries}), self.run_dir / f"{name}.jsonl")
        return file.relative_to(self.run_dir)

    def system(self, *entries: Entry) -> None:
        self.seen["system_manifest"] = self.manifest("system", *entries)
        self.seen.setdefault("state_manifest", self.manifest("state"))

    def state(self, *entries: Entry) -> None:
        self.seen["state_manifest"] = self.manifest("state", *entries)

    def image(self, *entries: Entry) -> None:
        manifest = self.manifest("image", *entries)
        self.record["image_wanted"] = ImageFacts(name="i", version="1", digest="sha256:0", manifest=manifest)

    def vendor(self, **paths: str) -> None:
        facts = VendorFacts(
            states={"dpkg": OracleState(is_known=True)},
            paths={path: Expected(owner) for path, owner in paths.items()},
        )
        self.seen["vendor"] = write_vendor(facts, self.run_dir / "vendor.jsonl").relative_to(self.run_dir)

    def observation(self, **more: object) -> Observation:
        own = {"taken_at": NOW, "hostname": "web-1", "machine_id": "m", "boot_id": "b", "root_id": "r"}
        return Observation(**{**own, **self.seen, **more})

    def drift(self, **more: object) -> Drift:
        endpoint = Endpoint(name="web-1", ephemeral=("/opt/cache/**", "/opt/cache"))
        fleet = Fleet(name="f", source=self.run_dir / "fleet.yml", endpoints=(endpoint,))
        own = {"run": "r", "endpoint": "web-1", "mode": Mode.OBSERVE, "started": NOW, "ended": NOW, "phases": ()}
        record = DrillRecord(**{**own, "after": self.observation(), **self.record, **more})
        return Drift(self.run_dir, fleet, record, endpoint)


@pytest.fixture
def evidence(tmp_path: Path) -> Evidence:
    return Evidence(tmp_path)


def rows(findings: list[Finding]) -> list[tuple[str, str, Severity]]:
    return [(finding.kind, finding.subject, finding.severity) for finding in findings]


def test_a_leak_is_graded_by_who_would_miss_it(evidence: Evidence) -> None:
    evidence.image(folder("/opt"), folder("/root"))
    evidence.system(
        folder("/opt"), folder("/root"), folder("/opt/feed"), entry("/opt/feed/queue"), entry("/opt/notes", size=5),
        folder("/opt/empty"), entry("/root/.bash_history"), entry("/opt/run", mode=0o755), entry("/opt/cache/x"),
    )  # fmt: skip
    evidence.seen["open_files"] = {"/opt/feed/queue": "feed (feed.service)"}
    assert rows(find_leaks(evidence.drift())) == [
        ("leak", "/opt/empty", Severity.NOTE),
        ("leak", "/opt/feed", Severity.CRITICAL),
        ("leak", "/opt/notes", Severity.MAJOR),
        ("leak", "/opt/run", Severity.MAJOR),
        ("leak", "/root/.bash_history", Severity.MINOR),
    ]


def test_a_package_that_the_image_lacks_is_one_finding(evidence: Evidence) -> None:
    evidence.image(folder("/usr"), folder("/usr/bin"), folder("/usr/share"))
    paths = {"/usr/bin/htop": "htop", "/usr/share/htop": "htop", "/usr/share/htop/a": "htop"}
    evidence.vendor(**paths)
    evidence.system(folder("/usr"), entry("/usr/bin/htop"), folder("/usr/share/htop"), entry("/usr/share/htop/a"))
    (found,) = find_leaks(evidence.drift())
    assert (found.kind, found.subject, found.facts["entries"]) == ("package", "htop", "3")


def test_a_drill_confirms_that_a_leak_is_gone(evidence: Evidence) -> None:
    evidence.image(folder("/opt"))
    evidence.system(folder("/opt"), entry("/opt/lost"), entry("/opt/kept"))
    before = evidence.observation()
    after = evidence.observation(system_manifest=evidence.manifest("after", folder("/opt"), entry("/opt/kept")))
    findings = find_leaks(evidence.drift(before=before, after=after, wiped_at=NOW))
    assert {each.subject: each.facts["after the drill"] for each in findings} == {
        "/opt/kept": "still there",
        "/opt/lost": "gone",
    }


def test_without_an_image_the_packages_say_what_is_the_vendors(evidence: Evidence) -> None:
    evidence.vendor(**{"/usr/bin/ls": "coreutils"})
    evidence.system(folder("/"), folder("/usr"), folder("/usr/bin"), entry("/usr/bin/ls"), entry("/usr/bin/own"))
    assert rows(find_leaks(evidence.drift())) == [("leak", "/usr/bin/own", Severity.MAJOR)]


def test_without_an_image_and_without_packages_nothing_is_called_clean(evidence: Evidence) -> None:
    evidence.system(entry("/usr/bin/ls"))
    with pytest.raises(UnknownFactError, match="what the vendor of 'web-1' ships"):
        find_leaks(evidence.drift())


def test_a_number_that_the_image_gave_to_another_name_is_critical_for_privileged_programs(evidence: Evidence) -> None:
    evidence.system(entry("/usr/bin/ssh-agent", mode=0o2755, gid=101), entry("/usr/share/x", gid=102))
    evidence.seen["groups"] = {"root": 0, "mail": 101, "_ssh": 105, "other": 102}
    findings = find_ownership(evidence.drift(image_users={"root": 0}, image_groups={"_ssh": 101, "plain": 102}))
    assert rows(findings) == [
        ("group of another", "group _ssh", Severity.CRITICAL),
        ("group of another", "group plain", Severity.MAJOR),
    ]


def test_a_guarded_setuid_program_counts_as_its_groups(evidence: Evidence) -> None:
    evidence.system(entry("/usr/lib/helper", mode=0o4754, gid=101))
    findings = find_ownership(evidence.drift(image_users={"root": 0}, image_groups={"messagebus": 101}))
    assert ("group of another", "group messagebus", Severity.CRITICAL) in rows(findings)


def test_an_account_that_was_renumbered_leaves_its_data_to_somebody_else(evidence: Evidence) -> None:
    evidence.system()
    evidence.state(entry("/var/lib/db", uid=105))
    before = evidence.observation(users=ROOT_ONLY | {"db": Account(uid=105, gid=0, home="/", shell="")})
    evidence.seen["users"] = ROOT_ONLY | {"db": Account(uid=106, gid=0, home="/", shell="")}
    assert ("user renamed", "user db", Severity.CRITICAL) in rows(find_ownership(evidence.drift(before=before)))


@pytest.mark.parametrize(("number", "severity"), [(742, Severity.MINOR), (1001, Severity.NOTE)])
def test_files_of_nobody_are_found(evidence: Evidence, number: int, severity: Severity) -> None:
    evidence.system()
    evidence.state(entry("/var/lib/retired", uid=number))
    assert rows(find_ownership(evidence.drift())) == [("user without a name", f"user {number}", severity)]


def test_numbers_that_systemd_gives_away_need_no_name(evidence: Evidence) -> None:
    evidence.system()
    evidence.state(entry("/var/lib/private/x", uid=61999, gid=65534))
    assert find_ownership(evidence.drift()) == []
