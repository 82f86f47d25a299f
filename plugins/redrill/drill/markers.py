"""Planted files that prove what happened: survivors must come back byte for byte, stains must vanish."""

import secrets
import shlex

from redrill.drill.hard_cases import hard_folder
from redrill.machine.protocol import Machine
from redrill.model.canary import HIDDEN_FOLDER, file_canaries
from redrill.model.deadline import Deadline
from redrill.model.record import Marker
from redrill.model.values import STATE_PATHS

STAINED_PATHS = ("/usr/local", "/opt", "/root", "/srv", "/")
"""Outside the state paths; '/' stands for the disk of the operating system itself."""


def choose_markers(machine: Machine, run: str, deadline: Deadline) -> list[Marker]:
    """Return what is going to be planted: a random nonce in every state path, and in folders outside of them."""
    markers = [_marker(path, run, is_survivor=True) for path in STATE_PATHS]
    there = machine.batch([f'test -d "$ROOT"{path}' for path in STAINED_PATHS], deadline)
    stained = [path for path, result in zip(STAINED_PATHS, there, strict=True) if result.exit_status == 0]
    return markers + [_marker(path, run, is_survivor=False) for path in stained]


def plant_markers(machine: Machine, markers: list[Marker], deadline: Deadline) -> None:
    """Write the markers; all must succeed (CommandError)."""
    commands = [f'umask 077 && printf %s {marker.nonce} > "$ROOT"{shlex.quote(marker.path)}' for marker in markers]
    for result in machine.batch(commands, deadline):
        result.checked()


def _marker(folder: str, run: str, *, is_survivor: bool) -> Marker:
    kind = "survivor" if is_survivor else "stain"
    path = f"{folder.rstrip('/')}/.redrill-{kind}-{run}"
    return Marker(path=path, nonce=secrets.token_hex(32), is_survivor=is_survivor)


def read_markers(machine: Machine, markers: list[Marker], deadline: Deadline) -> list[Marker]:
    """Return the markers with what is found at their paths now; None where nothing is."""
    commands = [f'f="$ROOT"{shlex.quote(marker.path)}; [ ! -e "$f" ] || cat "$f"' for marker in markers]
    results = machine.batch(commands, deadline)
    return [
        marker.model_copy(update={"found": result.checked().text or None})
        for marker, result in zip(markers, results, strict=True)
    ]


def remove_markers(machine: Machine, markers: list[Marker], deadline: Deadline) -> None:
    """Remove what was planted, wherever it still is."""
    paths = " ".join(f'"$ROOT"{shlex.quote(marker.path)}' for marker in markers)
    if paths:
        machine.run(f"rm -f -- {paths}", deadline).checked()


def remove_restored(machine: Machine, deadline: Deadline) -> None:
    """Remove what an earlier drill had planted in the state paths when the owner's backup was made; CommandError."""
    canaries = {f"{each.folder}/{HIDDEN_FOLDER}" for each in file_canaries(("/home", "/var")).values()}
    survivors = [f"{path}/.redrill-survivor-*" for path in STATE_PATHS]
    patterns = " ".join(f'"${{ROOT-}}"{pattern}' for pattern in (*survivors, hard_folder("*"), *sorted(canaries)))
    machine.run(f"rm -rf -- {patterns}", deadline).checked()
