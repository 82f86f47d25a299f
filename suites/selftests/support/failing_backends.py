"""Repositories that fail in the middle of a drill, and what else may happen at that moment."""

import shutil
from pathlib import Path
from typing import NoReturn

from redrill.errors import BackupError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.repositories.protocol import Snapshot
from redrill.repositories.tar import TarRepository


class FullRepository(TarRepository):
    """Has no room left for a backup."""

    def create(self, *_words: object) -> NoReturn:
        raise BackupError("No space is left on the device.")


class VanishingRepository(TarRepository):
    """Backs up well, but while it does the endpoint, a directory, goes away."""

    def create(self, machine: Machine, run: str, deadline: Deadline) -> Snapshot:
        snapshot = super().create(machine, run, deadline)
        shutil.rmtree(machine.root)
        return snapshot


class BuggyRepository(TarRepository):
    """Raises what no backend should."""

    def create(self, *_words: object) -> NoReturn:
        raise ZeroDivisionError("division by zero")


REPOSITORIES = {"full": FullRepository, "vanishing": VanishingRepository, "buggy": BuggyRepository}


def install(folder: Path) -> None:
    """Make the backends known to every Python that has ``folder`` on its path, as an installed package would."""
    info = folder / "failing_backends-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: failing-backends\nVersion: 1\n")
    lines = [f"{kind} = {__name__}:{backend.__name__}" for kind, backend in REPOSITORIES.items()]
    (info / "entry_points.txt").write_text("\n".join(["[redrill.repositories]", *lines]) + "\n")
