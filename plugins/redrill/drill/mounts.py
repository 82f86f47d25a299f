"""File systems that are mounted where a drill wipes: a backup would not hold them, or the wipe would empty them."""

import re
from collections.abc import Sequence
from pathlib import Path

from redrill.errors import GuardError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint
from redrill.model.values import STATE_PATHS, is_inside

_MOUNTS = "awk '{print $2}' /proc/self/mounts"
_PSEUDO = ("/var/lib/nfs/rpc_pipefs",)


def refuse_mounts(machine: Machine, endpoint: Endpoint, deadline: Deadline) -> None:
    """Raise GuardError for what is mounted inside a state path of a system, or anywhere in a directory.

    A state path of a system may be a file system of its own.
    """
    lines = machine.run(_MOUNTS, deadline).checked().text.splitlines()
    mounts = [re.sub(r"\\([0-7]{3})", lambda match: chr(int(match[1], 8)), line) for line in lines]  # proc(5)
    if machine.has_init:
        _refuse_inside_state(endpoint, mounts)
    else:
        _refuse_below(Path(machine.root).resolve(), endpoint, mounts)


def _refuse_inside_state(endpoint: Endpoint, mounts: Sequence[str]) -> None:
    inside = [path for path in mounts if is_inside(path) and path not in STATE_PATHS and path not in _PSEUDO]
    if inside:
        raise GuardError(
            f"On '{endpoint.name}' other file systems are mounted inside the state paths: {', '.join(inside)}. "
            "A backup would not hold them; unmount them or move them out first."
        )


def _refuse_below(root: Path, endpoint: Endpoint, mounts: Sequence[str]) -> None:
    """Refuse what the controller has mounted in a directory: it would be emptied when the old directory is removed."""
    inside = [path for path in mounts if is_inside(path, (str(root),))]
    if inside:
        raise GuardError(
            f"In the directory of '{endpoint.name}' other file systems are mounted: {', '.join(inside)}. "
            "To wipe it would empty them; unmount them first."
        )
