"""Laws of the three sides: they hold for whatever stands on them."""

from hypothesis import given
from hypothesis import strategies as st

from redrill.model.manifest import EntryKind
from redrill.model.three_way import NOTHING, EtcKind, Side, judge, same

FILES = st.builds(
    lambda letter, mode: Side(EntryKind.FILE, frozenset({letter * 64, letter * 32}), mode=mode),
    st.sampled_from("abc"),
    st.sampled_from([None, 0o644, 0o600]),
)
LINKS = st.builds(lambda target: Side(EntryKind.SYMLINK, target=target), st.sampled_from(["x", "y"]))
SIDES = st.one_of(FILES, LINKS, st.just(NOTHING))
MAYBE = st.one_of(SIDES, st.none())


@given(SIDES, SIDES)
def test_whether_two_sides_are_the_same_does_not_depend_on_their_order(one: Side, other: Side) -> None:
    assert same(one, other) is same(other, one)
    assert same(one, one)


@given(MAYBE, SIDES)
def test_the_new_default_is_never_a_finding(base: Side | None, mine: Side) -> None:
    assert judge(base, mine, mine) is None


@given(SIDES, SIDES)
def test_nothing_new_is_never_grave(base: Side, mine: Side) -> None:
    """An endpoint whose vendor has changed nothing has edits and deletions, and files of its own."""
    assert judge(base, mine, base) in (None, EtcKind.EDIT, EtcKind.DELETED)


@given(SIDES, SIDES)
def test_an_untouched_old_default_is_masked_or_an_orphan_once_the_vendor_has_moved_on(base: Side, new: Side) -> None:
    if same(base, new):
        assert judge(base, base, new) is None
    else:
        assert judge(base, base, new) in (EtcKind.MASKED, EtcKind.ORPHAN)


@given(MAYBE, SIDES, MAYBE)
def test_an_unknown_default_is_never_taken_for_an_edit(base: Side | None, mine: Side, new: Side | None) -> None:
    if base is None:
        assert judge(base, mine, new) in (None, EtcKind.UNKNOWN)


@given(SIDES)
def test_a_file_of_ones_own_is_nobodys_business(mine: Side) -> None:
    assert judge(NOTHING, mine, NOTHING) is None
