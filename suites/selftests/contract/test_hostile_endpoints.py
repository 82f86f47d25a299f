"""Endpoints in the hands of others: what they send on its way into a repository harms nobody on the controller."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from redrill.errors import BackupError
from redrill.machine.local_machine import LocalMachine
from redrill.repositories.staged_tree import fill, new_stage
from redrill.repositories.tar_command import KEPT_WORDS
from selftests.support.hostile import BASE, DIRECTORY, END, HARD, SYMLINK, folder, member
from selftests.support.tar_backups import soon

WORDS = b"@tar 0\n@pack 0"
OUTSIDE = member(b"home/link", SYMLINK, target=b"/tmp") + member(b"home/link/file")
RENAMED = member(b"etc/", DIRECTORY, pax={b"GNU.dumpdir": b"Rfile\0Tmoved\0\0"})


class Taken(LocalMachine):
    """An endpoint that sends what it likes and says that all went well."""

    def __init__(self, root: Path, archive: bytes) -> None:
        super().__init__("taken", root)
        self._archive = archive

    @contextmanager
    def receive(self, *_: Any) -> Iterator[Iterator[bytes]]:
        yield iter([self._archive + WORDS.ljust(KEPT_WORDS) + b"%10d" % len(WORDS)])


@pytest.mark.parametrize(
    "members",
    [
        OUTSIDE,
        member(b"/etc/cron.d/file"),
        member(b"usr/file"),
        member(b"home/../../file"),
        member(b"etc/link", HARD, target=b"/etc/shadow"),
        folder(b"etc/") + RENAMED,
    ],
    ids=["below a link", "absolute", "elsewhere", "up", "hard link out", "a directory twice"],
)
def test_nothing_is_unpacked_that_nobody_may_unpack(small: Path, tmp_path: Path, members: bytes) -> None:
    with new_stage(tmp_path / "staging", "taken") as stage:
        with pytest.raises(BackupError, match="The archive holds"):
            fill(stage, Taken(small, BASE + members + END), (), soon())
        assert list(stage.tree.iterdir()) == []
