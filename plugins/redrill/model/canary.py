"""Numbered writes that measure what a drill loses, and how data is made still for a backup."""

from enum import StrEnum
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, Discriminator, Field, Tag

from redrill.model.checks import Port
from redrill.model.values import Duration, Value, parse_duration

HIDDEN_FOLDER = ".redrill-canaries"
"""The folder in which canaries that are files live; what is known of them by this name is known everywhere."""


def _check_path(value: str) -> str:
    if not value.startswith("/") or not value.isprintable():
        raise ValueError(f"{value!r} is no absolute path of the endpoint; write it as '/var/lib/shop/shop.db'")
    return value


EndpointPath = Annotated[str, AfterValidator(_check_path)]
AccountName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.$-]*$")]
HostName = Annotated[str, Field(pattern=r"^[A-Za-z0-9/][A-Za-z0-9/._:-]*$")]


class _Canary(Value):
    interval: Duration = parse_duration("200ms")

    @property
    def keeps_last(self) -> bool:
        """Whether each write replaces the one before it."""
        return False


class CommandCanary(_Canary):
    """Commands on the endpoint that store one numbered write (``$REDRILL_CANARY``) and list all that are stored.

    ``write`` must exit with 0 only when the write is durable. ``read`` prints, one a line, either the numbers or what
    ``$REDRILL_CANARY_LINE`` held, by which an altered write is seen, too. ``clear``, when given, removes them after
    the drill; numbers grow from drill to drill.
    """

    kind: Literal["command"] = "command"
    write: str
    read: str
    clear: str | None = None


class PostgresqlCanary(_Canary):
    """Rows of a table ``redrill_canary`` of its own, written by psql on the endpoint.

    ``passfile`` is a file of the endpoint as libpq reads it; ``run_as`` the system user who runs psql.
    """

    kind: Literal["postgresql"]
    database: AccountName
    user: AccountName | None = None
    host: HostName | None = None
    port: Port | None = None
    passfile: EndpointPath | None = None
    run_as: AccountName | None = None


class RedisCanary(_Canary):
    """Fields of a hash ``redrill-canary`` of its own, written by redis-cli on the endpoint.

    ``password_file`` is a file of the endpoint that holds nothing but the password.
    """

    kind: Literal["redis"]
    host: HostName | None = None
    port: Port | None = None
    password_file: EndpointPath | None = None
    database: Annotated[int, Field(ge=0)] = 0


class SqliteCanary(_Canary):
    """Rows of a table ``redrill_canary`` of its own in the database that is the file ``path`` of the endpoint."""

    kind: Literal["sqlite"]
    path: EndpointPath


class AppendCanary(_Canary):
    """Lines of a file in ``folder`` of the endpoint, each synced to disk."""

    kind: Literal["append"]
    folder: EndpointPath


class RenameCanary(_Canary):
    """A file in ``folder`` of the endpoint that each write replaces as a whole: written aside, synced and renamed."""

    kind: Literal["rename"]
    folder: EndpointPath

    @property
    def keeps_last(self) -> bool:
        """Whether each write replaces the one before it."""
        return True


def _kind_of(value: Any) -> Any:
    return str(value.get("kind", "command")) if isinstance(value, dict) else getattr(value, "kind", "command")


FileCanary = AppendCanary | RenameCanary
Canary = Annotated[
    Annotated[CommandCanary, Tag("command")]
    | Annotated[PostgresqlCanary, Tag("postgresql")]
    | Annotated[RedisCanary, Tag("redis")]
    | Annotated[SqliteCanary, Tag("sqlite")]
    | Annotated[AppendCanary, Tag("append")]
    | Annotated[RenameCanary, Tag("rename")],
    Discriminator(_kind_of),
]
"""What writes to one state class; without 'kind' it is a CommandCanary."""

FilesOf = Literal["/home", "/var"]

_FOLDERS = {"/home": "/home", "/var": "/var/lib"}


def file_canaries(parents: tuple[FilesOf, ...]) -> dict[str, FileCanary]:
    """Return the canaries that every endpoint has without being asked, by names such as 'append /home'."""
    found: dict[str, FileCanary] = {}
    for parent in dict.fromkeys(parents):
        found[f"append {parent}"] = AppendCanary(kind="append", folder=_FOLDERS[parent])
        found[f"rename {parent}"] = RenameCanary(kind="rename", folder=_FOLDERS[parent])
    return found


class StateClass(NamedTuple):
    """What is lost or kept together: its canary, and the application that it belongs to, None for the endpoint's."""

    canary: Canary
    application: str | None


class Hooks(Value):
    """Commands on the endpoint that make an application's data still for a backup, and take that back.

    ``after`` runs whenever ``before`` has begun, also when it, the backup or the drill failed.
    """

    before: str
    after: str


Quiesce = Annotated[
    Annotated[Literal["stop", "pause", "freeze", "live"], Tag("word")] | Annotated[Hooks, Tag("hooks")],
    Discriminator(lambda value: "hooks" if isinstance(value, dict | Hooks) else "word"),
]
"""How an application is made still for a backup.

'stop': its units are stopped until the wipe, 'pause': until the backup is made, 'freeze': their processes do not run
meanwhile, 'live': nothing is done.
"""


class Consistency(StrEnum):
    """What a backup holds of an application's data: as it leaves them when it stops, or as a crash does."""

    STOPPED = "stopped"
    PAUSED = "paused"
    CRASH = "crash-consistent"
    HOOKS = "by hooks"
