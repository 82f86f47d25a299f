"""A machine whose commands find other tools than usual, or fewer."""

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Result
from redrill.model.deadline import Deadline

SMALL_TOOLS = (
    *("sh", "cat", "comm", "date", "find", "grep", "head", "readlink", "rm", "sed", "sha256sum", "sort", "stat", "tar"),
    *("tee", "touch", "tr", "true", "xargs", "getfattr", "lsattr", "zstd"),
)


class ToolMachine(LocalMachine):
    """A directory whose commands see the tools of one folder before all others, or instead of them."""

    def __init__(self, root: Path, tools: Path, only: bool = False) -> None:
        super().__init__("tools", root)
        self._prefix = f"PATH='{tools}'; " if only else f"PATH='{tools}':\"$PATH\"; "

    def receive(
        self, command: str, deadline: Deadline, source: Iterator[bytes] | BinaryIO | None = None
    ) -> AbstractContextManager[Iterator[bytes]]:
        return super().receive(self._prefix + command, deadline, source)

    def send(self, command: str, source: Iterator[bytes] | BinaryIO, deadline: Deadline) -> Result:
        return super().send(self._prefix + command, source, deadline)


def machine_without(tool: str, root: Path, folder: Path) -> ToolMachine:
    """Return a machine that has the tools of a small system, but not ``tool``."""
    folder.mkdir()
    for name in SMALL_TOOLS:
        if name != tool:
            (folder / name).symlink_to(_find(name))
    return ToolMachine(root, folder, only=True)


def machine_with(tool: str, script: str, root: Path, folder: Path) -> ToolMachine:
    """Return a machine on which ``tool`` is a shell script; ``REAL`` in the script is the path of the real one."""
    folder.mkdir()
    (folder / tool).write_text("#!/bin/sh\n" + script.replace("REAL", _find(tool)) + "\n")
    (folder / tool).chmod(0o755)
    return ToolMachine(root, folder)


def _find(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise RuntimeError(f"The tests need '{name}', which is not installed.")
    return found
