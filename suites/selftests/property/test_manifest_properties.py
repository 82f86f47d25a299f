"""Laws of manifests: what is written is read again, and a comparison tells everything, once, in order."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from redrill.machine.walker import decode
from redrill.model.manifest import ATTRIBUTES, Difference, Entry, EntryKind, Manifest, compare

IMPOSSIBLE = (b".", b"..")
NAMES = (
    st.binary(min_size=1, max_size=12)
    .filter(lambda name: name not in IMPOSSIBLE and not {0, ord("/")} & set(name))
    .map(decode)
)
PATHS = st.lists(NAMES, max_size=3).map(lambda names: "/" + "/".join(names))
DIGESTS = st.binary(min_size=32, max_size=32).map(bytes.hex)
XATTRS = st.dictionaries(NAMES, st.binary(max_size=8).map(bytes.hex), max_size=3)
ENTRIES = st.builds(
    Entry,
    path=PATHS,
    kind=st.sampled_from(EntryKind),
    mode=st.integers(0, 0o7777),
    uid=st.integers(0, 2**32 - 1),
    gid=st.integers(0, 2**32 - 1),
    size=st.integers(0, 2**63),
    mtime_ns=st.integers(-(2**63), 2**63),
    sha256=st.none() | DIGESTS,
    target=st.none() | NAMES,
    device=st.none() | st.just("7:70000"),
    link_group=st.none() | PATHS,
    xattrs=XATTRS.map(lambda found: tuple(sorted(found.items()))),
    flags=st.sampled_from(["", "i", "ia", "d"]),
)
MANIFESTS = st.builds(
    Manifest,
    entries=st.lists(ENTRIES, max_size=6).map(lambda entries: {entry.path: entry for entry in entries}),
    unreadable=st.lists(PATHS, max_size=2).map(tuple),
    has_xattrs=st.booleans(),
    has_flags=st.booleans(),
    has_nanoseconds=st.booleans(),
)
KNOWING = {"has_xattrs": True, "has_flags": True, "has_nanoseconds": True}


@given(MANIFESTS)
def test_a_manifest_survives_being_written(manifest):
    assert Manifest.parse(manifest.dump()) == manifest


@given(MANIFESTS)
def test_every_line_of_a_written_manifest_is_ascii_and_one_line(manifest):
    assert all(line.isascii() and len(line.splitlines()) == 1 for line in manifest.dump())


@given(MANIFESTS)
def test_a_manifest_does_not_differ_from_itself(manifest):
    assert compare(manifest, manifest) == []


@given(MANIFESTS, MANIFESTS)
def test_a_comparison_the_other_way_round_is_its_mirror(one, other):
    opposite = {"missing": "unexpected", "unexpected": "missing"}
    mirrored = [
        Difference(found.path, opposite.get(found.attribute, found.attribute), found.found, found.expected)
        for found in compare(other, one)
    ]
    assert compare(one, other) == mirrored


@given(MANIFESTS, MANIFESTS)
def test_manifests_without_a_difference_have_the_same_entries(one, other):
    one, other = replace(one, **KNOWING), replace(other, **KNOWING)
    assert (compare(one, other) == []) == (one.entries == other.entries)


@given(MANIFESTS, MANIFESTS)
def test_differences_are_in_the_order_of_the_paths_and_each_is_told_once(one, other):
    found = [(difference.path, difference.attribute) for difference in compare(one, other)]
    assert [path for path, _ in found] == sorted(path for path, _ in found)
    assert len(found) == len(set(found))


@given(MANIFESTS, ENTRIES, ENTRIES)
def test_a_changed_entry_differs_in_exactly_what_was_changed(manifest, old, new):
    new = replace(new, path=old.path)
    before = Manifest({**manifest.entries, old.path: old})
    after = Manifest({**manifest.entries, old.path: new})
    changed = {name for name in ATTRIBUTES if getattr(old, name) != getattr(new, name)}
    assert {difference.attribute for difference in compare(before, after)} == changed


@given(MANIFESTS, MANIFESTS, st.sampled_from(["xattrs", "flags"]))
def test_what_one_side_does_not_know_never_differs(one, other, attribute):
    found = compare(replace(one, **{f"has_{attribute}": False}), other)
    assert not [difference for difference in found if difference.attribute == attribute]


@given(MANIFESTS, st.integers(0, 10**9 - 1))
def test_parts_of_seconds_that_one_side_does_not_know_never_differ(manifest, part):
    def moved(nanoseconds: int) -> int:
        return nanoseconds // 10**9 * 10**9 + part

    entries = {path: replace(entry, mtime_ns=moved(entry.mtime_ns)) for path, entry in manifest.entries.items()}
    assert compare(replace(manifest, entries=entries, has_nanoseconds=False), manifest) == []


@given(MANIFESTS, MANIFESTS)
def test_every_difference_is_told_in_one_printable_line(one, other):
    assert all(line.isprintable() for line in map(str, compare(one, other)))
