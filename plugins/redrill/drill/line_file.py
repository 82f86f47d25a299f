"""Files of many sorted lines, none of them empty: compressed, private, compared in pieces that need little memory."""

from collections.abc import Iterable, Iterator
from itertools import chain, islice, zip_longest
from pathlib import Path

import zstandard

from redrill.private import write_private_bytes
from redrill.redaction import redact_known

_LINES_AT_ONCE = 2000
_READ = 1 << 17


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write ASCII lines, without known secrets, as one checked zstd frame of mode 0600, whole or not at all."""
    blocks = (redact_known(f"{block}\n").encode("ascii", "backslashreplace") for block in in_blocks(lines))
    return write_private_bytes(path, compress(blocks, level=3))


def in_blocks(lines: Iterable[str]) -> Iterator[str]:
    """Yield lines, many at a time, joined by newlines."""
    iterator = iter(lines)
    while block := list(islice(iterator, _LINES_AT_ONCE)):
        yield "\n".join(block)


def compress(chunks: Iterable[bytes], level: int = 1) -> Iterator[bytes]:
    """Yield chunks as one zstd frame with a checksum."""
    compressor = zstandard.ZstdCompressor(level, write_checksum=True).compressobj()
    yield from map(compressor.compress, chunks)
    yield compressor.flush()


def read_lines(path: Path) -> Iterator[str]:
    """Yield the lines of a file that ``write_lines`` wrote; OSError or ValueError when it cannot be read or is cut."""
    return chain.from_iterable(block.decode("ascii").split("\n") for block in _blocks(path))


def differing_lines(one: Path, other: Path) -> tuple[list[str], list[str]]:
    """Return, of each file, its first line and those lines that the other does not have; errors as ``read_lines``.

    The files are read side by side. As both are sorted, what waits for its like in the other file is never more than
    what differs.
    """
    heads: list[str] = []
    only: tuple[set[bytes], set[bytes]] = set(), set()
    for blocks in zip_longest(_blocks(one), _blocks(other), fillvalue=b""):
        pieces = [block.split(b"\n") if block else [] for block in blocks]
        if not heads:
            heads = [piece.pop(0).decode("ascii") if piece else "" for piece in pieces]
        if pieces[0] == pieces[1]:
            continue
        for waiting, piece in zip(only, pieces, strict=True):
            waiting.update(piece)
        common = only[0] & only[1]
        for waiting in only:
            waiting.difference_update(common)
    first, second = (
        [head, *(line.decode("ascii") for line in sorted(lines))] for head, lines in zip(heads, only, strict=True)
    )
    return first, second


def _blocks(path: Path) -> Iterator[bytes]:
    """Yield whole lines, many at a time, without the newline after the last of them."""
    rest = b""
    for piece in _decompressed(path):
        head, newline, tail = piece.rpartition(b"\n")
        if newline:
            yield rest + head
            rest = tail
        else:
            rest += tail
    if rest:
        raise ValueError(f"'{path}' ends within a line.")


def _decompressed(path: Path) -> Iterator[bytes]:
    decompressor = zstandard.ZstdDecompressor().decompressobj()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_READ):
                yield decompressor.decompress(chunk)
    except zstandard.ZstdError as error:
        raise ValueError(f"'{path}' is no file of compressed lines, or damaged: {error}") from error
    if not decompressor.eof:
        raise ValueError(f"'{path}' is cut off.")
