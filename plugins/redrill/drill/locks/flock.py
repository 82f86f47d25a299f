"""Locks of one controller: an flock that dies with its process, and a file that outlives even a power failure.

The folder is on disk and the same with or without a login session: in /run a restart of the controller would give a
wiped endpoint away, and a folder named by the environment would differ between a shell and cron.
"""

import fcntl
import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redrill.drill.locks.protocol import Ownership, digest
from redrill.errors import GuardError
from redrill.model.values import Value
from redrill.private import write_private


class FlockLocks:
    """Locks among all who run as the same user on this machine; ``folder`` must be on a local disk."""

    class Settings(Value):
        """What a fleet file may say: where the locks are, if not in the state folder of the user."""

        folder: Path | None = None

    def __init__(self, settings: dict[str, Any]) -> None:
        self._folder = self.Settings.model_validate(settings).folder or default_folder()
        self._claimed: dict[bytes, int] = {}

    def claim(self, identity: str) -> bool:
        """Lock the file of the endpoint; False when somebody has."""
        with self._trouble():
            _make_own(self._folder)
            descriptor = os.open(self._file(identity, "lock"), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                os.close(descriptor)
                return False
        self._claimed[digest(identity)] = descriptor
        return True

    def is_claimed(self, identity: str) -> bool:
        """Whether the locked file is still the one that others would lock."""
        descriptor = self._claimed.get(digest(identity))
        if descriptor is None:
            return False
        with self._trouble():
            try:
                return os.path.samestat(os.fstat(descriptor), self._file(identity, "lock").lstat())
            except FileNotFoundError:
                return False

    def free(self, identity: str) -> None:
        """Unlock; the file stays, for removing it would let two others in."""
        descriptor = self._claimed.pop(digest(identity), None)
        if descriptor is not None:
            os.close(descriptor)

    def read(self, identity: str) -> Ownership | None:
        """Read the ownership beside the locked file."""
        with self._trouble():
            try:
                return Ownership.model_validate_json(self._file(identity, "json").read_bytes())
            except FileNotFoundError:
                return None

    def write(self, ownership: Ownership) -> None:
        """Write the ownership whole or not at all, and make its name durable, too."""
        with self._trouble():
            write_private(self._file(ownership.identity, "json"), ownership.model_dump_json(indent=1) + "\n")
            folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _file(self, identity: str, ending: str) -> Path:
        return self._folder / f"{digest(identity).hex()[:32]}.{ending}"

    @contextmanager
    def _trouble(self) -> Iterator[None]:
        try:
            yield
        except (OSError, ValueError) as error:
            raise GuardError(
                f"The locks in '{self._folder}' cannot be used: {error}. Repair the folder, or name another one, for "
                "all runs, with 'locks: {kind: flock, folder: PATH}'."
            ) from error


def default_folder() -> Path:
    """Return the folder of the locks of the current user: /var/lib/redrill/locks for root, else below its home."""
    if os.geteuid() == 0:
        return Path("/var/lib/redrill/locks")
    try:
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        raise GuardError(
            f"User {os.geteuid()} has no home for its locks; say 'locks: {{kind: flock, folder: PATH}}'."
        ) from None
    return home / ".local/state/redrill/locks"


def _make_own(folder: Path) -> None:
    """Make the folder unless it is there; PermissionError when others could take locks away in it."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid() or status.st_mode & 0o022:
        raise PermissionError("it must be a directory of the current user that nobody else may write to")
