"""What must hold of the history of every run, whatever happened in it: checked over its journal and records."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from redrill.backends import load_backend
from redrill.drill.journal import read_journal
from redrill.model.fleet import Fleet

TAKE_DOWN = ("vanilla", "stop", "redeploy")
"""The steps that take an endpoint out of service."""


def violations(run_dir: Path) -> list[str]:
    """Return each invariant that a run broke, in words; none for a sound history."""
    if not (run_dir / "journal.jsonl").exists():
        return []
    events = read_journal(run_dir / "journal.jsonl")
    records = {file.stem: json.loads(file.read_text()) for file in (run_dir / "records").glob("*.json")}
    return [
        *_destroyed_at_most_once(events),
        *_verified_before_destroyed(events),
        *_recovered_or_quarantined(events, records, run_dir),
        *_a_copy_exists(records, run_dir),
        *_green_is_proven(records, run_dir),
        *_private(run_dir),
    ]


def _destroyed_at_most_once(events: list[dict[str, Any]]) -> Iterator[str]:
    done = Counter(
        event["endpoint"]
        for event in events
        if event["event"] == "outcome" and event["step"] == "redeploy" and event["outcome"] == "done"
    )
    yield from (f"I1: '{name}' was destroyed {count} times in one run" for name, count in done.items() if count > 1)


def _verified_before_destroyed(events: list[dict[str, Any]]) -> Iterator[str]:
    """I2, I5: whatever takes an endpoint down follows a verified backup and an armed drill, which holds the lock."""
    passed: set[tuple[str, str]] = set()
    for event in events:
        name, step = event["endpoint"], event.get("step")
        if event["event"] == "outcome" and event["outcome"] == "done":
            passed.add((name, step))
        if event["event"] == "intent" and step in TAKE_DOWN:
            missing = [needed for needed in ("back up", "verify backup", "arm") if (name, needed) not in passed]
            yield from (f"I2: '{name}' was about to be taken down without '{needed}'" for needed in missing)


def _recovered_or_quarantined(
    events: list[dict[str, Any]], records: dict[str, dict[str, Any]], run_dir: Path
) -> Iterator[str]:
    """I3: whatever was destroyed is released, or its failure ends with 14, or a checkpoint can be resumed."""
    begun = {event["endpoint"] for event in events if event["event"] == "intent" and event["step"] in TAKE_DOWN}
    for name in begun:
        record = records.get(name)
        failure = record and record["failure"]
        checkpoint = run_dir / "records" / name / "checkpoint.json"
        if record is None and not checkpoint.exists():
            yield f"I3: '{name}' was destroyed and nothing remembers it"
        has_recovered = failure and (failure["step"], failure["exit_code"]) == ("release", 7)
        if failure and not has_recovered and record and record["wiped_at"] and failure["exit_code"] != 14:
            yield f"I3: '{name}' was destroyed, did not recover, and says {failure['exit_code']} instead of 14"


def _a_copy_exists(records: dict[str, dict[str, Any]], run_dir: Path) -> Iterator[str]:
    """I4: nothing deletes the backup of what was destroyed."""
    fleet = Fleet.model_validate_json((run_dir / "fleet.json").read_text())
    for name, record in records.items():
        if record["wiped_at"] and record["snapshot"] and not _is_kept(fleet, name, record["snapshot"]["id"]):
            yield f"I4: the backup '{record['snapshot']['id']}' of '{name}' is gone"


def _is_kept(fleet: Fleet, name: str, snapshot: str) -> bool:
    backend = fleet.endpoint(name).repository
    assert backend
    if "directory" in backend.settings:
        directory = Path(backend.settings["directory"])
        # A lab that was taken down has taken its backups along.
        return not directory.exists() or bool(list(directory.glob(f"{name}/{snapshot}/*")))
    found = load_backend("repositories", backend.kind)(fleet, fleet.endpoint(name)).snapshots()
    return snapshot in {each.id for each in found}


def _green_is_proven(records: dict[str, dict[str, Any]], run_dir: Path) -> Iterator[str]:
    """I6: APPROVE of a drill means a new boot, whole markers, and messages at the sink where there is one."""
    file = run_dir / "verdict.json"
    if not file.exists() or json.loads(file.read_text())["decision"] != "APPROVE":
        return
    for name, record in records.items():
        if record["mode"] == "observe":
            continue
        if record["before"]["boot_id"] == record["after"]["boot_id"]:
            yield f"I6: '{name}' is green in the boot of before the wipe"
        if any((m["found"] == m["nonce"]) is not m["is_survivor"] for m in record["markers"]) or not record["markers"]:
            yield f"I6: '{name}' is green although its markers do not prove the redeploy"
        if not all(message["arrived"] for message in record["messages"]):
            yield f"I6: '{name}' is green although a message is not at the sink"


def _private(run_dir: Path) -> Iterator[str]:
    """I7, the part that holds for every run: nobody else may read what a run leaves behind."""
    for path in [run_dir, *run_dir.rglob("*")]:
        if not path.is_symlink() and path.stat().st_mode & 0o077:
            yield f"I7: '{path.relative_to(run_dir.parent)}' can be read by others"
