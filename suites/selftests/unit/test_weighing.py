"""What becomes of a finding: the owner's rules, day by day, and what a run tells about them."""

from datetime import date, timedelta

import pytest

from redrill.analysis.tallying import Scope, tally
from redrill.analysis.weighing import weigh
from redrill.model.finding import Severity
from redrill.model.rules import Match
from redrill.model.weighed import State
from selftests.finding_samples import TODAY, find, fleet_of, rule, waive, waivers_of

NOTHING = waivers_of()
PROMISES = ("leaks", "system files")


def weigh_one(finding, rules=(), waivers=NOTHING, today=TODAY):
    (one,) = weigh([finding], rules, waivers, today)
    return one


def count(*findings, rules=None, waivers=NOTHING, judged=(("web-1", "leaks"),), is_drill=True):
    fleet = fleet_of(**(rules or {}))
    weighed = [one for f in findings for one in weigh([f], fleet.endpoint(f.endpoint).ignore, waivers, TODAY)]
    return tally(weighed, Scope(fleet, PROMISES, judged, is_drill), waivers)


def test_a_finding_that_nobody_speaks_for_is_open():
    assert weigh_one(find()).state is State.OPEN


def test_a_note_breaks_nothing_and_needs_no_waiver():
    note = find(severity=Severity.NOTE)
    assert weigh_one(note, waivers=waivers_of(a=waive())).state is State.NOTE
    assert weigh_one(note, rules=[rule(kind="leak")]).state is State.IGNORED


def test_an_ignored_finding_says_why():
    one = weigh_one(find(), [rule(kind="other"), rule(subject="/opt/*")], waivers_of(a=waive()))
    assert (one.state, one.told, one.waiver) == (State.IGNORED, "it is generated", "")


def test_a_waived_finding_says_by_whom_and_until_when():
    one = weigh_one(find(), waivers=waivers_of(old_leak=waive()))
    assert (one.state, one.waiver) == (State.WAIVED, "old-leak")
    assert one.told == "waiver 'old-leak' of ana, OPS-1, until 2026-12-31: next image"


@pytest.mark.parametrize(("days", "state"), [(-1, State.WAIVED), (0, State.WAIVED), (1, State.OPEN), (400, State.OPEN)])
def test_a_waiver_counts_until_the_end_of_its_last_day(days, state):
    waiver = waive(expires=TODAY)
    assert weigh_one(find(), waivers=waivers_of(a=waiver), today=TODAY + timedelta(days)).state is state


def test_an_expired_waiver_is_told_with_the_finding_that_counts_again():
    one = weigh_one(find(), waivers=waivers_of(a=waive(expires=date(2026, 11, 21))))
    assert (one.state, one.waiver) == (State.OPEN, "a")
    assert one.told == "waiver 'a' of ana, OPS-1, expired on 2026-11-21: next image"


def test_of_several_waivers_the_one_that_lasts_longest_counts():
    waivers = waivers_of(
        over=waive(expires=date(2026, 1, 1)), long=waive(match=Match(kind="leak"), expires=date(2027, 1, 1)), a=waive()
    )
    assert weigh_one(find(), waivers=waivers).waiver == "long"


@pytest.mark.parametrize(
    "waiver",
    [
        waive(endpoints=("web-2",)),
        waive(finding=find("/opt/other").id),
        waive(match=Match(promise="system files")),
    ],
    ids=["another endpoint", "another finding", "another promise"],
)
def test_a_waiver_accepts_nothing_but_what_it_names(waiver):
    one = weigh_one(find(), waivers=waivers_of(a=waiver))
    assert (one.state, one.waiver) == (State.OPEN, "")


def test_findings_are_sorted_by_state_severity_and_group():
    findings = [
        find("/opt/d", severity=Severity.NOTE),
        find("/opt/c", severity=Severity.MINOR),
        find("/opt/b", severity=Severity.CRITICAL, group="/z"),
        find("/opt/a", severity=Severity.CRITICAL, group="/a"),
        find("/srv/x"),
    ]
    order = [one.finding.subject for one in weigh(findings, [rule(subject="/srv/*")], NOTHING, TODAY)]
    assert order == ["/opt/a", "/opt/b", "/opt/c", "/opt/d", "/srv/x"]


def test_the_id_of_a_finding_is_that_of_its_promise_kind_and_subject_alone():
    assert find().id == find(endpoint="web-2", detail="other", severity=Severity.CRITICAL, why="?", group="/opt").id
    others = {find().id, find("/opt/b").id, find(kind="file").id, find(promise="system files").id}
    assert len(others) == 4
    assert find(promise="system files").id.startswith("system-files-")


def test_findings_are_counted_by_promise_and_state():
    found = count(find(), find("/opt/b"), waivers=waivers_of(a=waive()), judged=[("web-1", p) for p in PROMISES])
    assert found.promises == {"leaks": {State.OPEN: 1, State.WAIVED: 1}, "system files": {}}
    assert found.states == {State.OPEN: 1, State.WAIVED: 1, State.NOTE: 0, State.IGNORED: 0}


def test_waivers_are_told_with_what_became_of_them():
    waivers = waivers_of(
        good=waive(), old=waive(finding=find("/opt/b").id, expires=date(2026, 1, 1)), ever=waive(extended=3)
    )
    found = count(find(), find("/opt/b"), waivers=waivers)
    assert found.waived == ("waiver 'good' of ana, OPS-1, until 2026-12-31: next image (1 finding)",)
    assert found.expired == ("waiver 'old' of ana, OPS-1, expired on 2026-01-01: next image (1 finding)",)
    assert found.escalated == ("waiver 'ever' of ana, OPS-1, extended 3 times, until 2026-12-31: next image",)
    assert found.unused == ()


def unused(waiver, **more):
    return [line.split(", ", 2)[2] for line in count(waivers=waivers_of(a=waiver), **more).unused]


def test_a_waiver_that_matched_nothing_is_unused():
    assert unused(waive()) == ["matched nothing in this run; remove it"]
    assert unused(waive(match=Match(subject="/opt/*"))) == ["matched nothing in this run; remove it"]


@pytest.mark.parametrize(
    ("waiver", "scope"),
    [
        (waive(), {"judged": [("web-1", "system files")]}),
        (waive(), {"judged": []}),
        (waive(endpoints=("web-2",)), {}),
        (waive(match=Match(subject="/opt/*")), {"is_drill": False}),
    ],
    ids=["another promise", "nothing", "another endpoint", "no drill"],
)
def test_a_waiver_of_what_was_not_judged_is_not_called_unused(waiver, scope):
    assert unused(waiver, **scope) == []


@pytest.mark.parametrize(
    ("waiver", "why"),
    [
        (waive(endpoints=("db-1",)), "is about no endpoint of the fleet; remove it"),
        (waive(match=Match(promise="leak")), "names no promise that there is; remove it"),
    ],
)
def test_a_waiver_that_can_never_match_is_unused(waiver, why):
    assert unused(waiver, judged=[]) == [why]


def test_an_inherited_rule_is_used_when_one_endpoint_needs_it():
    shared = rule(subject="/opt/*")
    rules = {"web_1": (shared,), "web_2": (shared,)}
    judged = [("web-1", "leaks"), ("web-2", "leaks")]
    assert count(find(endpoint="web-2"), rules=rules, judged=judged).unused == ()
    told = count(find("/srv/x"), rules=rules, judged=judged).unused
    assert told == ("the ignore rule for subject '/opt/*' (it is generated) matched nothing in this run; remove it",)
