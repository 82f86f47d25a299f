"""Fleets of directories that are not disposable: they need tokens and a confirmed plan."""

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from redrill.drill.guards.endpoint import survey
from redrill.drill.guards.protection import know_controller
from redrill.drill.guards.token import write_token
from redrill.drill.planning import Request
from redrill.loader import load_fleet
from redrill.model.fleet import Fleet
from redrill.model.values import Mode
from selftests.support.trees import root_of, tree_fleet

TREES = ("oak-1", "elm-1", "ash-1")
TOMORROW = datetime.now(UTC).date() + timedelta(days=1)


def guarded_fleet(folder: Path, **guards: str) -> Path:
    """Write the sample fleet of directories with other guards (YAML by key), bring it up and give each its token."""
    folder.mkdir(exist_ok=True)
    file = tree_fleet(folder)
    text = file.read_text().replace("disposable: true", "disposable: false")
    text = re.sub(r"\nguards:.*?\n\n", "\n" + _guards(guards) + "\n", text, count=1, flags=re.DOTALL)
    file.write_text(text)
    fleet = load_fleet(file)
    for name in TREES:
        put_token(folder, name, token_of(fleet, name))
    return file


def _guards(guards: dict[str, str]) -> str:
    lines = {"limits": "{most_endpoints: 3, most_of_role: 100}", **guards}
    return "guards:\n" + "".join(f"  {key}: {value}\n" for key, value in lines.items())


def token_of(fleet: Fleet, name: str, until: date = TOMORROW) -> str:
    """Return the text of a good token for an endpoint."""
    identity = survey(fleet, fleet.endpoint(name), know_controller()).identity
    return write_token(fleet.name, identity.best, until)


def put_token(folder: Path, name: str, text: str, mode: int = 0o644) -> Path:
    """Write a token to where it belongs on an endpoint."""
    file = root_of(folder, name) / "etc/redrill/allow"
    file.parent.mkdir(mode=0o755, exist_ok=True)
    file.write_text(text)
    file.chmod(mode)
    return file


def wipe(fleet: Fleet, *names: str, environment: str | None = "lab", change: str | None = None) -> Request:
    """Return the request to wipe some endpoints."""
    endpoints = tuple(fleet.endpoint(name) for name in names or TREES)
    return Request(fleet, endpoints, Mode.REPLACE, environment, change)
