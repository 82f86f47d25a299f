"""Backups by the owner's own commands: they list, make and write them, and redrill holds them to what it needs."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import IO, Annotated

from pydantic import AwareDatetime, Field, ValidationError

from redrill.errors import BackupError
from redrill.machine.protocol import Machine
from redrill.model.backend_settings import checked_settings
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest
from redrill.model.values import STATE_PATHS, Duration, Value
from redrill.redaction import redact
from redrill.repositories.foreign_archive import unpack_foreign
from redrill.repositories.protocol import Snapshot
from redrill.repositories.snapshot_folder import create_private
from redrill.repositories.staged_tree import default_place, new_stage
from redrill.repositories.stored_tree import checked_archive, open_tree, read_tree

_MOST_PRINTED = 1 << 24
_MOST_WORDS, _MOST_READ = 2000, 1 << 16
_ID = r"^[!-~](?:[ -~]*[!-~])?$"


class Settings(Value):
    """What the fleet file may say to the repository ``command``: shell commands of this machine.

    ``snapshots`` prints one JSON object a line: ``id``, ``created`` (with its zone), and maybe ``size``, ``host`` and
    ``tags``. ``open`` writes the tar archive of home, etc and var in $REDRILL_SNAPSHOT to its standard output.
    ``create`` makes a snapshot and prints its id last; ``verify`` checks one. They find REDRILL_ENDPOINT,
    REDRILL_ADDRESS, REDRILL_SNAPSHOT and REDRILL_RUN, must end with 0, and within ``timeout``. What they write is kept
    for a while in ``staging``.
    """

    snapshots: str
    open: str
    create: str | None = None
    verify: str | None = None
    timeout: Duration = timedelta(hours=1)
    staging: Path | None = None


class _Listed(Value):
    """A line of the command ``snapshots``."""

    id: Annotated[str, Field(pattern=_ID)]
    created: AwareDatetime
    size: int | None = None
    host: str | None = None
    tags: tuple[str, ...] = ()


class CommandRepository:
    """Reads, and where there is a command for it makes, snapshots of one endpoint by commands of its owner."""

    Settings = Settings

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        self._settings = checked_settings(Settings, endpoint, "repository")
        self._endpoint = endpoint
        self._folder = fleet.source.parent
        self._verified: dict[str, Manifest] = {}

    def snapshots(self) -> list[Snapshot]:
        """Return what the command lists for the endpoint, oldest first; BackupError when it cannot be understood."""
        deadline = Deadline.after(self._settings.timeout.total_seconds())
        printed = self._print("snapshots", self._settings.snapshots, deadline, {})
        listed = [self._parse(line) for line in printed.splitlines() if line.strip()]
        own = [self._describe(line) for line in listed if line.host in (None, self._endpoint.name)]
        return sorted(own, key=lambda snapshot: snapshot.created)

    def create(self, machine: Machine, run: str, deadline: Deadline) -> Snapshot:
        """Have the command make a snapshot, which must be in the list then."""
        if self._settings.create is None:
            raise BackupError(
                f"The repository of '{machine.name}' has no command that makes a backup; give it 'create:', or choose "
                "one of the backups that are there."
            )
        printed = self._print("create", self._settings.create, deadline, {"REDRILL_RUN": run})
        made = ([line.strip() for line in printed.splitlines() if line.strip()] or [""])[-1]
        found = [snapshot for snapshot in self.snapshots() if snapshot.id == made]
        if not found:
            raise BackupError(
                f"The command 'repository.create' of '{machine.name}' printed {made[:200]!r} last, which is not the id "
                "of a snapshot that 'repository.snapshots' lists."
            )
        return found[0]

    @contextmanager
    def open(self, snapshot: Snapshot, deadline: Deadline) -> Iterator[Iterator[bytes]]:
        """Stream what the command writes as an exact archive, all of it unpacked before the first byte.

        Its last chunk raises BackupError when it is not what this process has verified.
        """
        listed = self._verified.get(snapshot.id)
        with (
            self._staged(snapshot, deadline) as tree,
            open_tree(self._endpoint.name, tree, deadline) as chunks,
        ):
            yield chunks if listed is None else checked_archive(chunks, tree, listed, deadline)

    def verify(self, snapshot: Snapshot, deadline: Deadline) -> Manifest:
        """Run the command that checks a snapshot, if any; then read all of what is written for it."""
        if self._settings.verify is not None:
            self._print("verify", self._settings.verify, deadline, {"REDRILL_SNAPSHOT": snapshot.id})
        with self._staged(snapshot, deadline) as tree:
            found = read_tree(self._endpoint.name, tree, deadline)
        self._verified[snapshot.id] = found
        return found

    def yields_only(self, snapshot: Snapshot, manifest: Manifest) -> bool:
        """Whether the manifest is what ``verify`` has returned: each archive is compared with that on its way."""
        return self._verified.get(snapshot.id) is manifest

    @contextmanager
    def _staged(self, snapshot: Snapshot, deadline: Deadline) -> Iterator[Path]:
        """Yield a private folder into which the snapshot is unpacked; it goes away with the context."""
        staging = self._settings.staging
        place = self._folder / staging.expanduser() if staging else default_place()
        with new_stage(place, self._endpoint.name) as stage:
            archive = stage.folder / "archive.tar"
            with create_private(archive) as file:
                self._run("open", self._settings.open, deadline, {"REDRILL_SNAPSHOT": snapshot.id}, file)
            unpack_foreign(archive, stage.tree, deadline)
            archive.unlink()
            yield stage.tree

    def _print(self, name: str, command: str, deadline: Deadline, variables: Mapping[str, str]) -> str:
        """Return what a command prints as text; BackupError when it fails, or prints no text or far too much."""
        with tempfile.TemporaryFile() as file:
            self._run(name, command, deadline, variables, file)
            file.seek(0)
            printed = file.read(_MOST_PRINTED + 1)
        try:
            text = printed.decode()
        except UnicodeDecodeError:
            text = ""
        if len(printed) > _MOST_PRINTED or (printed and not text):
            raise BackupError(f"What 'repository.{name}' prints is no text, or too much: {printed[:100]!r}.")
        return text

    def _run(
        self, name: str, command: str, deadline: Deadline, variables: Mapping[str, str], output: IO[bytes]
    ) -> None:
        """Run a command to its end and kill what it leaves behind; BackupError unless it ends well and in time."""
        endpoint = self._endpoint
        own = {"REDRILL_ENDPOINT": endpoint.name, "REDRILL_ADDRESS": endpoint.address or "", **variables}
        patience = deadline.within(self._settings.timeout.total_seconds())
        with tempfile.TemporaryFile() as words:
            try:
                process = subprocess.Popen(
                    ["/bin/sh", "-c", command],
                    cwd=self._folder,
                    env={**os.environ, **own},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=words,
                    process_group=0,
                )
            except (OSError, ValueError) as error:
                raise BackupError(f"The command 'repository.{name}' cannot be started: {error}") from error
            try:
                status = process.wait(timeout=max(patience.remaining, 0.001))
            except subprocess.TimeoutExpired:
                raise BackupError(
                    f"The command 'repository.{name}' did not end within {patience.budget:g} s."
                ) from None
            finally:
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if status != 0:
                raise BackupError(f"The command 'repository.{name}' ended with status {status}: {_tail(words)}")

    def _parse(self, line: str) -> _Listed:
        try:
            return _Listed.model_validate_json(line)
        except ValidationError as error:
            raise BackupError(
                f"The command 'repository.snapshots' prints {line[:300]!r}, which is no snapshot; it takes "
                '{"id": "…", "created": "2026-11-22T12:00:00Z"}: ' + str(error.errors()[0]["msg"])
            ) from error

    def _describe(self, listed: _Listed) -> Snapshot:
        return Snapshot(
            id=listed.id,
            endpoint=self._endpoint.name,
            created=listed.created,
            paths=STATE_PATHS,
            size=listed.size,
            sha256="",
            tags=listed.tags,
        )


def _tail(file: IO[bytes]) -> str:
    size = file.seek(0, os.SEEK_END)
    file.seek(max(0, size - _MOST_READ))
    # Redacted before it is cut: nobody would know the end of a secret again.
    return redact(file.read().decode("utf-8", "backslashreplace"))[-_MOST_WORDS:].strip()
