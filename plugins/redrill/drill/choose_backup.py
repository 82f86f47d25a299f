"""Which of an owner's snapshots a drill restores, when the fleet file says that it makes none itself."""

from datetime import UTC, datetime, timedelta

from redrill.backends import load_backend
from redrill.errors import BackupError, RedrillError
from redrill.model.choice import SnapshotChoice
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.values import spell_seconds
from redrill.repositories.encryption import encryption_state
from redrill.repositories.protocol import DRILL, Repository, Snapshot


def choose_snapshot(endpoint: str, repository: Repository, choice: SnapshotChoice, now: datetime) -> Snapshot:
    """Return the newest snapshot that fits; BackupError when there is none, or the beginning of an id is of several."""
    known = repository.snapshots()
    found = [snapshot for snapshot in known if _fits(snapshot, choice, now)]
    if not found:
        newest = f"the newest is '{known[-1].id}' of {_told(known[-1].created)}" if known else "it lists none at all"
        raise BackupError(
            f"The repository of '{endpoint}' has no snapshot {choice.words} ('backup.snapshot'): {newest}. Nothing was "
            "wiped. See that backups are made of this host and under this name, or choose otherwise."
        )
    if choice.id and len(found) > 1:
        names = ", ".join(f"'{snapshot.id}'" for snapshot in found[:10])
        raise BackupError(f"'{choice.id}' begins the id of several snapshots of '{endpoint}': {names}; say more of it.")
    return found[-1]


def describe_backup(fleet: Fleet, endpoint: Endpoint, now: datetime) -> str:
    """Return what a drill would restore, for its plan; an owner's snapshot is looked up, and it may not be there."""
    backend, choice = endpoint.repository, endpoint.backup.snapshot
    if backend is None:
        return ""
    if choice is None:
        return f"made by this run in '{backend.kind}', read back whole; {encryption_state(endpoint)}"
    try:
        repository: Repository = load_backend("repositories", backend.kind)(fleet, endpoint)
        snapshot = choose_snapshot(endpoint.name, repository, choice, now)
    except RedrillError as error:
        return f"WARNING: the owner's snapshot in '{backend.kind}' is not known: {error}"
    return f"the owner's snapshot {tell_snapshot(snapshot, now)} in '{backend.kind}', read back whole"


def tell_snapshot(snapshot: Snapshot, now: datetime) -> str:
    """Return which snapshot it is and how old."""
    age = spell_seconds((now - snapshot.created).total_seconds())
    return f"'{snapshot.id}' of {_told(snapshot.created)}, {age} old"


def _fits(snapshot: Snapshot, choice: SnapshotChoice, now: datetime) -> bool:
    limit = now - choice.before if isinstance(choice.before, timedelta) else choice.before
    return (
        (DRILL not in snapshot.tags or bool(choice.id or choice.tag))
        and (limit is None or snapshot.created < limit)
        and (choice.tag is None or choice.tag in snapshot.tags)
        and (choice.id is None or snapshot.id.startswith(choice.id))
    )


def _told(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
