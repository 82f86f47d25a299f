"""What is remembered of a machine's files from one observation to the next, so that what did not change is not read."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from redrill.probes.manifest_stream import Listing, Made

_UNSURE = b"?"


@dataclass(frozen=True, slots=True)
class KnownFiles:
    """Raw records of the manifest program, sorted, and the line of each in a manifest, which is ASCII.

    They are two texts, with a NUL after each record and each line: as many small values would take twice the memory
    for as long as a machine is listened to. ``identity`` is what the program called the machine, its boot and itself:
    for any other all this is worth nothing. Records that must not be believed next time begin with '?', so that they
    equal none.
    """

    identity: bytes
    records: bytes
    lines: str

    @classmethod
    def of(cls, identity: bytes, pairs: Sequence[tuple[bytes, str]]) -> "KnownFiles":
        """Return what is known from records with their lines."""
        records = b"\0".join([*(record for record, _ in pairs), b""])
        return cls(identity, records, "\0".join([*(line for _, line in pairs), ""]))

    @property
    def count(self) -> int:
        """How many records there are."""
        return self.records.count(b"\0")

    def dump(self) -> Iterator[bytes]:
        """Yield what ``parse`` takes: identity, number of records and size of them all, then records and lines."""
        yield b"%s\0%d %d\0" % (self.identity, self.count, len(self.records))
        yield self.records
        yield self.lines.encode("ascii")

    @classmethod
    def parse(cls, data: bytes) -> "KnownFiles":
        """Return what was dumped; ValueError when it is something else."""
        begin = data.index(b"\0", data.index(b"\0") + 1) + 1
        identity, numbers, _ = data[:begin].split(b"\0")
        count, size = map(int, numbers.split(b" "))
        found = cls(identity, data[begin : begin + size], data[begin + size :].decode("ascii"))
        is_cut = found.records[-1:] not in (b"", b"\0") or found.lines[-1:] not in ("", "\0")
        if is_cut or size < 0 or (found.count, found.lines.count("\0")) != (count, count):
            raise ValueError("It does not hold as many records as it says.")
        return found

    def offer(self) -> Iterator[bytes]:
        """Yield what the manifest program reads: its identity in a line, then the records."""
        yield self.identity + b"\n"
        yield self.records or b"\0"

    def without(self, gone: set[bytes]) -> list[tuple[bytes, str]]:
        """Return records with their lines but for those that are no more."""
        pairs = zip(self.records.split(b"\0"), self.lines.split("\0"), strict=True)
        return [pair for pair in pairs if pair[0] and pair[0] not in gone]


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
    return KnownFiles.of(listing.identity, pairs)


def count_files(kept: Iterable[tuple[bytes, str]]) -> int:
    """Return how many of the records are of regular files, which have a digest."""
    return sum(record.startswith(b"f") for record, _ in kept)
