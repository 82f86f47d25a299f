"""What is remembered of a machine's files from one observation to the next, so that what did not change is not read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from redrill.probes.manifest_stream import Listing, Made

_UNSURE = b"?"
_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """Raw records of the manifest program, sorted, and the line of each in a manifest.

    ``identity`` is what the program called the machine, its boot and itself: for any other all this is worth nothing.
    Records that must not be believed next time begin with '?', so that they equal none.
    """

    identity: bytes
    records: list[bytes]
    lines: list[str]

    def dump(self) -> Iterator[bytes]:
        """Yield what ``parse`` takes: identity, number of records, records and lines, each followed by a NUL."""
        yield b"%s\0%d\0" % (self.identity, len(self.records))
        for start in range(0, len(self.records), _AT_ONCE):
            yield b"".join([b"%s\0" % record for record in self.records[start : start + _AT_ONCE]])
        for start in range(0, len(self.lines), _AT_ONCE):
            yield "".join([f"{line}\0" for line in self.lines[start : start + _AT_ONCE]]).encode("ascii")

    @classmethod
    def parse(cls, data: bytes) -> "KnownFiles":
        """Return what was dumped; ValueError when it is something else."""
        identity, number, *tokens = data.split(b"\0")
        count = int(number)
        if len(tokens) != 2 * count + 1 or tokens.pop():
            raise ValueError("It does not hold as many records as it says.")
        return cls(identity, tokens[:count], [line.decode("ascii") for line in tokens[count:]])

    def offer(self) -> Iterator[bytes]:
        """Yield what the manifest program reads: its identity in a line, then the records."""
        yield self.identity + b"\n"
        yield b"\0".join(self.records) + b"\0"

    def without(self, gone: set[bytes]) -> list[tuple[bytes, str]]:
        """Return records with their lines but for those that are no more."""
        return [pair for pair in zip(self.records, self.lines, strict=True) if pair[0] not in gone]


class Memory(Protocol):
    """Where what is known of one machine's files is kept."""

    def recall(self) -> KnownFiles | None:
        """Return what is known; None when that is nothing."""

    def keep(self, known: KnownFiles) -> None:
        """Remember this instead of what was known."""


def remember(listing: Listing, kept: Sequence[tuple[bytes, str]], made: Iterable[Made]) -> KnownFiles | None:
    """Return what to remember of an observation: what was known before and still is, and what was read anew.

    None when nothing would be saved by it that is not saved by what was known before.
    """
    pairs, is_news = [*kept], not kept
    for raw, is_sure, line in made:
        is_news |= is_sure
        pairs.append((raw if is_sure else _UNSURE + raw, line))
    if not is_news:
        return None
    pairs += ((_UNSURE + raw, "") for raw in listing.device_records.values())
    pairs.sort()
    return KnownFiles(listing.identity, [record for record, _ in pairs], [line for _, line in pairs])


def count_files(kept: Iterable[tuple[bytes, str]]) -> int:
    """Return how many of the records are of regular files, which have a digest."""
    return sum(record.startswith(b"f") for record, _ in kept)
