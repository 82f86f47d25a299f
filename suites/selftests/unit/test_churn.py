"""What may change by itself, and nothing more."""

import pytest

from redrill.model.churn import churn_rules, parse_churn, restore_churn
from redrill.model.manifest import Difference, unexplained


def explained(rule: str, path: str, attribute: str = "sha256") -> bool:
    return parse_churn(rule).covers(Difference(path, attribute))


@pytest.mark.parametrize(
    ("rule", "path", "expected"),
    [
        ("/var/log/*", "/var/log/syslog", True),
        ("/var/log/*", "/var/log/nginx/access.log", False),
        ("/var/log/**", "/var/log/nginx/access.log", True),
        ("/var/log/**", "/var/logs/x", False),
        ("/etc/a.conf", "/etc/aXconf", False),
        ("/etc/[x]", "/etc/[x]", True),
        ("/etc/line*", "/etc/line\nbreak", True),
        ("/etc/?", "/etc//", False),
    ],
)
def test_globs_match_whole_paths(rule: str, path: str, expected: bool) -> None:
    assert explained(rule, path) is expected


def test_a_rule_covers_only_the_attributes_it_names() -> None:
    assert explained("/var/log/x content", "/var/log/x", "mtime_ns")
    assert not explained("/var/log/x content", "/var/log/x", "mode")
    assert not explained("/var/log/x content", "/var/log/x", "missing")


@pytest.mark.parametrize("text", ["var/log", "", "/var/log nonsense", "relative content"])
def test_a_rule_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a churn rule"):
        parse_churn(text)


def test_nothing_in_etc_or_home_may_change_by_itself() -> None:
    differences = [
        Difference(f"{parent}/x", attribute) for parent in ("/etc", "/home") for attribute in ("sha256", "unexpected")
    ]
    assert unexplained(differences, churn_rules(())) == differences


def test_a_log_that_vanished_is_drift() -> None:
    gone = Difference("/var/log/app.log", "missing")
    assert unexplained([gone], churn_rules(())) == [gone]


def test_an_offline_restore_excuses_nothing() -> None:
    assert restore_churn("offline") == []
