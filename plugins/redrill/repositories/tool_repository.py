"""What repositories of backup tools have in common: their snapshots pass through a tree on this machine."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, ClassVar, Generic, TypeVar

from pydantic import AfterValidator, Discriminator, Field, Tag

from redrill.errors import BackupError, FleetError
from redrill.machine.protocol import Machine
from redrill.model.backend_settings import checked_settings
from redrill.model.churn import churn_rules
from redrill.model.deadline import Deadline, pause
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest
from redrill.model.secret import SecretValue
from redrill.model.values import Duration, Value, parse_duration
from redrill.repositories.protocol import Snapshot, require_run_id
from redrill.repositories.staged_tree import Stage, default_place, fill, new_stage, read_stage
from redrill.repositories.stored_tree import open_tree
from redrill.repositories.tool import Password, Ran, Tool
from redrill.secrets_source import reveal

_LIST_SECONDS = 300.0
_RETRY_SECONDS = 2.0


def _check_repository(value: str) -> str:
    if re.search(r"//[^/@]*:[^/@]*@", value):
        # Not shown: it holds the password.
        raise ValueError("it holds a password; write the whole of it as {env: NAME}, {file: PATH} or {command: '…'}")
    if not value.strip():
        raise ValueError("it is empty; name a directory, or a URL as the tool wants it")
    return value


Repository = Annotated[
    Annotated[SecretValue, Tag("secret")] | Annotated[str, AfterValidator(_check_repository), Tag("text")],
    Discriminator(lambda value: "text" if isinstance(value, str) else "secret"),
]
Variable = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]


class ToolSettings(Value):
    """What the fleet file may say to the repository of a tool.

    ``repository`` is where it is, as the tool takes it, or a path. ``host`` is the host whose snapshots are this
    endpoint's (its name, if not said). ``environment`` are further secrets that the tool wants in its environment,
    ``program`` and ``cache`` where it and its cache are; ``staging`` is the folder, on this machine, through which
    snapshots pass; ``lock_wait`` is how long a repository that somebody else has locked is waited for.
    """

    repository: Repository
    password: SecretValue | None = None
    host: str | None = None
    program: Path | None = None
    cache: Path | None = None
    environment: dict[Variable, SecretValue] = {}
    staging: Path | None = None
    lock_wait: Duration = parse_duration("1m")


S = TypeVar("S", bound=ToolSettings)


class ToolRepository(ABC, Generic[S]):
    """Snapshots of one endpoint in the repository of a tool; the subclass knows the tool's words.

    They are not kept on the stage between ``verify`` and ``open``: in a real outage they would have to be fetched, so
    the time to recover that a drill measures has that in it.
    """

    Settings: type[S]
    PROGRAM: ClassVar[str]
    PACKAGE: ClassVar[str]
    PASSWORD: ClassVar[tuple[str, str]]
    """The variable that says which open file holds the password, and in which form."""

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        self._settings = checked_settings(self.Settings, endpoint, "repository")
        self._endpoint = endpoint
        self._folder = fleet.source.parent
        self._host = self._settings.host or endpoint.name
        self._sources: dict[str, Manifest] = {}

    def snapshots(self) -> list[Snapshot]:
        """Return what the repository lists as complete snapshots of the endpoint's host, oldest first."""
        return sorted(self._list(Deadline.after(_LIST_SECONDS)), key=lambda snapshot: snapshot.created)

    def create(self, machine: Machine, run: str, deadline: Deadline) -> Snapshot:
        """Bring the state paths here and back them up; one that the tool calls incomplete is taken away again."""
        require_run_id(run)
        self._list(deadline)  # what is wrong with the repository is told before anything is read
        created = datetime.now(UTC)
        with self._new_stage() as stage:
            source, warnings = fill(stage, machine, churn_rules(self._endpoint.churn), deadline)
            snapshot = self._put(stage, run, created, deadline)
        self._sources[snapshot.id] = source
        return snapshot.model_copy(
            update={
                "created": created,
                "entries": len(source.entries),
                "size": sum(entry.size for entry in source.entries.values()),
                "warnings": tuple(warnings),
            }
        )

    @contextmanager
    def open(self, snapshot: Snapshot, deadline: Deadline) -> Iterator[Iterator[bytes]]:
        """Fetch a snapshot and stream it as an archive."""
        with self._new_stage() as stage:
            self._get(stage, snapshot, deadline)
            with open_tree(self._endpoint.name, stage.tree, deadline) as chunks:
                yield chunks

    def verify(self, snapshot: Snapshot, deadline: Deadline) -> Manifest:
        """Check the repository as deep as the fleet file says, fetch the whole snapshot and return what it holds.

        The password is looked up anew, for it must still be there after the wipe.
        """
        self._tool(anew=True)
        self._check(deadline)
        with self._new_stage() as stage:
            self._require_room(stage, snapshot, deadline)
            self._get(stage, snapshot, deadline)
            return read_stage(stage, deadline)

    def _require_room(self, stage: Stage, snapshot: Snapshot, deadline: Deadline) -> None:
        try:
            stage.require_room(*self._need(snapshot, deadline))
        except BackupError:
            # An owner's snapshot may hold far more than what is fetched of it; to count that takes its time.
            stage.require_room(*self._count(snapshot, deadline))

    def read_source(self, snapshot: Snapshot) -> Manifest | None:
        """Return what the endpoint had when this process made the snapshot."""
        return self._sources.get(snapshot.id)

    def require_untouched(self, snapshot: Snapshot) -> None:
        """Raise BackupError unless the repository still opens and lists the snapshot with the content that it had."""
        found = {each.id: each.sha256 for each in self._list(Deadline.after(_LIST_SECONDS))}
        if found.get(snapshot.id) != snapshot.sha256:
            raise BackupError(
                f"The snapshot '{snapshot.id}' of '{self._endpoint.name}' was removed or replaced in {self._where} "
                "after it had been verified. Nothing was wiped. Find out who writes to it, then drill again."
            )

    @abstractmethod
    def _list(self, deadline: Deadline) -> list[Snapshot]:
        """Return the snapshots of the host that can hold all state paths, and those that redrill made of it."""

    @abstractmethod
    def _put(self, stage: Stage, run: str, created: datetime, deadline: Deadline) -> Snapshot:
        """Make a snapshot of what stands on the stage; BackupError, and no snapshot, unless the tool has it all."""

    @abstractmethod
    def _get(self, stage: Stage, snapshot: Snapshot, deadline: Deadline) -> None:
        """Bring a snapshot to the stage, every byte checked by the tool; BackupError when it is damaged."""

    @abstractmethod
    def _need(self, snapshot: Snapshot, deadline: Deadline) -> tuple[int, int]:
        """Return the bytes and inodes that a whole snapshot would take."""

    @abstractmethod
    def _count(self, snapshot: Snapshot, deadline: Deadline) -> tuple[int, int]:
        """Return the bytes and inodes that the state paths of a snapshot take when they are fetched."""

    @abstractmethod
    def _check(self, deadline: Deadline) -> None:
        """Let the tool check the repository as deep as the fleet file says."""

    @abstractmethod
    def _environment(self) -> dict[str, str | None]:
        """Return what the tool wants in its environment but for the password; None takes away."""

    @abstractmethod
    def _explain(self, ran: Ran) -> str:
        """Return, as a sentence without its end, what went wrong; '' when it is not known."""

    @abstractmethod
    def _is_locked(self, ran: Ran) -> bool:
        """Whether the program found the repository locked by somebody else."""

    def _new_stage(self) -> AbstractContextManager[Stage]:
        return new_stage(self._settings.staging or default_place(), self._endpoint.name)

    def _run(self, arguments: list[str], deadline: Deadline, stage: Stage | None = None) -> Ran:
        """Run the tool to a good end; BackupError with what went wrong."""
        ran = self._try(arguments, deadline, stage)
        if ran.status != 0:
            raise self._failed(ran)
        return ran

    def _try(self, arguments: list[str], deadline: Deadline, stage: Stage | None = None) -> Ran:
        """Run the tool; a repository that is locked is tried again for a while."""
        patience = deadline.within(self._settings.lock_wait.total_seconds())
        folder, held = (stage.tree, (stage.lock,)) if stage else (None, ())
        while True:
            ran = self._tool().run(arguments, deadline, folder, held)
            if ran.status == 0 or patience.is_over or not self._is_locked(ran):
                return ran
            pause(min(_RETRY_SECONDS, patience.remaining))

    def _withdraw(self, ran: Ran, name: str, removal: list[str], deadline: Deadline) -> BackupError:
        """Take a snapshot away again that the tool made but calls incomplete; return what is to be said of that."""
        error = self._failed(ran)
        try:
            self._run(removal, deadline)
        except BackupError as second:
            return BackupError(
                f"{error} What it made, '{name}', is listed like a whole one and could not be taken away again; "
                f"remove it by hand. {second}"
            )
        return error

    def _failed(self, ran: Ran) -> BackupError:
        why = self._explain(ran) or f"'{self.PROGRAM}' ended with status {ran.status}: {ran.words.rstrip('.')}"
        return BackupError(f"The repository {self._where} does not serve '{self._endpoint.name}': {why}.")

    def _tool(self, *, anew: bool = False) -> Tool:
        settings = self._settings
        try:
            secrets = {name: reveal(secret, anew=anew) for name, secret in settings.environment.items()}
            text = reveal(settings.password, anew=anew) if settings.password else None
            environment = {**self._environment(), "TZ": "UTC", "LC_ALL": "C.UTF-8", **secrets}
        except FleetError as error:
            raise BackupError(f"The repository {self._where} cannot be opened: {error}") from error
        program = str(settings.program or self.PROGRAM)
        return Tool(program, self.PACKAGE, environment, None if text is None else Password(*self.PASSWORD, text))

    @property
    def _location(self) -> str:
        """Where the repository is; FleetError when that is a secret that cannot be had."""
        repository = self._settings.repository
        text = repository if isinstance(repository, str) else reveal(repository)
        is_remote = ":" in text.partition("/")[0]
        return text if is_remote else str(self._folder / Path(text).expanduser())

    @property
    def _where(self) -> str:
        repository = self._settings.repository
        return f"'{self._location}'" if isinstance(repository, str) else f"from {repository.origin}"
