"""Files that are hard to back up and to restore exactly, planted on an endpoint among its state."""

import shlex
import tempfile
from pathlib import Path

from redrill.errors import MachineError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.repositories.hard_cases import HARD_CASES, HardCase
from redrill.repositories.tar_command import CREATE, EXTRACT

_NOT_HERE = ("sockets", "paths of 3000 bytes", "flags of chattr: d, A, S", "flags of chattr: immutable")
"""Cases that tar would not bring to the endpoint, or that change the directory of this process to be made."""


def hard_folder(run: str) -> str:
    """Return where a run plants them; its drill removes them when it ends, however it ends."""
    return f"/var/.redrill-hard-cases-{run}"


def plant_hard_cases(machine: Machine, run: str, deadline: Deadline) -> int:
    """Plant the cases that can be made here and that the endpoint can hold, and return how many these are."""
    folder = f'"${{ROOT-}}"{shlex.quote(hard_folder(run))}'
    machine.run(f"mkdir -m 700 {folder}", deadline).checked()
    return sum(
        _plant(machine, case, f"{folder}/{number}", deadline)
        for number, case in enumerate(HARD_CASES)
        if case.name not in _NOT_HERE
    )


def _plant(machine: Machine, case: HardCase, folder: str, deadline: Deadline) -> bool:
    with tempfile.TemporaryDirectory(prefix="redrill-hard-case-") as made:
        (Path(made) / "case").mkdir()
        try:
            case.make(Path(made) / "case")
            with LocalMachine("a hard case", Path(made)).receive(f"{CREATE} -cf - case", deadline) as chunks:
                archive = b"".join(chunks)
        except (OSError, MachineError):
            return False
    unpack = f"mkdir {folder} && cd {folder} && {{ {EXTRACT} -xpf - || {{ rm -rf {folder}; false; }}; }}"
    return machine.send(unpack, iter([archive]), deadline).exit_status == 0


def remove_hard_cases(machine: Machine, run: str, deadline: Deadline) -> None:
    """Remove them, if they are there."""
    machine.run(f'rm -rf -- "${{ROOT-}}"{shlex.quote(hard_folder(run))}', deadline).checked()
