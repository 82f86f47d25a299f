"""How a stream is cut at its markers, however it arrives."""

from hypothesis import given
from hypothesis import strategies as st

from redrill.machine.channel import Cutter

MARKER = b"0123456789abcdef"


@given(
    outputs=st.lists(st.binary(max_size=60), max_size=4),
    statuses=st.lists(st.integers(0, 255), min_size=4, max_size=4),
    size=st.integers(1, 40),
)
def test_every_output_comes_back_whole_however_the_stream_is_torn(
    outputs: list[bytes], statuses: list[int], size: int
) -> None:
    expected = [(output, str(status).encode()) for output, status in zip(outputs, statuses, strict=False)]
    stream = b"".join(output + MARKER + status + b"\n" for output, status in expected)
    cutter = Cutter(MARKER, b"\n")
    for start in range(0, len(stream), size):
        cutter.feed(stream[start : start + size])
    assert cutter.pieces == expected
    assert cutter.rest == b""


def test_what_follows_the_last_marker_is_kept() -> None:
    cutter = Cutter(MARKER, b"")
    cutter.feed(b"one" + MARKER + b"two")
    assert (cutter.pieces, cutter.rest) == ([(b"one", b"")], b"two")
