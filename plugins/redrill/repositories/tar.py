"""Backups as plain files: one compressed tar archive, its manifest and a marker in a folder for each snapshot."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from pydantic import Field

from redrill.errors import BackupError, FleetError, MachineError
from redrill.machine.protocol import Machine
from redrill.model.backend_settings import checked_settings
from redrill.model.churn import churn_rules
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest, compare
from redrill.model.secret import SecretValue
from redrill.model.values import STATE_PATHS, Value
from redrill.repositories.age import SUFFIX, decrypt, encrypting, parse_identities, parse_recipients
from redrill.repositories.fingerprints import Fingerprints
from redrill.repositories.flags import read_flags
from redrill.repositories.protocol import Snapshot, require_run_id
from redrill.repositories.snapshot_folder import (
    ARCHIVE,
    MANIFEST,
    Marker,
    Seal,
    create_private,
    make_private_folder,
    name_snapshot,
    new_folder,
    read_archive_file,
    read_manifest,
    read_manifest_file,
    read_marker,
    read_markers,
    remove,
    seal_of,
    sweep,
    write_marker,
)
from redrill.repositories.streams import decompress, hand_over
from redrill.repositories.tar_command import judge_words
from redrill.repositories.tar_receive import DigestingSink, receive
from redrill.repositories.tar_stream import read_archive
from redrill.secrets_source import reveal


class Settings(Value):
    """What the fleet file may say to the repository ``tar``.

    Where, how many snapshots to keep, the zstd level; ``copies`` are further folders that hold the same. Snapshots are
    encrypted with age for ``recipients`` when there are any, and decrypted with the keys of ``identity``.
    """

    directory: Path
    copies: tuple[Path, ...] = ()
    keep: int = Field(default=3, ge=1)
    level: int = Field(default=1, ge=1, le=19)
    recipients: tuple[str, ...] = ()
    identity: SecretValue | None = None


class TarRepository:
    """Keeps snapshots of one endpoint as archives of GNU tar under ``directory``/<endpoint>/<id>, and in each copy."""

    Settings = Settings

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        self._settings = checked_settings(Settings, endpoint, "repository")
        try:
            self._recipients = parse_recipients(self._settings.recipients)
        except FleetError as error:
            raise FleetError(f"endpoints.{endpoint.name}.repository: {error}") from error
        self._endpoint = endpoint
        places = (self._settings.directory, *self._settings.copies)
        self._seals: dict[str, list[Seal]] = {}
        self._known: dict[str, tuple[Manifest, Fingerprints]] = {}
        self._folders = tuple(fleet.source.parent / place.expanduser() / endpoint.name for place in places)
        if len({folder.resolve() for folder in self._folders}) < len(places):
            raise FleetError(f"endpoints.{endpoint.name}.repository.copies: a copy needs a folder of its own.")

    def snapshots(self) -> list[Snapshot]:
        """Return the complete snapshots of the endpoint, oldest first; BackupError when no copy's marker is good."""
        return [marker.snapshot for marker in read_markers(self._folders)]

    def create(self, machine: Machine, run: str, deadline: Deadline) -> Snapshot:
        """Back up the state paths, remove what earlier backups left unfinished, and all but the newest ``keep``."""
        require_run_id(run)
        created = datetime.now(UTC)
        name = name_snapshot(created, run)
        folders = [folder / name for folder in self._folders]
        try:
            for folder in self._folders:
                make_private_folder(folder)
                sweep(folder)
            with ExitStack() as stack:
                for folder in folders:
                    stack.enter_context(new_folder(folder))
                marker, warnings = self._fill(folders, machine, created, deadline)
                for folder in folders:
                    write_marker(folder, marker)
            self._prune()
        except (OSError, MachineError) as error:
            raise BackupError(f"The backup of '{self._endpoint.name}' into '{folders[0]}' failed: {error}") from error
        return marker.snapshot.model_copy(update={"warnings": warnings})

    @contextmanager
    def open(self, snapshot: Snapshot, _deadline: Deadline) -> Iterator[Iterator[bytes]]:
        """Stream the archive uncompressed; its last chunk raises BackupError when the file is not the verified one."""
        with self.open_packed(snapshot) as chunks:
            yield decompress(chunks)

    @contextmanager
    def open_packed(self, snapshot: Snapshot) -> Iterator[Iterator[bytes]]:
        """Stream the archive as one zstd frame; its last chunk raises BackupError when it is not the verified one.

        It comes from the first copy that is whole.
        """
        folder = self._choose(snapshot)
        with read_archive_file(folder, read_marker(folder), snapshot) as chunks:
            known = self._known.get(snapshot.id)
            checked = known[1].compare(chunks) if known else chunks
            yield self._unlock(checked, is_encrypted=read_marker(folder).is_encrypted)

    def yields_only(self, snapshot: Snapshot, manifest: Manifest) -> bool:
        """Whether the manifest is what ``verify`` has returned, and nothing but what it has read is streamed since."""
        known = self._known.get(snapshot.id)
        return known is not None and known[0] is manifest

    def verify(self, snapshot: Snapshot, deadline: Deadline) -> Manifest:
        """Read the archive from the disk, check it against its digests and manifest, and return the manifest.

        Every copy has to be there, whole.
        """
        expected = None
        seals, prints = list[Seal](), Fingerprints()
        for folder in self._places(snapshot):
            marker = read_marker(folder)
            seals.append(seal_of(folder))
            if _without_hidden(marker, snapshot) != snapshot:
                raise BackupError(
                    f"The marker of the snapshot '{snapshot.id}' in '{folder}' was changed after the backup."
                )
            # A key that is only remembered would be missing after the wipe, should this process end.
            unlock = partial(self._unlock, is_encrypted=marker.is_encrypted, anew=True)
            if expected is None:
                expected = read_manifest(folder, marker, unlock)
                with read_archive_file(folder, marker, snapshot) as stored:
                    chunks = decompress(unlock(prints.take(stored)))
                    found = hand_over(chunks, partial(read_archive, deadline=deadline, listed=expected))
                _require_equal(folder, expected, found)
            else:
                _check_copy(folder, marker, snapshot)
        if expected is None:
            raise BackupError(f"There is no copy of the snapshot '{snapshot.id}'.")
        self._seals[snapshot.id] = seals
        self._known[snapshot.id] = (expected, prints)
        return expected

    def require_untouched(self, snapshot: Snapshot) -> None:
        """Raise BackupError unless every file of every copy is the very one that ``verify`` has read."""
        if [seal_of(folder) for folder in self._places(snapshot)] != self._seals.get(snapshot.id):
            raise BackupError(
                f"The backup '{snapshot.id}' of '{self._endpoint.name}' was changed or removed after it had been "
                f"verified. Nothing was wiped. Find out who writes to '{self._folders[0]}', then drill again."
            )

    def _places(self, snapshot: Snapshot) -> list[Path]:
        return [folder / snapshot.id for folder in self._folders]

    def _choose(self, snapshot: Snapshot) -> Path:
        """Return the folder of the first copy that is whole; the only one is not read for that."""
        folders = self._places(snapshot)
        errors = []
        for folder in folders if len(folders) > 1 else ():
            try:
                _check_copy(folder, read_marker(folder), snapshot)
            except BackupError as error:
                errors.append(str(error))
            else:
                return folder
        if errors:
            raise BackupError(f"No copy of the snapshot '{snapshot.id}' is whole: {' '.join(errors)}")
        return folders[0]

    def _unlock(self, chunks: Iterator[bytes], *, is_encrypted: bool, anew: bool = False) -> Iterator[bytes]:
        """Decrypt with the identity that the fleet file names; BackupError when there is none that fits."""
        if not is_encrypted:
            return chunks
        identity = self._settings.identity
        if identity is None:
            raise BackupError(
                f"The backup of '{self._endpoint.name}' is encrypted, but 'repository.identity' names no key that "
                "decrypts it."
            )
        try:
            return decrypt(chunks, parse_identities(reveal(identity, anew=anew), identity.origin))
        except FleetError as error:
            raise BackupError(f"The backup of '{self._endpoint.name}' cannot be decrypted: {error}") from error

    def _fill(
        self, folders: Sequence[Path], machine: Machine, created: datetime, deadline: Deadline
    ) -> tuple[Marker, tuple[str, ...]]:
        """Write archive and manifest into each folder; return the marker and all warnings."""
        is_encrypted = bool(self._recipients)
        suffix = SUFFIX if is_encrypted else ""
        with self._new_files(folders, ARCHIVE + suffix) as archive, self._locked(archive) as write:
            received = receive(machine, write, self._settings.level, deadline)
        warnings = judge_words(received.trailer, received.manifest, churn_rules(self._endpoint.churn))
        flags = read_flags(machine, received.manifest, deadline)
        manifest = received.manifest if flags.by_path is None else received.manifest.with_flags(flags.by_path)
        warnings = (*warnings, *flags.warnings)
        with self._new_files(folders, MANIFEST + suffix) as listing, self._locked(listing) as write:
            write("".join(f"{line}\n" for line in manifest.dump()).encode("ascii"))
        hidden = (f"{len(warnings)} warnings name files; the record of the run has them",) if warnings else ()
        snapshot = Snapshot(
            id=folders[0].name,
            endpoint=self._endpoint.name,
            created=created,
            paths=STATE_PATHS,
            entries=len(manifest.entries),
            size=sum(entry.size for entry in manifest.entries.values()),
            stored_size=archive.size,
            sha256=archive.sha256,
            warnings=hidden if is_encrypted else warnings,
        )
        return Marker(snapshot=snapshot, manifest_sha256=listing.sha256, is_encrypted=is_encrypted), warnings

    @contextmanager
    def _new_files(self, folders: Sequence[Path], name: str) -> Iterator[DigestingSink]:
        with ExitStack() as stack:
            files = [stack.enter_context(create_private(folder / name)) for folder in folders]
            yield DigestingSink(*(file.write for file in files))

    @contextmanager
    def _locked(self, sink: DigestingSink) -> Iterator[Callable[[bytes], object]]:
        with encrypting(sink, self._recipients) if self._recipients else nullcontext(sink) as write:
            yield write

    def _prune(self) -> None:
        old = read_markers(self._folders)[: -self._settings.keep]
        for folder in self._folders:
            remove(folder / marker.snapshot.id for marker in old if (folder / marker.snapshot.id).exists())


def _without_hidden(marker: Marker, snapshot: Snapshot) -> Snapshot:
    """Return what a marker tells, but for the warnings that an encrypted snapshot keeps to itself."""
    warnings = snapshot.warnings if marker.is_encrypted else marker.snapshot.warnings
    return marker.snapshot.model_copy(update={"warnings": warnings})


def _check_copy(folder: Path, marker: Marker, snapshot: Snapshot) -> None:
    """Read the files of one copy; BackupError unless they are those that were written."""
    read_manifest_file(folder, marker)
    with read_archive_file(folder, marker, snapshot) as chunks:
        for _ in chunks:
            pass


def _require_equal(folder: Path, expected: Manifest, found: Manifest) -> None:
    if unlike := compare(expected, found):
        raise BackupError(
            f"The archive in '{folder}' is not what its manifest says: {'; '.join(map(str, unlike[:10]))}"
        )
