"""What 'swupd diagnose' printed in recorded runs, in both of its forms, and what it does not say."""

import pytest

from redrill.model.vendor import DeviationKind
from redrill.probes.vendor.swupd import read_diagnosis
from selftests.support.recorded import recorded

MODIFIED, MISSING, EXTRA = DeviationKind.MODIFIED, DeviationKind.MISSING, DeviationKind.EXTRA

PLANTED = {
    ("/usr/bin/ansible", MISSING),
    ("/usr/share/nginx/conf/nginx.conf.example", MODIFIED),
    ("/usr/share/nginx/extra.d/z", EXTRA),
    ("/usr/share/nginx/extra.d", EXTRA),
    ("/usr/bin/cryptominer", EXTRA),
}

FOUND = {
    "diagnose-clean": set(),
    "diagnose-clean-json": set(),
    "diagnose-offline-cached": set(),
    "diagnose-drift": {each for each in PLANTED if each[1] is not EXTRA},
    "diagnose-drift-picky": PLANTED,
    "diagnose-drift-picky-json": PLANTED,
    "diagnose-other-version": {
        ("/usr/share/nginx/html/new.html", MISSING),
        ("/usr/bin/nginx", MODIFIED),
        ("/usr/lib/os-release", MODIFIED),
        ("/usr/share/clear/version", MODIFIED),
        ("/usr/share/nginx/html/old.html", EXTRA),
    },
    "diagnose-type-change-and-tree": {
        ("/usr/share/nginx", MISSING),
        ("/usr/share/nginx/conf", MISSING),
        ("/usr/share/nginx/conf/nginx.conf.example", MISSING),
        ("/usr/share/nginx/html", MISSING),
        ("/usr/share/nginx/html/old.html", MISSING),
        ("/usr/bin/nginx", MODIFIED),
    },
}

UNTOLD = {
    "diagnose-not-root": "must be run as root",
    "diagnose-not-root-json": "did not end well",
    "diagnose-server-gone": "Failed to connect to update server",
    "diagnose-server-gone-json": "exit 4",
    "diagnose-locked": "another swupd process is already running",
    "diagnose-format-mismatch": "Mismatching formats",
    "diagnose-unknown-bundle": "not available at version 43760",
    "diagnose-version-lie": "Failed to retrieve 43761",
    "diagnose-bad-mom-signature": "Signature verification failed",
}


@pytest.mark.parametrize("case", FOUND)
def test_categories_are_those_of_swupd(case: str) -> None:
    found, why = read_diagnosis(recorded(f"swupd/{case}").diagnosis)
    assert ({(each.path, each.kind) for each in found}, why) == (FOUND[case], "")


@pytest.mark.parametrize("case", UNTOLD)
def test_a_diagnosis_that_could_not_be_made_is_never_clean(case: str) -> None:
    found, why = read_diagnosis(recorded(f"swupd/{case}").diagnosis)
    assert found == []
    assert UNTOLD[case] in why


def test_exit_1_without_a_diagnosis_is_no_drift() -> None:
    """It is what a client says that is not run by root, and also what it says of drift."""
    assert read_diagnosis("\nexit 1\n")[1]


def test_exit_0_of_a_client_that_says_nothing_is_not_clean() -> None:
    assert read_diagnosis("\nexit 0\n")[1]


def test_strings_of_the_json_form_are_taken_as_they_are() -> None:
    found, why = read_diagnosis(recorded("swupd/diagnose-odd-names-json").diagnosis)
    names = {each.path.removeprefix("/usr/bin/") for each in found}
    assert (names, why) == ({"utf8-é", "tab\tx", "quo'te", "new line", "back\\slash"}, "")


def test_bundle_that_is_no_longer_subscribed_has_only_extra_files() -> None:
    found, _ = read_diagnosis(recorded("swupd/diagnose-tracking-removed").diagnosis)
    assert {each.kind for each in found} == {EXTRA}
    assert len(found) == 9


def test_a_diagnosis_that_took_too_long_is_unknown() -> None:
    assert "took too long" in read_diagnosis("Diagnosing version 10\n\nexit 124\n")[1]


def test_output_without_its_exit_status_is_refused() -> None:
    with pytest.raises(ValueError, match="instead of its exit status"):
        read_diagnosis(recorded("swupd/diagnose-clean").stdout)
