"""What it means to hold an endpoint: the same for every store.

A claim keeps others out as long as the process lives. Just before the wipe the run marks the endpoint as held for
recovery; the mark outlives the process, and neither time nor a restart removes it: only the run itself, resumed under
its id, or a person who abandons it.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from redrill.backends import load_backend
from redrill.drill.locks.protocol import LockStore, Ownership
from redrill.errors import CleanupError, EndpointBusyError, FleetError, GuardError
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Backend, Fleet
from redrill.model.record import Location

RELEASE_SECONDS = 30.0
"""How long a store that went away during a drill is waited for when the endpoint has recovered."""


def open_locks(fleet: Fleet) -> LockStore:
    """Return the lock store of a fleet, locks of this controller alone by default; FleetError when it cannot be used.

    All runs that can reach the same endpoints must use the same store.
    """
    backend = fleet.locks or Backend(kind="flock")
    store: LockStore = load_backend("locks", backend.kind)(backend.settings)
    return store


def identify(location: Location) -> str:
    """Return what the lock of the endpoint at ``location`` is for: its directory, or its address and port.

    However the fleet file spells it; a name and the address that it stands for are told apart.
    """
    if location.root:
        return str(location.root.resolve())
    return f"{location.address.rstrip('.').lower()}:{location.port}"


class EndpointLock:
    """An endpoint in the hands of one run; made by ``hold``."""

    def __init__(self, store: LockStore, ownership: Ownership) -> None:
        self._store = store
        self._ownership = ownership

    @property
    def ownership(self) -> Ownership:
        """What the store knows of the endpoint."""
        return self._ownership

    @property
    def is_held_for_recovery(self) -> bool:
        """Whether the endpoint is, or may be, down by the hand of this run."""
        return bool(self._ownership.recovery)

    def hold_for_recovery(self, reason: str) -> None:
        """Mark the endpoint, durably, before it is destroyed: nobody but this run gets it until ``recovered``.

        GuardError when the lock is no longer ours or its store cannot be reached: the endpoint must not be touched.
        """
        self._require_ownership()
        self._write(recovery=reason or "it is being wiped")

    def recovered(self) -> None:
        """Take the mark off, for the endpoint serves again; CleanupError when the store cannot be told.

        A store that went away during the drill gets half a minute to come back; no one else got the endpoint
        meanwhile, for the mark was there.
        """
        wait_until(self._try_recovered, Deadline.after(RELEASE_SECONDS), interval=0.5)

    def _try_recovered(self, is_last_try: bool) -> bool | None:
        identity = self._ownership.identity
        try:
            if not self._store.is_claimed(identity):
                self._store.free(identity)
                self._store.claim(identity)
            self._require_ownership()
            self._write(recovery="")
        except GuardError as error:
            if not is_last_try:
                return None
            raise CleanupError(
                f"Endpoint '{self._ownership.endpoint}' has recovered, but its lock still says that it is held for "
                f"recovery: {error} Abandon run '{self._ownership.run}' for it once the lock store answers."
            ) from error
        return True

    def release(self) -> None:
        """Give the endpoint back; one that is held for recovery stays this run's, whoever asks for it."""
        identity = self._ownership.identity
        # What cannot be told to the store binds nobody: without the mark, a claim is all there was.
        with suppress(GuardError):
            if not self.is_held_for_recovery and self._store.is_claimed(identity):
                self._write(released=datetime.now(UTC))
        with suppress(GuardError):
            self._store.free(identity)

    def _require_ownership(self) -> None:
        mine = self._ownership
        found = self._store.read(mine.identity) if self._store.is_claimed(mine.identity) else None
        if found != mine:
            now = f"it is held by {_describe(found)}" if found else "the claim is gone"
            raise GuardError(f"The lock of endpoint '{mine.endpoint}' is no longer that of run '{mine.run}': {now}.")

    def _write(self, **changes: object) -> None:
        changed = self._ownership.but(**changes)
        self._store.write(changed)
        self._ownership = changed


@contextmanager
def hold(store: LockStore, name: str, identity: str, run: str) -> Iterator[EndpointLock]:
    """Hold the endpoint called ``name`` for a run; on leaving it is free again, unless it is held for recovery.

    The same run gets what its own dead process left, also when that is held for recovery. Raises EndpointBusyError
    naming the run, the host and the moment for what another run holds, and GuardError when the store cannot tell.
    """
    with _claimed(store, name, identity):
        before = store.read(identity)
        if before and before.recovery and before.run != run:
            raise EndpointBusyError(
                f"Endpoint '{name}' ({identity}) is quarantined by {_describe(before)}: {before.recovery}. "
                f"Resume run '{before.run}', or abandon it, with a reason."
            )
        recovery = before.recovery if before else ""
        mine = Ownership(
            identity=identity, endpoint=name, run=run, holder=_holder(), since=datetime.now(UTC), recovery=recovery
        )
        store.write(mine)
        lock = EndpointLock(store, mine)
        try:
            yield lock
        finally:
            lock.release()


def abandon(store: LockStore, name: str, identity: str, run: str, reason: str) -> bool:
    """Take the mark of a run off an endpoint that it will not recover; False when no mark of this run is there.

    The reason is kept. Raises FleetError when there is none, EndpointBusyError while a drill is at work on it.
    """
    if not reason.strip():
        raise FleetError(f"Say why endpoint '{name}' is abandoned: whoever finds it will want to know.")
    with _claimed(store, name, identity):
        found = store.read(identity)
        if found is None or not found.recovery or found.run != run:
            return False
        _clear(store, found, f"abandoned: {reason.strip()}")
        return True


def forget(store: LockStore, name: str, identity: str, reason: str) -> None:
    """Take any mark off an endpoint that was just made anew and holds nothing yet; EndpointBusyError like ``hold``."""
    with _claimed(store, name, identity):
        found = store.read(identity)
        if found and found.recovery:
            _clear(store, found, reason)


def _clear(store: LockStore, found: Ownership, note: str) -> None:
    note = f"{note} (it was held: {found.recovery})"
    store.write(found.but(recovery="", note=note, released=datetime.now(UTC)))


@contextmanager
def _claimed(store: LockStore, name: str, identity: str) -> Iterator[None]:
    if not store.claim(identity):
        found = store.read(identity)
        # Between a claim and its first word the store still tells of the one before.
        by = _describe(found) if found and not found.released else "another run, which has just begun"
        raise EndpointBusyError(f"Endpoint '{name}' ({identity}) is held by {by}; wait until that has ended.")
    try:
        yield
    finally:
        with suppress(GuardError):
            store.free(identity)


def _describe(ownership: Ownership) -> str:
    since = ownership.since.astimezone(UTC).isoformat(sep=" ", timespec="seconds")
    return f"run '{ownership.run}' ({ownership.holder}) since {since}"


def _holder() -> str:
    return f"process {os.getpid()} on '{socket.gethostname()}'"
