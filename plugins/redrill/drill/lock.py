"""One drill at a time for an endpoint, on this controller: an flock that dies with its process."""

import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redrill.errors import EndpointBusyError


def lock_folder() -> Path:
    """Return the folder of the locks: shared by everybody who runs as the same user."""
    base = Path("/run/lock") if os.geteuid() == 0 else Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    folder = base / f"redrill-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


@contextmanager
def hold_endpoint(name: str, identity: str, run: str) -> Iterator[None]:
    """Hold the lock of the endpoint that ``identity`` (its address or directory) stands for.

    Raises EndpointBusyError at once, naming the run that holds it.
    """
    file = lock_folder() / f"{hashlib.sha256(identity.encode()).hexdigest()[:32]}.lock"
    with file.open("a+", encoding="utf-8") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            stream.seek(0)
            holder = stream.read().strip() or "another run"
            message = f"Endpoint '{name}' ({identity}) is held by {holder}; wait until that has ended."
            raise EndpointBusyError(message) from None
        stream.truncate(0)
        stream.write(f"run '{run}' of process {os.getpid()}\n")
        stream.flush()
        yield
        stream.truncate(0)
