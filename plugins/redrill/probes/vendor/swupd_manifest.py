"""Manifests of swupd (Clear Linux and its mixes): their lines, and the hash by which a file is what they say.

The formats are those of swupd-client 7.0.0, format 42; the hash is checked against recorded runs of ``swupd hashdump``.
"""

import hashlib
import hmac
import os
import stat
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from redrill.model.manifest import EntryKind

MISSING = "0" * 64
"""The hash of what is not there."""

_KINDS = {"F": EntryKind.FILE, "D": EntryKind.DIRECTORY, "L": EntryKind.SYMLINK}
_COLUMNS = 4


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a manifest: ``kind`` is None for what a release deleted, and for a manifest among manifests.

    ``is_variant``: one of several for the same path, of which only one applies to a processor. ``name`` is a path, or
    that of a bundle; ``version`` is the release of the last change.
    """

    name: str
    hash: str
    version: str
    kind: EntryKind | None
    is_deleted: bool
    is_ghosted: bool
    is_variant: bool


def parse_manifest(text: str) -> tuple[dict[str, str], list[Line]]:
    """Return the header and the lines of a manifest; ValueError when it is none."""
    head, separator, body = text.partition("\n\n")
    first, _, rest = head.partition("\n")
    word, _, number = first.partition("\t")
    if word != "MANIFEST" or not separator:
        raise ValueError(f"This is no manifest of swupd: it begins with {first[:80]!r}.")
    pairs = (line.partition(":\t") for line in rest.splitlines())
    header = {"format": number} | {key: value for key, _, value in pairs}
    return header, list(_parse_lines(body.split("\n")))


def _parse_lines(lines: Iterable[str]) -> Iterator[Line]:
    for line in filter(None, lines):
        columns = line.split("\t", _COLUMNS - 1)
        if len(columns) != _COLUMNS or len(columns[0]) != 4:
            raise ValueError(f"This is no line of a manifest: {line[:200]!r}.")
        flags, digest, version, name = columns
        yield Line(
            name, digest, version, _KINDS.get(flags[0]), flags[1] == "d", flags[1] == "g", flags[2] not in ".Csb"
        )


def hash_manifest(text: bytes) -> str:
    """Return the hash under which a manifest of manifests names another: that of a plain file of root."""
    return _hash((stat.S_IFREG | 0o644, 0, 0, 0, len(text)), text)


def hash_path(path: Path) -> str:
    """Return swupd's hash of what stands at ``path``; OSError when it cannot be read."""
    try:
        info = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return MISSING
    return hash_as(path, info)


def hash_as(path: Path, info: os.stat_result, mode: int | None = None, owner: tuple[int, int] | None = None) -> str:
    """Return the hash that a path would have with these permission bits or this owner in the place of its own."""
    uid, gid = owner or (info.st_uid, info.st_gid)
    bits = stat.S_IFMT(info.st_mode) | (stat.S_IMODE(info.st_mode) if mode is None else mode)
    if stat.S_ISLNK(info.st_mode):
        target = os.readlink(os.fsencode(path))  # noqa: PTH115 - bytes, for nobody promised text
        return _hash((0, uid, gid, 0, len(target)), target)
    if stat.S_ISDIR(info.st_mode):
        return _hash((bits, uid, gid, 0, 0), b"DIRECTORY")
    content = path.read_bytes() if stat.S_ISREG(info.st_mode) else b""
    return _hash((bits, uid, gid, info.st_rdev, len(content)), content)


def _hash(facts: tuple[int, int, int, int, int], message: bytes) -> str:
    """Return the hash for mode, uid, gid, device number and size of a file with this content."""
    key = hmac.new(struct.pack("<5Q", *facts), b"", hashlib.sha256).hexdigest()
    return hmac.new(key.encode("ascii"), message, hashlib.sha256).hexdigest()


def merge_bundles(bundles: Sequence[tuple[str, Sequence[Line]]]) -> dict[str, tuple[str, list[Line]]]:
    """Return the lines of each path, with the bundle that has it, of all installed bundles together.

    A path that one bundle deletes and another has is there; the variants of a path are alternatives.
    """
    merged: dict[str, tuple[str, list[Line]]] = {}
    for bundle, lines in bundles:
        for line in lines:
            owner, known = merged.get(line.name, (bundle, []))
            if known and known[0].is_deleted and not line.is_deleted:
                owner, known = bundle, []
            if not known or not line.is_deleted:
                merged[line.name] = owner, [*known, line]
    return merged
