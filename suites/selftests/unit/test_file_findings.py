"""Differences of files as findings: one for each sort of change, with a severity that has its reason."""

import re

import pytest

from redrill.analysis.files import BY_HAND, RESTORED, SETTLED, SYSTEM, grade
from redrill.analysis.promises import PROMISES
from redrill.model.finding import Severity
from redrill.model.manifest import Difference

CAPABILITY = (("security.capability", "0100000200040000"),)


def findings(promise, *differences):
    return list(grade(promise, "web-1", [Difference(*difference) for difference in differences]))


@pytest.mark.parametrize(
    ("promise", "difference", "kind", "severity"),
    [
        (RESTORED, ("/home/a", "missing", "file"), "missing", Severity.CRITICAL),
        (RESTORED, ("/home/a", "sha256", "0", "1"), "content", Severity.CRITICAL),
        (RESTORED, ("/home/a", "unexpected", None, "file"), "unexpected", Severity.MAJOR),
        (RESTORED, ("/home/a", "mtime_ns", 1, 2), "time", Severity.MINOR),
        (RESTORED, ("/home/a", "link_group", "/a", None), "hard links", Severity.MINOR),
        (SETTLED, ("/etc/a", "missing", "file"), "missing", Severity.CRITICAL),
        (SETTLED, ("/etc/a", "sha256", "0", "1"), "content", Severity.MAJOR),
        (SETTLED, ("/etc/a", "unexpected", None, "file"), "unexpected", Severity.MINOR),
        (SETTLED, ("/etc/shadow", "uid", 0, 33), "owner", Severity.CRITICAL),
        (SETTLED, ("/etc/motd", "gid", 0, 33), "owner", Severity.MAJOR),
        (SYSTEM, ("/usr/bin/su", "sha256", "0", "1"), "content", Severity.CRITICAL),
        (SYSTEM, ("/usr/share/doc/x", "sha256", "0", "1"), "content", Severity.MAJOR),
        (SYSTEM, ("/usr/bin/ping", "xattrs", (), CAPABILITY), "attributes", Severity.CRITICAL),
        (SYSTEM, ("/usr/bin/ping", "xattrs", (), (("user.a", "00"),)), "attributes", Severity.MAJOR),
        (BY_HAND, ("/usr/bin/sh", "target", "dash", "bash"), "link target", Severity.CRITICAL),
        (BY_HAND, ("/usr/share/x", "kind", "file", "directory"), "type", Severity.MAJOR),
    ],
)
def test_a_difference_is_graded(promise, difference, kind, severity):
    (found,) = findings(promise, difference)
    assert (found.kind, found.severity) == (kind, severity)
    assert found.why


@pytest.mark.parametrize(
    ("path", "expected", "found", "severity", "why"),
    [
        ("/usr/bin/x", 0o755, 0o4755, Severity.CRITICAL, "setuid"),
        ("/usr/bin/x", 0o2755, 0o755, Severity.CRITICAL, "setuid"),
        ("/usr/share/x", 0o644, 0o666, Severity.CRITICAL, "everybody may now change it"),
        ("/var/spool", 0o1777, 0o777, Severity.CRITICAL, "everybody may now change it"),
        ("/etc/shadow", 0o640, 0o644, Severity.CRITICAL, "it holds secrets"),
        ("/usr/share/x", 0o640, 0o644, Severity.MAJOR, "more may be done"),
        ("/usr/share/x", 0o644, 0o600, Severity.MAJOR, "may no longer get at it"),
    ],
)
def test_permissions_are_graded_by_what_they_grant(path, expected, found, severity, why):
    (one,) = findings(SYSTEM, (path, "mode", expected, found))
    assert one.severity is severity
    assert why in one.why
    assert one.detail == f"mode is {found:04o}, expected {expected:04o}"


def test_what_was_accepted_at_the_first_look_is_so_in_the_drill():
    observed, drilled = (findings(promise, ("/usr/bin/x", "mode", 0o755, 0o700))[0] for promise in (SYSTEM, BY_HAND))
    assert observed.id == drilled.id


def test_one_change_of_content_is_one_finding():
    changes = [("size", 1, 2), ("mtime_ns", 0, 10**9), ("sha256", "a" * 64, "b" * 64)]
    (one,) = findings(SETTLED, *(("/etc/ssh/sshd_config", *change) for change in changes))
    assert one.detail == "size is 2, expected 1, sha256 is bbbbbbbbbbbb…, expected aaaaaaaaaaaa…"
    assert one.group == "/etc/ssh"


def test_a_change_of_type_explains_all_others():
    changes = [("kind", "file", "symlink"), ("mode", 0o644, 0o777), ("size", 5, 0), ("mtime_ns", 0, 1)]
    assert [one.kind for one in findings(SETTLED, *(("/etc/x", *change) for change in changes))] == ["type"]


def test_changes_of_different_sorts_are_findings_of_their_own():
    kinds = [one.kind for one in findings(SETTLED, ("/a", "mode", 0, 1), ("/a", "uid", 0, 1), ("/b", "gid", 0, 1))]
    assert kinds == ["permissions", "owner", "owner"]


def test_a_time_is_told_to_the_nanosecond():
    (one,) = findings(RESTORED, ("/home/a", "mtime_ns", 1, 10**9))
    assert one.detail == "mtime is 1970-01-01T00:00:01.000000000Z, expected 1970-01-01T00:00:00.000000001Z"


@pytest.mark.parametrize(
    ("path", "group"),
    [("/x", "/"), ("/etc/passwd", "/etc"), ("/var/lib/app/data/1", "/var/lib/app"), ("/var/lib/app", "/var/lib")],
)
def test_paths_are_grouped_by_directory(path, group):
    assert findings(RESTORED, (path, "missing", "file"))[0].group == group


def test_a_path_that_no_terminal_can_bear_is_escaped():
    (one,) = findings(RESTORED, ("/home/a\x1b[1m\udcff", "missing", "file"))
    assert one.subject == "/home/a\\x1b[1m\\xff"


def test_every_promise_has_a_name_that_ids_can_hold():
    assert [name for name in PROMISES if not re.fullmatch(r"[a-z0-9]+( [a-z0-9]+)*", name)] == []
