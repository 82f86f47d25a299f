"""The folder of one snapshot on disk: private, written once, and a snapshot only when its marker is there."""

import fcntl
import hashlib
import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from redrill.errors import BackupError
from redrill.model.manifest import Manifest
from redrill.model.values import Value
from redrill.repositories.age import SUFFIX
from redrill.repositories.protocol import Snapshot
from redrill.repositories.streams import CHUNK, tee

ARCHIVE = "archive.tar.zst"
MANIFEST = "manifest.jsonl"
MARKER = "snapshot.json"
_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-.+")

Seal = tuple[tuple[str, int, int, int, int], ...]
"""Name, inode, size, and in nanoseconds when content and inode last changed, of each file of a snapshot."""


class Marker(Value):
    """What makes a folder a snapshot, written last: the snapshot and the sha256 of its manifest file, as stored.

    An encrypted snapshot's marker does not hold its warnings, for they name files.
    """

    schema_version: int = 1
    snapshot: Snapshot
    manifest_sha256: str
    is_encrypted: bool = False

    @property
    def archive(self) -> str:
        """The name of the archive file."""
        return ARCHIVE + (SUFFIX if self.is_encrypted else "")

    @property
    def manifest(self) -> str:
        """The name of the manifest file."""
        return MANIFEST + (SUFFIX if self.is_encrypted else "")


def name_snapshot(created: datetime, run: str) -> str:
    """Return the id of a snapshot, which is the name of its folder; no owner calls one of theirs so."""
    return f"{created:%Y%m%dT%H%M%S.%fZ}-{run}"


def make_private_folder(path: Path) -> None:
    """Make a folder and its missing parents, for the owner alone whatever the umask is."""
    for missing in reversed([folder for folder in (path, *path.parents) if not folder.exists()]):
        missing.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def create_private(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file for the owner alone; its content is on the disk when the context is left."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "wb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


def read_manifest_file(folder: Path, marker: Marker) -> bytes:
    """Return the manifest of a snapshot as stored; BackupError when it is not the one that was written."""
    path = folder / marker.manifest
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BackupError(f"The manifest '{path}' cannot be read: {error}") from error
    if hashlib.sha256(data).hexdigest() != marker.manifest_sha256:
        raise BackupError(f"The manifest '{path}' is not the one that was written with the backup.")
    return data


def read_manifest(folder: Path, marker: Marker, unlock: Callable[[Iterator[bytes]], Iterator[bytes]]) -> Manifest:
    """Return the manifest of a snapshot, decrypted by ``unlock``; BackupError when it cannot be the one written."""
    path = folder / marker.manifest
    data = read_manifest_file(folder, marker)
    plain = b"".join(unlock(iter([data])))
    try:
        return Manifest.parse(plain.decode("ascii").splitlines())
    except (ValueError, KeyError, TypeError) as error:
        raise BackupError(f"The manifest '{path}' cannot be read by this version of redrill: {error}") from error


@contextmanager
def read_archive_file(folder: Path, marker: Marker, snapshot: Snapshot) -> Iterator[Iterator[bytes]]:
    """Stream an archive as it is stored; its last chunk raises BackupError when it is not that of the snapshot."""
    path = folder / marker.archive
    try:
        file = path.open("rb")
    except OSError as error:
        raise BackupError(f"The archive '{path}' cannot be read: {error}") from error
    with file:
        yield _checked(file, snapshot)


def _checked(file: IO[bytes], snapshot: Snapshot) -> Iterator[bytes]:
    digest = hashlib.sha256()
    yield from tee(_chunks(file), digest.update)
    if digest.hexdigest() != snapshot.sha256:
        raise BackupError(f"The archive of the snapshot '{snapshot.id}' is damaged or was changed after the backup.")


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    try:
        while chunk := file.read(CHUNK):
            yield chunk
    except OSError as error:
        raise BackupError(f"The archive '{file.name}' cannot be read: {error}") from error


def seal_of(folder: Path) -> Seal:
    """Return what cannot stay the same when somebody touches the files of a snapshot; nothing when it is gone."""
    try:
        found = [(file.name, file.stat()) for file in folder.iterdir()]
    except OSError:
        return ()
    return tuple(sorted((name, of.st_ino, of.st_size, of.st_mtime_ns, of.st_ctime_ns) for name, of in found))


def write_marker(folder: Path, marker: Marker) -> None:
    """Make the folder a snapshot, durably and in one step."""
    temporary = folder / f"{MARKER}.new"
    with create_private(temporary) as file:
        file.write(marker.model_dump_json(indent=2).encode("ascii", "backslashreplace") + b"\n")
    _sync(folder)
    temporary.rename(folder / MARKER)
    _sync(folder)
    _sync(folder.parent)


def read_marker(folder: Path) -> Marker:
    """Return the marker of a snapshot; BackupError when it is not one of this version or belongs to another folder."""
    try:
        marker = Marker.model_validate_json((folder / MARKER).read_bytes())
    except (OSError, ValidationError) as error:
        raise BackupError(f"The marker '{folder / MARKER}' cannot be read: {error}") from error
    snapshot = marker.snapshot
    if marker.schema_version != 1 or (snapshot.endpoint, snapshot.id) != (folder.parent.name, folder.name):
        raise BackupError(
            f"The marker '{folder / MARKER}' tells of version {marker.schema_version}, endpoint '{snapshot.endpoint}' "
            f"and snapshot '{snapshot.id}', which is not what this folder is for."
        )
    return marker


def read_markers(folders: Sequence[Path]) -> list[Marker]:
    """Return the markers of all snapshots in an endpoint's folders, oldest first, each from the first good copy.

    BackupError when a snapshot has none that can be read.
    """
    good: dict[str, Marker] = {}
    bad: dict[str, BackupError] = {}
    for file in (marker for folder in folders for marker in sorted(folder.glob(f"*/{MARKER}"))):
        try:
            good.setdefault(file.parent.name, read_marker(file.parent))
        except BackupError as error:
            bad.setdefault(file.parent.name, error)
    if hopeless := [error for name, error in bad.items() if name not in good]:
        raise hopeless[0]
    return sorted(good.values(), key=_age)


def _age(marker: Marker) -> tuple[datetime, str]:
    return marker.snapshot.created, marker.snapshot.id


@contextmanager
def new_folder(folder: Path) -> Iterator[None]:
    """Make the folder of a snapshot and own it as long as the context lasts; it is removed when the context fails."""
    folder.mkdir(mode=0o700)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BaseException:
        with suppress(OSError):
            remove_tree(folder)
        raise
    finally:
        os.close(handle)


def sweep(folder: Path) -> None:
    """Remove what backups of an endpoint left that did not end, unless somebody still writes it.

    Folders that are not called as ``name_snapshot`` does are the owner's, such as a mirror in the same place.
    """
    for partial in folder.iterdir():
        is_own = _NAME.fullmatch(partial.name) is not None and partial.is_dir() and not partial.is_symlink()
        if is_own and not (partial / MARKER).exists():
            _remove_if_free(partial)


def _remove_if_free(partial: Path) -> None:
    handle = os.open(partial, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        remove_tree(partial)
    except BlockingIOError:
        return
    finally:
        os.close(handle)


def remove(folders: Iterable[Path]) -> None:
    """Remove snapshots, the marker first, so that none is ever left with a marker and half its files."""
    for folder in folders:
        (folder / MARKER).unlink()
        _sync(folder)
        remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove a folder, also one with directories that hold what their owner may not write to."""
    for place, names, _ in os.walk(folder) if os.geteuid() != 0 else ():
        for path in (os.path.join(place, name) for name in names):  # noqa: PTH118 - names may be no text at all
            if not os.path.islink(path):  # noqa: PTH114 - as above
                os.chmod(path, 0o700)  # noqa: PTH101 - as above
    shutil.rmtree(folder)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
