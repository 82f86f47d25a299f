"""Repositories of every kind for one contract test: how an empty one is made, spoilt and locked, and what it loses."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from redrill.backends import load_backend
from redrill.model.fleet import Backend, Endpoint, Fleet
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import Repository

PASSWORD, VARIABLE = "correct-horse-battery", "REDRILL_TEST_PASSWORD"
HOST = "web-1"

Lost = Mapping[str, frozenset[str]]


@dataclass(frozen=True)
class Maker:
    """A kind of repository. Everything of it stands below a folder; ``make`` returns what a fleet file says of it.

    ``damage`` flips a bit of stored data. ``loses`` are the paths of the hard tree below /home/user that do not come
    back as they were, by attribute. ``back_up`` makes a snapshot as an owner would, ``lock`` holds the repository as
    another backup does, ``package`` has its program.
    """

    make: Callable[[Path], dict[str, Any]]
    damage: Callable[[Path], None]
    loses: Lost = field(default_factory=dict)
    back_up: Callable[[Path, Path, Sequence[str]], None] | None = None
    lock: Callable[[Path], AbstractContextManager[None]] | None = None
    package: str | None = None


def open_repository(kind: str, folder: Path, churn: tuple[str, ...] = (), **settings: Any) -> Repository:
    """Return the repository below a folder as a drill of the endpoint HOST uses it."""
    backend = Backend.model_validate({"kind": kind, **settings})
    endpoint = Endpoint(name=HOST, repository=backend, churn=churn)
    fleet = Fleet(name="test", source=folder / "fleet.yml", endpoints=(endpoint,))
    made: Repository = load_backend("repositories", kind)(fleet, endpoint)
    return made


def flip(file: Path, every: int = 0) -> None:
    """Flip a bit in the middle of a file, or one in every so many bytes."""
    data = bytearray(file.read_bytes())
    for position in range(every, len(data), every) if every else (len(data) // 2,):
        data[position] ^= 1
    mode = file.stat().st_mode
    file.chmod(0o600)
    file.write_bytes(data)
    file.chmod(mode)


def run(*command: str, folder: Path | None = None, **environment: str) -> None:
    subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=True, capture_output=True)


def restic_environment(folder: Path) -> dict[str, str]:
    return {
        "RESTIC_REPOSITORY": str(folder / "repository"),
        "RESTIC_PASSWORD": PASSWORD,
        "RESTIC_CACHE_DIR": str(folder / "cache"),
    }


def borg_environment(folder: Path) -> dict[str, str]:
    return {
        "BORG_REPO": str(folder / "repository"),
        "BORG_PASSPHRASE": PASSWORD,
        "BORG_BASE_DIR": str(folder / "borg"),
        "BORG_HOST_ID": "the-owner",
    }


def _common(folder: Path) -> dict[str, Any]:
    staging = {"staging": str(folder / "staging"), "lock_wait": "1s"}
    return {"repository": "repository", "password": {"env": VARIABLE}, "cache": str(folder / "cache"), **staging}


def _make_in_directory(_folder: Path) -> dict[str, Any]:
    return {"directory": "repository"}


def _damage_rsync(folder: Path) -> None:
    for file in (folder / "repository").rglob("tree/etc/file"):
        flip(file)


def _damage_tar(folder: Path) -> None:
    for archive in (folder / "repository").rglob("archive.tar.zst"):
        flip(archive)


def damage_contents(folder: Path) -> None:
    """Flip bits all over every file of a tool's repository that is large enough to hold contents."""
    for file in (folder / "repository/data").rglob("*"):
        if file.is_file() and file.stat().st_size > 100_000:
            flip(file, every=50_000)


@cache
def _empty_restic() -> Path:
    """Return a folder with an empty repository, to be copied: the key of each takes seconds to make."""
    folder = Path(tempfile.mkdtemp(prefix="redrill-test-restic-"))
    atexit.register(shutil.rmtree, folder)
    run("restic", "init", **restic_environment(folder))
    return folder / "repository"


def make_restic(folder: Path) -> dict[str, Any]:
    shutil.copytree(_empty_restic(), folder / "repository")
    return _common(folder)


def damage_restic(folder: Path) -> None:
    """Flip a bit in the largest pack, which holds contents: a plain 'check' does not see that."""
    flip(_largest(folder / "repository/data"))
    run("restic", "check", **restic_environment(folder))


def back_up_with_restic(folder: Path, tree: Path, tags: Sequence[str] = ()) -> None:
    """Back the tree up as its owner does on the endpoint itself: by the paths that everything has there."""
    binds = "; ".join(f"mount --bind {tree}{path} {path}" for path in STATE_PATHS)
    words = " ".join(["--host", HOST, *(f"--tag {tag}" for tag in tags), *STATE_PATHS])
    run("unshare", "-m", "sh", "-ec", f"{binds}; exec restic backup {words}", **restic_environment(folder))


@contextmanager
def lock_restic(folder: Path) -> Iterator[None]:
    """Have a check running that does not get on: it excludes everybody else."""
    command = ["restic", "check", "--read-data", "--limit-download", "1"]
    environment = {**os.environ, **restic_environment(folder)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(lambda: any((folder / "repository/locks").iterdir()))
        process.send_signal(signal.SIGSTOP)
        yield
        assert any((folder / "repository/locks").iterdir()), "somebody took the lock away"
    finally:
        process.kill()
        process.wait()


def make_borg(folder: Path) -> dict[str, Any]:
    run("borg", "init", "--encryption", "repokey-blake2", **borg_environment(folder))
    return _common(folder)


def damage_borg(folder: Path) -> None:
    flip(_largest(folder / "repository/data"))


def _largest(folder: Path) -> Path:
    return max((file for file in folder.rglob("*") if file.is_file()), key=lambda file: file.stat().st_size)


def back_up_with_borg(folder: Path, tree: Path, tags: Sequence[str] = ()) -> None:
    environment = borg_environment(folder) | {"TZ": "UTC"}
    name = f"::nightly-{time.time_ns()}"
    tops = [path[1:] for path in STATE_PATHS]
    run("borg", "create", "--comment", " ".join(tags), "--numeric-ids", name, *tops, folder=tree, **environment)


@contextmanager
def lock_borg(folder: Path) -> Iterator[None]:
    command = ["borg", "with-lock", str(folder / "repository"), "sleep", "600"]
    lock = folder / "repository/lock.exclusive"
    process = subprocess.Popen(command, env={**os.environ, **borg_environment(folder)}, start_new_session=True)
    try:
        _wait(lock.exists)
        yield
        assert lock.exists(), "somebody broke the lock"
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _wait(is_there: Callable[[], bool]) -> None:
    for _ in range(600):
        if is_there():
            return
        time.sleep(0.05)
    raise TimeoutError("the repository was not locked")


MAKERS: dict[str, Maker] = {
    "tar": Maker(make=_make_in_directory, damage=_damage_tar),
    "rsync": Maker(make=_make_in_directory, damage=_damage_rsync),
    "restic": Maker(
        make=make_restic,
        damage=damage_restic,
        loses={
            "xattrs": frozenset({"attributes", "links/up"}),  # names that are no UTF-8; attributes of links
            "target": frozenset({"links/bytes"}),
            "link_group": frozenset({"links/dangling", "links/hard-symlink"}),
            "flags": frozenset({"flagged"}),
        },
        back_up=back_up_with_restic,
        lock=lock_restic,
        package="restic",
    ),
    "borg": Maker(
        make=make_borg,
        damage=damage_borg,
        loses={
            "mtime_ns": frozenset({"time-2", "time-3", "time-4"}),  # before 1970 and after 2262
            "link_group": frozenset({"links/dangling", "links/hard-symlink"}),
            "flags": frozenset({"flagged"}),
        },
        back_up=back_up_with_borg,
        lock=lock_borg,
        package="borgbackup",
    ),
}
