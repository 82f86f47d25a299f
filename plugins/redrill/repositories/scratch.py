"""Repositories to try something out with: empty, in a folder of their own, and of no use to anybody else."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from redrill.errors import BackupError

_SECONDS = 120.0
_PROGRAMS = {"restic": "restic", "borg": "borg", "rsync": "rsync"}


def scratch_kinds() -> tuple[str, ...]:
    """Return the kinds of repositories that can be tried here, for their programs are installed."""
    return tuple(kind for kind in _MAKERS if shutil.which(_PROGRAMS.get(kind, "tar")))


def make_scratch(kind: str, folder: Path) -> dict[str, Any]:
    """Make an empty repository in a folder; return what a fleet file would say to it. BackupError when it cannot be."""
    make = _MAKERS.get(kind)
    if make is None:
        raise BackupError(f"A repository '{kind}' cannot be made to try it; there are {', '.join(_MAKERS)}.")
    folder.mkdir(mode=0o700)
    return make(folder)


def _in_folder(folder: Path) -> dict[str, Any]:
    return {"directory": str(folder / "repository")}


def _restic(folder: Path) -> dict[str, Any]:
    settings = _with_password(folder)
    names = {"RESTIC_PASSWORD_FILE": settings["password"]["file"], "RESTIC_CACHE_DIR": settings["cache"]}
    _run(["restic", "init", "--quiet", "--repo", settings["repository"]], names)
    return settings


def _borg(folder: Path) -> dict[str, Any]:
    settings, base = _with_password(folder), folder / "base"
    names = {"BORG_PASSPHRASE": (folder / "password").read_text(encoding="ascii"), "BORG_BASE_DIR": str(base)}
    _run(["borg", "init", "--encryption", "repokey-blake2", settings["repository"]], names)
    (folder / "base-directory").write_text(str(base), encoding="utf-8")
    return {**settings, "environment": {"BORG_BASE_DIR": {"file": str(folder / "base-directory")}}}


def _with_password(folder: Path) -> dict[str, Any]:
    password = folder / "password"
    password.touch(mode=0o600)
    password.write_text(secrets.token_hex(16), encoding="ascii")
    places = {name: str(folder / name) for name in ("repository", "cache", "staging")}
    return {**places, "password": {"file": str(password)}}


def _run(command: list[str], environment: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BackupError(f"'{command[0]}' cannot make a repository: {error}") from error
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "backslashreplace").strip()
        raise BackupError(f"'{command[0]}' cannot make a repository: {words[-1000:]}")


_MAKERS: Mapping[str, Callable[[Path], dict[str, Any]]] = {
    "tar": _in_folder,
    "rsync": _in_folder,
    "restic": _restic,
    "borg": _borg,
}
