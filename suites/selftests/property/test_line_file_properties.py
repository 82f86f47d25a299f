"""Laws of the files of manifests: what is written is read again, a comparison misses nothing, damage is noticed."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from redrill.drill import line_file
from redrill.drill.line_file import differing_lines, read_lines, write_lines
from redrill.model.manifest import Entry, ManifestLines, entry_line, line_prefixes, parse_entry
from redrill.model.values import is_inside
from redrill.probes.known_files import KnownFiles
from selftests.property.test_manifest_properties import ENTRIES, MANIFESTS, NAMES, PATHS

WORDS = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=40)
LINES = st.lists(WORDS, unique=True, max_size=60).map(sorted)
TOKENS = st.lists(st.tuples(st.binary(max_size=9).map(lambda data: data.replace(b"\0", b"")), WORDS), max_size=9)


@pytest.fixture(autouse=True)
def in_small_pieces(monkeypatch):
    monkeypatch.setattr(line_file, "_LINES_AT_ONCE", 2)
    monkeypatch.setattr(line_file, "_READ", 16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return Path(tempfile.mkdtemp(dir=tmp_path_factory.mktemp("lines")))


@given(head=WORDS, lines=LINES)
def test_lines_survive_being_written(folder, head, lines):
    assert list(read_lines(write_lines(folder / "file", [head, *lines]))) == [head, *lines]


@given(heads=st.tuples(WORDS, WORDS), one=LINES, other=LINES)
def test_what_differs_is_what_the_other_does_not_have(folder, heads, one, other):
    first, second = write_lines(folder / "one", [heads[0], *one]), write_lines(folder / "other", [heads[1], *other])
    found = differing_lines(first, second)
    assert found == (
        [heads[0], *sorted(set(one) - set(other))],
        [heads[1], *sorted(set(other) - set(one))],
    )


@given(lines=LINES, place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_a_flipped_bit_is_an_error(folder, lines, place, bit):
    file = write_lines(folder / "file", ["head", *lines])
    data = bytearray(file.read_bytes())
    data[place % len(data)] ^= 1 << bit
    file.write_bytes(data)
    try:
        found = list(read_lines(file))
    except ValueError:
        return
    assert found == ["head", *lines]  # a bit of the frame's header that says nothing about its content


@given(lines=LINES, share=st.floats(0, 0.99))
def test_a_file_that_is_cut_off_is_an_error(folder, lines, share):
    file = write_lines(folder / "file", ["head", *lines])
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    with pytest.raises(ValueError, match=r"cut off|damaged"):
        list(read_lines(file))


@given(ENTRIES)
def test_an_entry_survives_its_line(entry: Entry):
    assert parse_entry(entry_line(entry)) == entry


@given(MANIFESTS)
def test_a_manifest_and_its_lines_are_stored_alike(manifest):
    assert list(ManifestLines.of(manifest).dump()) == list(manifest.dump())
    assert ManifestLines.of(manifest).parse() == manifest


@given(MANIFESTS, st.lists(PATHS | NAMES.map(lambda name: f"/{name}"), max_size=4))
def test_lines_are_chosen_as_their_paths_are(manifest, parents):
    _, *lines = manifest.dump()
    found = {parse_entry(line).path for line in lines if line.startswith(line_prefixes(parents))}
    assert found == {path for path in manifest.entries if is_inside(path, tuple(parents))}


@given(st.binary(max_size=9).map(lambda data: data.replace(b"\0", b"")), TOKENS)
def test_what_is_known_survives_being_stored(identity, pairs):
    known = KnownFiles.of(identity, pairs)
    assert KnownFiles.parse(b"".join(known.dump())) == known


@given(st.binary(max_size=40))
def test_what_was_not_stored_so_is_refused(data):
    try:
        found = KnownFiles.parse(data)
    except ValueError:
        return
    assert b"".join(found.dump()).partition(b"\0")[0] == data.partition(b"\0")[0]
