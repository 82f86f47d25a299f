"""Three sides of a configuration file: the vendor's old default, what is here, and the vendor's new default."""

from dataclasses import dataclass
from enum import StrEnum

from redrill.model.manifest import Entry, EntryKind


class EtcKind(StrEnum):
    """What the three sides of a path say together."""

    REDUNDANT = "redundant copy"
    MASKED = "masked default"
    EDIT = "local edit"
    CONFLICT = "conflict"
    ORPHAN = "orphan"
    DELETED = "deleted on purpose"
    DANGLING = "dangling link"
    ALTERNATIVE = "alternative"
    LEFTOVER = "leftover"
    UNKNOWN = "unknown default"


@dataclass(frozen=True, slots=True)
class Side:
    """What one side has at a path; a ``kind`` of None is nothing at all.

    ``digests`` are hex digests of the content, MD5 and SHA-256 told apart by their length; ``mode`` is None where it
    is not known or does not matter.
    """

    kind: EntryKind | None
    digests: frozenset[str] = frozenset()
    target: str | None = None
    mode: int | None = None

    @classmethod
    def of(cls, entry: Entry | None, *more: str | None, has_mode: bool = True) -> "Side":
        """Return the side that an entry of a manifest is, with further digests of its content."""
        if entry is None:
            return NOTHING
        digests = frozenset(digest for digest in (entry.sha256, *more) if digest)
        mode = entry.mode if has_mode and entry.kind is not EntryKind.SYMLINK else None
        return cls(entry.kind, digests, entry.target, mode)


NOTHING = Side(None)
"""Nothing is there, and that is known."""


def same(one: Side, other: Side) -> bool | None:
    """Whether two sides have the same; None when their digests cannot be compared."""
    if one.kind is not other.kind or one.target != other.target:
        return False
    if None not in (one.mode, other.mode) and one.mode != other.mode:
        return False
    if one.kind is not EntryKind.FILE:
        return True
    lengths = {len(digest) for digest in one.digests} & {len(digest) for digest in other.digests}
    if not lengths:
        return None
    return bool(one.digests & other.digests)


def judge(base: Side | None, mine: Side, new: Side | None) -> EtcKind | None:
    """Return what three sides say together, None when there is nothing to say.

    ``base`` and ``new`` are None when that side is not known; without a new one the old default is all there is.
    """
    new = base if new is None else new
    if new is None or same(mine, new):
        return None
    if mine.kind is None:
        return _judge_absent(base)
    if new.kind is None:
        return EtcKind.ORPHAN if base and base.kind else None
    if base is None or same(mine, new) is None:
        return EtcKind.UNKNOWN
    return _judge_changed(base, mine, new)


def _judge_absent(base: Side | None) -> EtcKind:
    if base is None:
        return EtcKind.UNKNOWN
    return EtcKind.DELETED if base.kind else EtcKind.MASKED


def _judge_changed(base: Side, mine: Side, new: Side) -> EtcKind:
    """Judge what is neither nothing nor the new default, by whether it is the old one and that is the new one."""
    is_base, is_base_new = same(mine, base), same(base, new)
    if base.kind is None:
        return EtcKind.CONFLICT
    if is_base:
        return EtcKind.MASKED
    if is_base is None or is_base_new is None:
        return EtcKind.UNKNOWN
    return EtcKind.EDIT if is_base_new else EtcKind.CONFLICT
