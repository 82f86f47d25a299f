"""Findings as waivers to start from: sorted for a review, joined over endpoints, and added without touching others."""

from datetime import date
from pathlib import Path

import pytest

from redrill.analysis.adoption import Terms, draft_waivers, write_drafts
from redrill.errors import FleetError
from redrill.model.finding import Severity
from redrill.model.rules import Match
from redrill.model.waivers import Waivers
from redrill.model.waivers_file import parse_waivers
from selftests.finding_samples import find, waive, waivers_of

FILE = Path("waivers.yml")
TERMS = Terms("ana", 'OPS "7": #1', "as found", date(2027, 2, 20))


def adopt(*findings, text=None):
    known = parse_waivers(text.encode(), FILE) if text is not None else Waivers()
    return write_drafts(text, draft_waivers(findings, known, TERMS), FILE)


def read(text):
    return parse_waivers(text.encode(), FILE).waivers


def test_what_endpoints_have_in_common_is_one_waiver():
    text = adopt(find(endpoint="web-2"), find(), find("/opt/b"))
    assert {name: waiver.endpoints for name, waiver in read(text).items()} == {
        find().id: ("web-1", "web-2"),
        find("/opt/b").id: ("web-1",),
    }
    waiver = read(text)[find().id]
    assert (waiver.owner, waiver.ticket, waiver.reason, waiver.expires, waiver.extended) == (
        *(TERMS.owner, TERMS.ticket, TERMS.reason, TERMS.expires),
        0,
    )


def test_they_are_sorted_by_promise_severity_group_and_subject():
    findings = [
        find("/opt/b", promise="system files"),
        find("/opt/z", group="/a"),
        find("/opt/y", group="/a"),
        find("/opt/x", group="/b", severity=Severity.CRITICAL),
    ]
    drafts = draft_waivers(findings, Waivers(), TERMS)
    assert [draft.finding.subject for draft in drafts] == ["/opt/x", "/opt/y", "/opt/z", "/opt/b"]


def test_each_says_what_it_accepts_in_a_comment():
    text = adopt(find("/opt/\x1b[1m", detail="two\nlines"))
    assert "\n  # ---- leaks: major ----\n  # leak: /opt/\\x1b[1m: two lines\n  #   it is lost\n" in text


@pytest.mark.parametrize("known", [waive(), waive(expires=date(2026, 1, 1)), waive(match=Match(kind="leak"))])
def test_a_finding_that_a_waiver_is_about_is_left_to_it_even_when_it_has_expired(known):
    assert draft_waivers([find()], waivers_of(a=known), TERMS) == []


def test_a_finding_of_another_endpoint_gets_a_waiver_of_its_own():
    known = waivers_of(**{find().id: waive(endpoints=("web-1",))})
    (draft,) = draft_waivers([find(), find(endpoint="web-2")], known, TERMS)
    assert (draft.name, draft.waiver.endpoints) == (f"{find().id}-2", ("web-2",))


KEPT = """\
waivers:
    # of the old days
    mine: {match: {subject: /srv/**}, owner: bo, ticket: X, reason: r, expires: 2026-12-01}  # keep me
"""


def test_an_update_keeps_every_word_and_adds_what_is_new():
    text = adopt(find(), find("/srv/a"), text=KEPT)
    assert text.startswith(KEPT)
    assert list(read(text)) == ["mine", find().id]
    assert adopt(find(), find("/srv/a"), text=text) == text


@pytest.mark.parametrize(
    "text", ["waivers:\n", "waivers:", "max_extensions: 1\n", "max_extensions: 1\nwaivers: # none\n"]
)
def test_a_file_without_waivers_can_be_added_to(text):
    assert list(read(adopt(find(), text=text))) == [find().id]


@pytest.mark.parametrize("text", ["waivers: {}\n", f"{KEPT}max_extensions: 3\n", "{waivers: }\n"])
def test_a_file_that_cannot_be_added_to_is_left_alone(text):
    with pytest.raises(FleetError, match=r"waivers\.yml"):
        adopt(find(), text=text)


def test_more_than_a_file_can_hold_is_refused():
    with pytest.raises(FleetError, match="larger than"):
        adopt(*(find(f"/opt/{n}") for n in range(6000)))
