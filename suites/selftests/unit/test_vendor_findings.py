"""From what the vendor says to findings: how bad each is, and that nothing unknown is ever clean."""

from pathlib import Path

import pytest

from redrill.analysis.drift import Drift
from redrill.analysis.promises import why_not
from redrill.analysis.vendor import find_vendor_deviations, grade_deviation
from redrill.drill.vendor_evidence import write_vendor
from redrill.errors import UnknownFactError
from redrill.model.finding import Severity
from redrill.model.manifest import Entry, EntryKind
from redrill.model.observation import Account
from redrill.model.vendor import Deviation, DeviationKind, Expected, OracleState, VendorFacts, merge
from selftests.observed_samples import file_entry, manifest_of, observe_sample, record_run

ROOT = {"root": Account.model_validate({"uid": 0, "gid": 0, "home": "/root", "shell": "/bin/sh"})}
KNOWN = {"rpm": OracleState(is_known=True, is_thorough=True)}
SHOP = Expected("shop", EntryKind.FILE, has_digest=True, sha256="0" * 64, mode=0o755, user="root", group="root")


def drift_of(tmp_path: Path, facts: VendorFacts, *entries: Entry, image: bool = False, groups: bool = True) -> Drift:
    vendor = write_vendor(facts, tmp_path / "vendor.zst").relative_to(tmp_path)
    system = manifest_of(tmp_path, "system.zst", *entries)
    seen = observe_sample(
        "a",
        users=ROOT,
        groups={"root": 0},
        vendor=vendor,
        system_manifest=system,
        unknown={} if groups else {"groups": "x"},
    )
    return record_run(tmp_path, {"a": seen}, image=system if image else None)["a"]


@pytest.mark.parametrize(
    ("path", "kind", "detail", "severity"),
    [
        ("/usr/bin/ls", DeviationKind.MODIFIED, "", Severity.CRITICAL),
        ("/usr/lib/x86_64-linux-gnu/libc.so.6", DeviationKind.TYPE, "", Severity.CRITICAL),
        ("/usr/share/nginx/index.html", DeviationKind.MODIFIED, "", Severity.MAJOR),
        ("/usr/bin/ls", DeviationKind.MISSING, "", Severity.MAJOR),
        ("/usr/share/doc/tar/copyright", DeviationKind.MISSING, "", Severity.MINOR),
        ("/usr/share/man/man1/ls.1.gz", DeviationKind.MODIFIED, "", Severity.MINOR),
        ("/usr/lib/os-release", DeviationKind.MODIFIED, "", Severity.NOTE),
        ("/usr/bin/find", DeviationKind.MODE, "is 4755: runs with the rights of its owner", Severity.CRITICAL),
        ("/usr/bin/su", DeviationKind.MODE, "is 0755, expected 4755", Severity.CRITICAL),
        ("/usr/share/doc/x", DeviationKind.MODE, "is 0666: everybody may change it", Severity.CRITICAL),
        ("/usr/bin/x", DeviationKind.MODE, "is 0700, expected 0755", Severity.MAJOR),
        ("/usr/bin/x", DeviationKind.OWNER, "is 5:0, expected root:root", Severity.MAJOR),
    ],
)
def test_severity_follows_what_can_be_done_with_it(
    path: str, kind: DeviationKind, detail: str, severity: Severity
) -> None:
    found, why = grade_deviation(Deviation(path, kind, detail))
    assert (found, bool(why)) == (severity, True)


def test_finding_names_path_package_and_difference(tmp_path: Path) -> None:
    facts = VendorFacts(states=KNOWN, paths={"/usr/bin/shop": SHOP})
    (finding,) = find_vendor_deviations(drift_of(tmp_path, facts, file_entry("/usr/bin/shop", "1" * 64, 0o755)))
    assert (finding.subject, finding.kind, finding.group) == ("/usr/bin/shop", "modified", "shop")


def test_user_that_does_not_exist_here_cannot_own_what_it_should(tmp_path: Path) -> None:
    expected = Expected("shop", EntryKind.FILE, user="nginx", group="root")
    facts = VendorFacts(states=KNOWN, paths={"/usr/bin/shop": expected})
    findings = find_vendor_deviations(drift_of(tmp_path, facts, file_entry("/usr/bin/shop")))
    assert [each.detail for each in findings if each.kind == "owner changed"] == ["is 0:0, expected nginx:root"]


def test_files_of_which_no_digest_is_known_are_told_as_a_note(tmp_path: Path) -> None:
    paths = {f"/usr/bin/{name}": Expected("odd") for name in "ab"}
    drift = drift_of(
        tmp_path, VendorFacts(states=KNOWN, paths=paths), *(file_entry(path, mode=0o755) for path in paths)
    )
    (finding,) = find_vendor_deviations(drift)
    assert (finding.subject, finding.kind, finding.severity) == ("odd", "unknown content", Severity.NOTE)
    assert finding.detail.startswith("2 files")


def test_extra_files_are_the_business_of_the_ledger(tmp_path: Path) -> None:
    extra = Deviation("/usr/bin/miner", DeviationKind.EXTRA)
    assert find_vendor_deviations(drift_of(tmp_path, VendorFacts(states=KNOWN, deviations=(extra,)))) == []


@pytest.mark.parametrize(
    ("states", "words"),
    [
        ({}, "no packaging system"),
        ({"dpkg": OracleState(is_known=False, reason="locked")}, "locked"),
        ({**KNOWN, "ostree": OracleState(is_known=False, reason="no deployment")}, "no deployment"),
        ({"dpkg": OracleState(is_known=True)}, "contents were not compared"),
    ],
)
def test_an_oracle_that_does_not_know_is_never_clean(
    tmp_path: Path, states: dict[str, OracleState], words: str
) -> None:
    with pytest.raises(UnknownFactError, match=words):
        find_vendor_deviations(drift_of(tmp_path, VendorFacts(states=states)))


def test_unknown_accounts_leave_owners_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownFactError, match="groups"):
        find_vendor_deviations(drift_of(tmp_path, VendorFacts(states=KNOWN), groups=False))


def test_an_endpoint_with_an_image_is_compared_with_that(tmp_path: Path) -> None:
    facts = VendorFacts(states={"dpkg": OracleState(is_known=True)})
    assert why_not("vendor", drift_of(tmp_path, facts, image=True)) == "the image says what every file should be"


def test_of_two_oracles_the_first_owns_a_path() -> None:
    one = VendorFacts(states={"rpm": OracleState(is_known=True)}, paths={"/usr/bin/x": Expected("shop")})
    other = VendorFacts(
        states={"ostree": OracleState(is_known=True)},
        paths={"/usr/bin/x": Expected("commit"), "/usr/bin/y": Expected("commit")},
    )
    both = merge([one, other])
    assert [both.owner_of(f"/usr/bin/{name}") for name in "xyz"] == ["shop", "commit", None]
    assert both.is_known


def test_facts_of_another_schema_are_refused() -> None:
    with pytest.raises(ValueError, match="no vendor facts"):
        VendorFacts.parse(iter(['{"schema": 99}']))
