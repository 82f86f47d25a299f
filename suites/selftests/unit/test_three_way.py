"""Every combination of the old default, what is here, and the new default."""

import pytest

from redrill.model.manifest import Entry, EntryKind
from redrill.model.three_way import NOTHING, EtcKind, Side, judge, same

A, B, C = (Side(EntryKind.FILE, frozenset({letter * 64})) for letter in "abc")
A_MD5 = Side(EntryKind.FILE, frozenset({"a" * 32}))
BOTH_A = Side(EntryKind.FILE, frozenset({"a" * 32, "a" * 64}))
LINK = Side(EntryKind.SYMLINK, target="../x")


@pytest.mark.parametrize(
    ("base", "mine", "new", "kind"),
    [
        (A, A, A, None),
        (A, B, B, None),  # it has the new default already
        (A, A, B, EtcKind.MASKED),
        (A, B, A, EtcKind.EDIT),
        (A, B, C, EtcKind.CONFLICT),
        (A, NOTHING, A, EtcKind.DELETED),
        (A, NOTHING, B, EtcKind.DELETED),
        (NOTHING, NOTHING, A, EtcKind.MASKED),  # the new image brings it, and a mirrored /etc lacks it
        (NOTHING, A, B, EtcKind.CONFLICT),
        (NOTHING, A, A, None),
        (NOTHING, A, NOTHING, None),  # a file of one's own
        (A, A, NOTHING, EtcKind.ORPHAN),
        (A, B, NOTHING, EtcKind.ORPHAN),
        (A, NOTHING, NOTHING, None),
        (A, LINK, A, EtcKind.EDIT),
        (LINK, A, LINK, EtcKind.EDIT),
        (None, A, B, EtcKind.UNKNOWN),
        (None, A, A, None),
        (None, A, NOTHING, None),
        (None, NOTHING, A, EtcKind.UNKNOWN),
        (A, B, None, EtcKind.EDIT),  # no newer default is known
        (A, A, None, None),
        (A, NOTHING, None, EtcKind.DELETED),
        (None, A, None, None),
        (A_MD5, BOTH_A, B, EtcKind.MASKED),
        (A_MD5, B, C, EtcKind.UNKNOWN),  # digests of different kinds cannot be compared
    ],
)
def test_three_sides_say(base: Side | None, mine: Side, new: Side | None, kind: EtcKind | None) -> None:
    assert judge(base, mine, new) is kind


def test_digests_of_different_kinds_cannot_be_compared() -> None:
    assert same(A_MD5, A) is None
    assert same(A_MD5, BOTH_A) is True


def test_another_mode_makes_another_side_where_both_know_theirs() -> None:
    plain, open_to_all, unknown = (
        Side(EntryKind.FILE, frozenset({"a" * 64}), mode=mode) for mode in (0o644, 0o666, None)
    )
    assert (same(plain, open_to_all), same(plain, unknown)) == (False, True)


def test_side_of_an_entry_has_all_that_is_known_of_it() -> None:
    entry = Entry("/etc/x", EntryKind.FILE, 0o600, 0, 0, sha256="a" * 64)
    assert Side.of(entry, "a" * 32, None) == Side(EntryKind.FILE, frozenset({"a" * 64, "a" * 32}), mode=0o600)
    assert Side.of(None) is NOTHING
