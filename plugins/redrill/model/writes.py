"""Numbered writes: the line that each of them stores, and what those that came back say of a loss."""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from redrill.model.canary import Canary, CommandCanary, StateClass
from redrill.model.recovery import CanaryResult

NUMBERS_TOLD = 100
"""How many writes a result names of each sort."""

_LINE = re.compile(r"(\d+) \d+ ([0-9a-f]{8})[0-9a-f]* ([0-9a-f]{16})")


@dataclass(frozen=True, slots=True)
class Write:
    """A write that the endpoint called durable: its number, and when the controller heard that (UTC)."""

    number: int
    acknowledged: datetime


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What is stored: the numbers of whole writes, and of those that are not what was written.

    ``has_lines`` is False when some were told by their number alone, so that an alteration cannot be seen.
    """

    numbers: frozenset[int]
    altered: frozenset[int] = frozenset()
    has_lines: bool = True


def make_line(run: str, number: int, sent: datetime, payload: str) -> str:
    """Return what one write stores: its number, the time in ms, a tag of its run with the payload (hex), a checksum.

    The tag tells lines of an earlier drill, which an owner's backup may hold, from wrecks of this one's.
    """
    text = f"{number} {int(sent.astimezone(UTC).timestamp() * 1000)} {_tag(run)}{payload}"
    return f"{text} {_checksum(text)}"


def number_of(run: str, line: str) -> int | None:
    """Return the number of a line that is whole, and of this run, else None."""
    found = _whole(line)
    return int(found[1]) if found and found[2] == _tag(run) else None


def _is_foreign(run: str, line: str) -> bool:
    """Whether a line is a whole one of another drill."""
    found = _whole(line)
    return found is not None and found[2] != _tag(run)


def _whole(line: str) -> re.Match[str] | None:
    found = _LINE.fullmatch(line)
    return found if found and found[3] == _checksum(line.rpartition(" ")[0]) else None


def _tag(run: str) -> str:
    return hashlib.sha256(run.encode()).hexdigest()[:8]


def _checksum(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def sort_out(run: str, canary: Canary, text: str, written: Sequence[Write], taken: datetime | None) -> ReadBack:
    """Return what the stored text holds of ``written``, both in the order of their numbers.

    What is cut off at the end of a file that grows was in flight at the moment of the backup, and so is no harm unless
    the write had been acknowledged by then.
    """
    known = {write.number: write for write in written}
    *lines, tail = text.split("\n")
    following = known.get(max((number_of(run, line) or 0 for line in lines), default=0) + 1)
    if tail and (number_of(run, tail) or (following and taken and following.acknowledged <= taken)):
        lines.append(tail)
    numbers: set[int] = set()
    altered: set[int] = set()
    has_lines = True
    for position, line in enumerate(filter(None, lines)):
        number = number_of(run, line)
        if number is None and isinstance(canary, CommandCanary) and line.isdecimal():
            has_lines, number = False, int(line)
        if number is None:
            altered |= set() if _is_foreign(run, line) else _wreck_of(line, position, known)
        else:
            numbers.add(number)
    if canary.keeps_last:
        last = max(numbers, default=0)
        numbers = {number for number in known if number <= last}
        altered = {max(known)} if altered else set()
    return ReadBack(frozenset(numbers), frozenset(altered), has_lines)


def _wreck_of(line: str, position: int, known: Mapping[int, Write]) -> set[int]:
    """Return the write that a line is a wreck of: by the number that it begins with, else by its place among all."""
    begin = re.match(r"\d+", line)
    if begin and int(begin[0]) in known:
        return {int(begin[0])}
    return {list(known)[min(position, len(known) - 1)]} if known else set()


def measure(
    each: StateClass, written: Sequence[Write], found: ReadBack, taken: datetime | None, outage: datetime
) -> CanaryResult:
    """Return what was lost of the writes that had been acknowledged before the outage, given in their order.

    ``taken`` is the moment whose data the backup holds: what was acknowledged before it is there, altered, or lost. The
    loss counts from the last write before the first that is missing; without any, from the backup or the first write.
    """
    counted = [write for write in written if write.acknowledged <= outage]
    missing = [index for index, write in enumerate(counted) if write.number not in found.numbers]
    intact = counted[: missing[0]] if missing else counted
    safe = [counted[i].number for i in missing if taken is not None and counted[i].acknowledged <= taken]
    is_wreck = each.canary.keeps_last and found.altered
    lost = [] if is_wreck else [number for number in safe if number not in found.altered]
    start = [*([taken] if taken else []), *(write.acknowledged for write in counted[:1])]
    since = intact[-1].acknowledged if intact else min(start, default=outage)
    return CanaryResult(
        kind=each.canary.kind,
        application=each.application,
        interval=each.canary.interval.total_seconds(),
        written=len(counted),
        survived=len(counted) - len(missing),
        last_written=counted[-1].acknowledged if counted else None,
        last_survivor=intact[-1].acknowledged if intact else None,
        lost_before_backup=tuple(lost[:NUMBERS_TOLD]),
        altered=tuple(sorted(found.altered)[:NUMBERS_TOLD]),
        shows_alterations=found.has_lines,
        loss=max(0.0, (outage - since).total_seconds()) if missing else 0.0,
    )
