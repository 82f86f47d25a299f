"""What is remembered of a machine's files from one observation to the next, so that what did not change is not read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from redrill.model.manifest import EntryKind
from redrill.probes.manifest_stream import Listing, Record

YOUNG_SECONDS = 60
"""A change leaves no trace in ctime within the same tick of the clock, and one through a mapping until it is written to
the disk (35 s by default): what changed so shortly before it was read is read again next time."""

_UNSURE = b"?"
_LINE = "ascii"


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
        """Yield what ``parse`` takes: identity, records and lines, each followed by a NUL."""
        yield b"%s\0%d\0" % (self.identity, len(self.records))
        yield from (b"%s\0" % record for record in self.records)
        yield from (b"%s\0" % line.encode(_LINE) for line in self.lines)

    @classmethod
    def parse(cls, data: bytes) -> "KnownFiles":
        """Return what was dumped; ValueError when it is something else."""
        identity, _, rest = data.partition(b"\0")
        number, _, rest = rest.partition(b"\0")
        tokens, count = rest.split(b"\0"), int(number)
        if len(tokens) != 2 * count + 1 or tokens.pop():
            raise ValueError("It does not hold as many records as it says.")
        return cls(identity, tokens[:count], b"\0".join(tokens[count:]).decode(_LINE).split("\0") if count else [])

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


def remember(
    listing: Listing, kept: Sequence[tuple[bytes, str]], made: Sequence[tuple[Record, str]], unreadable: Iterable[str]
) -> KnownFiles | None:
    """Return what to remember of an observation: what was known before and still is, and what was read anew.

    None when nothing would be saved by it that is not saved by what was known before.
    """
    # The names of one inode are read again together, for what groups them is no part of their records.
    paths = frozenset(unreadable)
    inodes = {record.inode for record, _ in made if record.inode and record.path in paths}
    pairs, is_news = [*kept], not kept
    for record, line in made:
        is_hidden = record.path in paths or record.inode in inodes
        is_sure = not is_hidden and not _is_unsure(record, listing)
        is_news |= is_sure
        pairs.append((record.raw if is_sure else _UNSURE + record.raw, line))
    if not is_news:
        return None
    pairs += ((_UNSURE + raw, "") for raw in listing.device_records.values())
    pairs.sort()
    return KnownFiles(listing.identity, [record for record, _ in pairs], [line for _, line in pairs])


def _is_unsure(record: Record, listing: Listing) -> bool:
    is_young = int(record.ctime.partition(".")[0]) > listing.began - YOUNG_SECONDS
    # The numbers of a device are a record of their own, which would not change with the device's owner.
    return is_young or record.kind in (EntryKind.BLOCK, EntryKind.CHARACTER)


def count_files(kept: Iterable[tuple[bytes, str]]) -> int:
    """Return how many of the records are of regular files, which have a digest."""
    return sum(record.startswith(b"f") for record, _ in kept)
