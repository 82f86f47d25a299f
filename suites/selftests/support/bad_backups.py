"""The catalogue of bad inputs 33 to 64: backups that something spoils inside a drill, after they were made.

The numbers are those of the archives among the bad inputs that redrill is specified to refuse.
"""

import json
import os
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyrage
import zstandard

from redrill.model.record import Step
from selftests.support.hostile import BAD_FILES, BASE, END, HOSTILE, BadFile, Hostile, fill, flip, listing, pack

ARCHIVE, MANIFEST, MARKER = "archive.tar.zst", "manifest.jsonl", "snapshot.json"
NUMBERS = range(33, 65)


@dataclass(frozen=True)
class BadBackup:
    """One way to spoil the folder of a snapshot, and what a drill says of it.

    ``number`` is None for what only is missing. A forged one is consistent in itself: the drill is told of its digests
    as if it had made that. ``is_late``: it happens when the backup was verified already. ``needs`` is what the endpoint
    must have: a second 'copy' or a 'key'.
    """

    number: int | None
    title: str
    spoil: Callable[[Path], object]
    words: str
    is_forged: bool = False
    is_late: bool = False
    needs: str = ""

    def __str__(self) -> str:
        return f"{self.number or 'T4'} {self.title}"

    @property
    def name(self) -> str:
        """The name of the endpoint whose backup it is."""
        return re.sub("[^a-z0-9]+", "-", str(self).lower())

    @property
    def step(self) -> Step:
        """The phase that refuses it."""
        return Step.ARM if self.is_late else Step.VERIFY_BACKUP


def _forged(bad: Hostile | BadFile) -> BadBackup:
    return BadBackup(
        bad.number, bad.name, lambda folder: fill(folder, bad.packed(), listing()), bad.words, is_forged=True
    )


def _change(file: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / file).write_bytes(change((folder / file).read_bytes()))


def _flip_at(part: float) -> Callable[[bytes], bytes]:
    return lambda data: flip(data, int(len(data) * part))


def _edit_content(packed: bytes) -> bytes:
    plain = zstandard.ZstdDecompressor().decompressobj().decompress(packed)
    assert b"root:x:0:0" in plain
    return pack(plain.replace(b"root:x:0:0", b"evil:x:0:0"))


def _edit_marker(**facts: object) -> Callable[[bytes], bytes]:
    def edit(data: bytes) -> bytes:
        marker = json.loads(data)
        (marker["snapshot"] if facts.keys() <= marker["snapshot"].keys() else marker).update(facts)
        return json.dumps(marker).encode()

    return edit


def key_of(folder: Path) -> Path:
    """Return the file with the key to the backups of an endpoint, given the folder of one of them."""
    return folder.parents[2] / f"{folder.parent.name}.key"


def second_of(folder: Path) -> Path:
    """Return the folder of the second copy of a snapshot."""
    return folder.parents[2] / "second" / folder.parent.name / folder.name


def _write_key(text: Callable[[], str]) -> Callable[[Path], object]:
    return lambda folder: key_of(folder).write_text(text())


def _other_key() -> str:
    return str(pyrage.x25519.Identity.generate())


def _replace_whole(folder: Path) -> None:
    """Put another backup in its place by renaming, as a synchronisation with elsewhere does."""
    other = folder.with_name("other")
    shutil.copytree(folder, other)
    fill(other, pack(BASE + END), listing())
    for file in (ARCHIVE, MANIFEST, MARKER):
        (other / file).replace(folder / file)
    other.rmdir()


def _overwrite(folder: Path) -> None:
    data = (folder / ARCHIVE).read_bytes()
    (folder / ARCHIVE).write_bytes(data[: len(data) // 2] + os.urandom(len(data) - len(data) // 2))


_ROT = "cut off|damaged|changed after the backup"
"""What is found first depends on who is faster: the reader of the archive or that of its digest."""

_TOUCHED = "was changed or removed after it had been verified"
_STORED = (
    BadBackup(33, "archive emptied", _change(ARCHIVE, lambda _: b""), _ROT),
    BadBackup(34, "archive zeroed", _change(ARCHIVE, lambda data: bytes(len(data))), _ROT),
    BadBackup(36, "archive cut in the middle", _change(ARCHIVE, lambda data: data[: len(data) // 2]), _ROT),
    BadBackup(36, "archive cut near its end", _change(ARCHIVE, lambda data: data[:-3]), _ROT),
    BadBackup(38, "bit flipped late in the archive", _change(ARCHIVE, _flip_at(0.97)), _ROT),
    BadBackup(38, "content edited in the archive", _change(ARCHIVE, _edit_content), "changed after the backup"),
    BadBackup(39, "bit flipped early in the archive", _change(ARCHIVE, _flip_at(0.1)), _ROT),
    BadBackup(40, "junk appended to the archive", _change(ARCHIVE, lambda data: data + b"junk"), _ROT),
    BadBackup(
        61,
        "marker of another host",
        _change(MARKER, _edit_marker(endpoint="web-2")),
        "endpoint 'web-2' and snapshot .*, which is not what this folder is for",
    ),
    BadBackup(
        61,
        "marker of another run",
        _change(MARKER, _edit_marker(id="20260101T000000Z-other")),
        "snapshot '20260101T000000Z-other', which is not what this folder is for",
    ),
    BadBackup(
        61,
        "backup of another host",
        lambda folder: fill(folder, pack(BASE + END), listing()),
        "lacks what was planted just before: .*It is of another run or of another host",
        is_forged=True,
    ),
    BadBackup(61, "manifest edited", _change(MANIFEST, _flip_at(0.5)), "not the one that was written with the backup"),
    BadBackup(
        62,
        "manifest of schema 2",
        lambda folder: fill(folder, pack(BASE + END), b'{"schema": 2}\n'),
        "cannot be read by this version of redrill",
        is_forged=True,
    ),
    BadBackup(62, "marker of schema 2", _change(MARKER, _edit_marker(schema_version=2)), "tells of version 2"),
    BadBackup(63, "key of somebody else", _write_key(_other_key), "encrypted for another key", needs="key"),
    BadBackup(63, "key emptied", _write_key(str), "is empty", needs="key"),
    BadBackup(63, "key that is none", _write_key(lambda: "AGE-SECRET-KEY-1NO"), "no private key of age", needs="key"),
    BadBackup(63, "key gone", lambda folder: key_of(folder).unlink(), "cannot be decrypted", needs="key"),
    BadBackup(64, "replaced by another", _replace_whole, _TOUCHED, is_late=True),
    BadBackup(64, "overwritten", _overwrite, _TOUCHED, is_late=True),
    BadBackup(64, "removed", lambda folder: (folder / ARCHIVE).unlink(), _TOUCHED, is_late=True),
    BadBackup(
        64,
        "second copy replaced",
        lambda folder: _replace_whole(second_of(folder)),
        _TOUCHED,
        is_late=True,
        needs="copy",
    ),
)

CATALOGUE = tuple(
    sorted((*map(_forged, (*HOSTILE, *BAD_FILES)), *_STORED), key=lambda bad: (bad.number or 0, bad.title))
)
"""Every number from 33 to 64, in one or more forms."""

MISSING = (
    BadBackup(None, "archive gone", lambda folder: (folder / ARCHIVE).unlink(), "archive.tar.zst"),
    BadBackup(None, "manifest gone", lambda folder: (folder / MANIFEST).unlink(), "manifest.jsonl"),
    BadBackup(None, "marker gone", lambda folder: (folder / MARKER).unlink(), "snapshot.json"),
    BadBackup(None, "all gone", shutil.rmtree, "snapshot.json"),
    BadBackup(None, "second copy gone", lambda folder: shutil.rmtree(second_of(folder)), "second", needs="copy"),
    BadBackup(
        None,
        "second copy flipped",
        lambda folder: _change(ARCHIVE, _flip_at(0.5))(second_of(folder)),
        "changed after the backup",
        needs="copy",
    ),
)

BY_NAME = {bad.name: bad for bad in (*CATALOGUE, *MISSING)}
