"""A tree of the state paths on the controller's disk, read as the archive that everything else expects."""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from redrill.errors import BackupError, MachineError
from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.streams import hand_over, inspect
from redrill.repositories.tar_command import CREATE
from redrill.repositories.tar_stream import read_archive

_MEMBERS = " ".join(path.strip("/") for path in STATE_PATHS)
_PROGRAM = f'export LC_ALL=C; cd "$ROOT/" && exec {CREATE} -cf - {_MEMBERS}'


@contextmanager
def open_tree(name: str, tree: Path, deadline: Deadline) -> Iterator[Iterator[bytes]]:
    """Stream the state paths below ``tree`` as an uncompressed archive; BackupError when tar cannot read them all."""
    lacking = [path for path in STATE_PATHS if (tree / path[1:]).is_symlink() or not (tree / path[1:]).is_dir()]
    if lacking:
        raise BackupError(
            f"The tree '{tree}' is no backup of {', '.join(STATE_PATHS)}: no directory is {lacking[0]!r}."
        )
    try:
        with LocalMachine(name, tree).receive(_PROGRAM, deadline) as chunks:
            yield chunks
    except MachineError as error:
        raise BackupError(f"The tree '{tree}' cannot be read as a backup: {error}") from error


def read_tree(name: str, tree: Path, deadline: Deadline, listed: Manifest | None = None) -> Manifest:
    """Return what an archive of the tree holds, every byte read; with ``listed`` all of it must be as listed there."""
    with open_tree(name, tree, deadline) as chunks:
        found = hand_over(chunks, partial(read_archive, deadline=deadline, listed=listed))
    if listed is not None:
        require_like(tree, listed, found)
    return found


def checked_archive(chunks: Iterator[bytes], tree: Path, listed: Manifest, deadline: Deadline) -> Iterator[bytes]:
    """Yield an archive of the tree, but not its end unless all that it holds is as listed, contents too."""

    def look(seen: Iterator[bytes]) -> None:
        require_like(tree, listed, read_archive(seen, deadline, listed))

    return inspect(chunks, look)


def require_like(tree: Path, expected: Manifest, found: Manifest) -> None:
    """Raise BackupError with what differs, unless the tree holds what it should."""
    if unlike := compare(expected, found):
        raise BackupError(f"The tree '{tree}' is not what its manifest says: {'; '.join(map(str, unlike[:10]))}")


def seal_tree(folder: Path) -> str:
    """Return a digest that cannot stay the same when anybody touches anything in a folder; nothing is read for it."""
    digest = hashlib.sha256()
    pending = [os.fsencode(folder)]
    while pending:
        place = pending.pop()
        try:
            with os.scandir(place) as found:
                children = sorted(found, key=lambda child: child.name)
            for child in children:
                info = child.stat(follow_symlinks=False)
                facts = (info.st_mode, info.st_dev, info.st_ino, info.st_size, info.st_mtime_ns, info.st_ctime_ns)
                digest.update(b"%s\0%s\0" % (child.path, repr(facts).encode()))
                if child.is_dir(follow_symlinks=False):
                    pending.append(child.path)
        except OSError as error:
            digest.update(b"%s\0%d\0" % (place, error.errno or 0))
    return digest.hexdigest()
