"""The folder of a run: private, named by its time, and what ``latest`` points to."""

import os
import secrets
from datetime import UTC, datetime
from pathlib import Path

from redrill.errors import RedrillError

_TRIES = 16


def new_run_folder(base: Path, now: datetime) -> Path:
    """Make and return ``base``/'<UTC time>-<4 hex digits>', for its owner alone; ``now`` knows its time zone."""
    base.mkdir(parents=True, exist_ok=True)
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    for _ in range(_TRIES):
        folder = base / f"{stamp}-{secrets.token_hex(2)}"
        try:
            folder.mkdir(mode=0o700)
        except FileExistsError:
            continue
        return folder
    raise RedrillError(f"No free name for a run was found in '{base}' at {stamp}; try again in a second.")


def point_latest(run_dir: Path) -> Path:
    """Let 'latest', a link beside the folder of all runs, point to ``run_dir`` in one atomic step; return the link."""
    runs = run_dir.parent
    latest = runs.parent / "latest"
    if latest.exists() and not latest.is_symlink():
        raise RedrillError(f"'{latest}' is no link, so it cannot point to the newest run; move it away.")
    temporary = latest.with_name(f".latest-{secrets.token_hex(4)}")
    temporary.symlink_to(Path(runs.name) / run_dir.name)
    temporary.replace(latest)
    return latest


def seal(run_dir: Path) -> None:
    """Take every right on what lies in ``run_dir`` from everyone but its owner; links are not followed."""
    for folder, _, files in os.walk(run_dir):
        Path(folder).chmod(0o700)
        for name in files:
            path = Path(folder, name)
            if not path.is_symlink():
                path.chmod(0o600)
