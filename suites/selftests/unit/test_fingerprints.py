"""A stream that is read again: every piece is known before it is passed on."""

import pytest

from redrill.errors import BackupError
from redrill.repositories.fingerprints import Fingerprints

CHUNKS = [b"one", b"two", b"three"]


@pytest.fixture
def prints() -> Fingerprints:
    found = Fingerprints()
    assert list(found.take(iter(CHUNKS))) == CHUNKS
    return found


def test_the_same_stream_passes_again_and_again(prints):
    assert [list(prints.compare(iter(CHUNKS))) for _ in range(2)] == [CHUNKS, CHUNKS]


@pytest.mark.parametrize(
    ("chunks", "passed"),
    [
        ([b"one", b"TWO", b"three"], [b"one"]),
        ([*CHUNKS, b"more"], CHUNKS),
        ([b"two", b"one", b"three"], []),
        ([b"on", b"e"], []),
    ],
)
def test_nothing_passes_from_where_the_stream_is_another(prints, chunks, passed):
    stream = prints.compare(iter(chunks))
    assert [next(stream) for _ in passed] == passed
    with pytest.raises(BackupError, match="was changed after the backup had been verified"):
        next(stream)


def test_a_stream_that_ends_early_is_not_the_same(prints):
    stream = prints.compare(iter(CHUNKS[:2]))
    assert [next(stream), next(stream)] == CHUNKS[:2]
    with pytest.raises(BackupError, match="cut off"):
        next(stream)
