"""Leaked paths, saved before the wipe: what a recovery may need and no backup has."""

import os
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from redrill.analysis.drift import Drift
from redrill.analysis.leaks import make_ledger
from redrill.analysis.ledger import Leak
from redrill.drill.bench import Bench
from redrill.drill.evidence import read_part
from redrill.errors import RestoreError, UnknownFactError
from redrill.machine.protocol import Machine
from redrill.machine.streams import read_chunks
from redrill.machine.walker import encode
from redrill.minimise.pieces import Piece, PieceTree, extents, parents_of
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest
from redrill.repositories.streams import compress, decompress
from redrill.repositories.tar_filter import select_members

_ATTRIBUTES = "--xattrs --xattrs-include='*' --numeric-owner"
# A file that is written to meanwhile is saved as it is then, and one that goes away is not: nobody promised a backup.
_SAVE = (
    f'cd "${{ROOT-}}/" && {{ tar --format=posix {_ATTRIBUTES} --sparse --null --verbatim-files-from -T - -cf -; '
    "[ $? -le 2 ]; }"
)
_PUT_BACK = f'cd "${{ROOT-}}/" && tar {_ATTRIBUTES} -xpf -'


@dataclass(frozen=True, slots=True)
class SavedLeaks:
    """What was saved of the leaked paths ``tops``: a tar in one zstd frame, and what it holds of each.

    ``too_large`` are those that were left; ``unknown`` says why nobody knows what leaks.
    """

    file: Path
    manifest: Manifest
    tops: tuple[str, ...] = ()
    too_large: tuple[str, ...] = ()
    unknown: str = ""

    def tree(self, depth: int) -> PieceTree:
        """Return the pieces of what was saved; a fresh system has nothing of it."""
        return PieceTree(self.manifest, Manifest({}), self.tops, depth)


def save_leaks(bench: Bench, most: int, deadline: Deadline) -> SavedLeaks:
    """Save what a redeploy loses, the smallest paths first, ``most`` bytes in all; MachineError, OSError."""
    file = bench.folder / "leaked.tar.zst"
    try:
        leaks = make_ledger(Drift(bench.run_dir, bench.fleet, bench.freeze(), bench.endpoint)).leaks
    except UnknownFactError as error:
        return SavedLeaks(file, Manifest({}), unknown=str(error))
    chosen = list(_smallest(leaks, most))
    tops = tuple(sorted(leak.path for leak in chosen))
    too_large = tuple(leak.path for leak in leaks if leak not in chosen)
    before = bench.evidence.before
    if not tops or before is None or before.system_manifest is None:
        return SavedLeaks(file, Manifest({}), too_large=too_large)
    entries = read_part(bench.run_dir, before.system_manifest, tops)
    names = b"".join(encode(top[1:]) + b"\0" for top in tops)
    with bench.machine.receive(_SAVE, deadline, iter([names])) as chunks:
        _write(file, compress(chunks, 1))
    return SavedLeaks(file, Manifest(entries), tops, too_large)


def _smallest(leaks: Sequence[Leak], most: int) -> Iterator[Leak]:
    for leak in sorted(leaks, key=lambda leak: leak.size):
        most -= leak.size
        if most < 0:
            return
        yield leak


def _write(file: Path, chunks: Iterator[bytes]) -> None:
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as target:
        target.writelines(chunks)


def put_back(machine: Machine, saved: SavedLeaks, pieces: Sequence[Piece], deadline: Deadline) -> None:
    """Put pieces of what leaked onto a fresh system; RestoreError when it has no plain directory for one of them.

    A link in the way could lead anywhere, where the system is only a directory here also out of it.
    """
    if not pieces:
        return
    parents = sorted({parent for top in saved.tops for parent in parents_of(top)})
    tests = (f'test -d "${{ROOT-}}"/{name} && test ! -h "${{ROOT-}}"/{name}' for name in _quoted(parents))
    for parent, result in zip(parents, machine.batch(list(tests), deadline), strict=True):
        if result.exit_status != 0:
            raise RestoreError(f"On '{machine.name}' the image has no directory '{parent}' to put leaked files into.")
    with saved.file.open("rb") as file:
        stream = decompress(read_chunks(file))
        members = select_members(stream, saved.manifest, extents(pieces), deadline)
        machine.send(_PUT_BACK, members, deadline).checked()


def _quoted(paths: Sequence[str]) -> Iterator[str]:
    return (shlex.quote(path[1:]) for path in paths)
