"""Laws of the comparison of what runs: nothing is lost, nothing is made up, and each change has one grade."""

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from redrill.analysis.grading import Sort, grade
from redrill.analysis.runtime import KINDS, compare_items
from redrill.probes.facts.network import parse_firewall
from redrill.probes.facts.volatile import settle_items

KIND = st.sampled_from([kind.name for kind in KINDS if kind.promise and kind.name != "activity"])
ITEMS = st.dictionaries(st.text(min_size=1), st.text(), max_size=8)


@given(KIND, ITEMS)
def test_what_is_equal_has_not_changed(kind: str, items: dict[str, str]) -> None:
    assert list(compare_items(kind, items, dict(items))) == []


@given(KIND, ITEMS, ITEMS)
def test_changes_turn_what_was_into_what_is(kind: str, before: dict[str, str], after: dict[str, str]) -> None:
    made = dict(before)
    for change in compare_items(kind, before, after):
        if change.sort is Sort.GONE:
            del made[change.item]
        else:
            assert change.after is not None
            made[change.item] = change.after
        assert grade(change).kind == kind
    assert made == after


@given(KIND, ITEMS)
def test_to_leave_out_what_is_volatile_twice_leaves_out_no_more(kind: str, items: dict[str, str]) -> None:
    once = settle_items(kind, items)
    assert settle_items(kind, once) == once
    assert once.keys() <= items.keys()


LINES = st.sampled_from(
    ["table inet a {", "chain b {", "}", "tcp dport 22 accept", "*filter", ":INPUT DROP [1:2]", ":X"]
)


@given(st.lists(LINES | st.text(), max_size=20))
def test_an_answer_of_a_firewall_tool_is_read_or_unknown(lines: list[str]) -> None:
    with suppress(ValueError, LookupError):  # of these a fact becomes unknown
        assert all(place.strip() for place in parse_firewall(lines))
