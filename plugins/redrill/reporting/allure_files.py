"""What redrill writes beside the Allure results of a run: environment, categories, results for lost tests."""

import json
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from redrill.model.values import printable
from redrill.private import write_private
from redrill.reporting.allure_results import own_labels
from redrill.reporting.identity import Identity

BLOCKED = "Blocked by an earlier failure"
"""What the message of a blocked test says, so that it is told from one that broke by itself."""

_ANY = r"[\s\S]*"
CATEGORIES: tuple[dict[str, Any], ...] = (
    {"name": "Blocked by an earlier failure", "matchedStatuses": ["broken"], "messageRegex": f"{_ANY}{BLOCKED}{_ANY}"},
    {"name": "Endpoint not compliant", "matchedStatuses": ["failed"]},
    {
        "name": "Harness, backend or network failed",
        "matchedStatuses": ["broken", "unknown"],
        "messageRegex": f"^(?!{_ANY}{BLOCKED}){_ANY}$",
    },
    {"name": "Not applicable", "matchedStatuses": ["skipped"]},
)
"""Why a test is not green, in the form that Allure 2 and 3 both read; the first that matches wins."""

LOST = "No result was written for this test: the process that ran it ended before it could. Nothing is known of it."


def write_environment(results_dir: Path, facts: Mapping[str, str]) -> None:
    """Write the facts of the run for the report's front page, in the order given."""
    lines = (f"{_escape(name, ' :=#!')} = {_escape(value)}\n" for name, value in facts.items())
    write_private(results_dir / "environment.properties", "".join(lines))


def write_categories(results_dir: Path) -> None:
    """Write the rules by which the report groups what is not green."""
    write_private(results_dir / "categories.json", json.dumps(CATEGORIES, indent=2) + "\n")


def complete_results(results_dir: Path, planned: Iterable[Identity], message: str = LOST) -> tuple[Identity, ...]:
    """Write a broken result for every planned test that has none, such as that of a crashed worker; return those."""
    present = {_history_id(path) for path in results_dir.glob("*-result.json")}
    missing = tuple(identity for identity in planned if identity.history_id not in present)
    for identity in missing:
        uuid = str(uuid4())
        result = json.dumps(_broken_result(uuid, identity, message))
        write_private(results_dir / f"{uuid}-result.json", result)
    return missing


def _history_id(path: Path) -> str | None:
    try:
        found = json.loads(path.read_bytes()).get("historyId")
    except ValueError:  # cut off by the crash: counts as missing
        return None
    return found if isinstance(found, str) else None


def _broken_result(uuid: str, identity: Identity, message: str) -> dict[str, Any]:
    now = round(time.time() * 1000)
    return {
        "uuid": uuid,
        "name": identity.title,
        "fullName": identity.full_name,
        "historyId": identity.history_id,
        "testCaseId": identity.case_id,
        "titlePath": identity.title_path,
        "status": "broken",
        "statusDetails": {"message": printable(message)},
        "parameters": [{"name": name, "value": value} for name, value in identity.parameters.items()],
        "labels": [{"name": name, "value": value} for name, value in own_labels(identity).items()],
        "start": now,
        "stop": now,
    }


def _escape(text: str, special: str = "") -> str:
    escaped = printable(" ".join(text.split())).replace("\\", "\\\\")
    return "".join(f"\\{char}" if char in special else char for char in escaped)
