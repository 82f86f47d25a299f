"""What a lab must remember to be taken down, and who may change it."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redrill.errors import EndpointBusyError
from redrill.model.deadline import Deadline, wait_until
from redrill.model.values import Value
from redrill.provisioners.nspawn_place import LABS, LabPlace


class LabState(Value):
    """A lab that was brought up; ``made_keys`` are the SSH keys and passwords that did not exist before."""

    name: str
    source: Path
    made_keys: tuple[Path, ...] = ()


def read_state(place: LabPlace) -> LabState | None:
    """Return the state of a lab; None when there is none, or when it was being written during a crash."""
    try:
        return LabState.model_validate_json(place.state.read_bytes())
    except (FileNotFoundError, ValueError):
        return None


def labs_of(source: Path) -> list[LabPlace]:
    """Return the labs that were brought up from a fleet file, by name."""
    known = [LabPlace(path.name) for path in sorted(LABS.glob("*"))]
    return [place for place in known if (state := read_state(place)) and state.source == source]


def write_state(place: LabPlace, state: LabState) -> None:
    """Write the state of a lab, whole or not at all."""
    new = place.state.with_suffix(".new")
    new.write_text(json.dumps(state.model_dump(mode="json")))
    new.replace(place.state)


@contextmanager
def locked(place: LabPlace, deadline: Deadline) -> Iterator[None]:
    """Hold the lab for as long as the context lasts; EndpointBusyError when another process does not let go of it."""

    def take(is_last_try: bool) -> int | None:
        place.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(place.directory, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Who held the lock may have removed the directory: then this is the lock of nothing.
            if os.path.samestat(os.fstat(handle), place.directory.stat()):
                return handle
        except FileNotFoundError:
            pass
        except BlockingIOError:
            if is_last_try:
                os.close(handle)
                raise EndpointBusyError(
                    f"Another process is bringing the lab '{place.name}' up or down; wait for it, or end it first."
                ) from None
        os.close(handle)
        return None

    handle = wait_until(take, deadline)
    try:
        yield
    finally:
        os.close(handle)
