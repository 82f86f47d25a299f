"""The findings of a run on disk: kept by each process that judges, gathered into one file at the end."""

import csv
import io
import json
import os
import shutil
from collections.abc import Collection, Sequence
from pathlib import Path

from redrill.model.values import Text, Value
from redrill.model.weighed import State, Weighed
from redrill.private import write_private
from redrill.redaction import redact_value

COLUMNS = ("finding", "severity", "facts", "state", "id")
"""Few and wordy ones: Allure's page gives many columns so little room that it breaks their words."""

MOST_ROWS = 5000
_NOBODY = {State.OPEN: "nobody has accepted it", State.NOTE: "told, it breaks nothing"}
_PARTS = "findings"
_FILE = "findings.jsonl"


class _Part(Value):
    """All findings against one promise at one endpoint."""

    endpoint: Text
    promise: str
    weighed: tuple[Weighed, ...]


def keep_findings(run_dir: Path, endpoint: str, promise: str, weighed: Sequence[Weighed]) -> None:
    """Keep the findings against a promise; those of a later try of the same judgement replace them."""
    part = _Part(endpoint=endpoint, promise=promise, weighed=tuple(weighed))
    line = json.dumps(redact_value(part.model_dump(mode="json"))) + "\n"
    folder = run_dir / _PARTS
    folder.mkdir(mode=0o700, exist_ok=True)
    # A file for each process: workers write at the same time.
    descriptor = os.open(folder / f"{os.getpid()}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(line)


def forget_findings(run_dir: Path) -> None:
    """Remove what an earlier attempt at the same run has kept."""
    shutil.rmtree(run_dir / _PARTS, ignore_errors=True)


def gather_findings(run_dir: Path) -> tuple[list[Weighed], Collection[tuple[str, str]]]:
    """Write findings.jsonl; return all findings, and which promise was judged at which endpoint."""
    parts: dict[tuple[str, str], _Part] = {}
    for file in sorted((run_dir / _PARTS).glob("*.jsonl")):
        # What follows the last line end was cut off with the process; its test is lost as well, and told so.
        for line in file.read_text("utf-8").split("\n")[:-1]:
            part = _Part.model_validate_json(line)
            parts[part.endpoint, part.promise] = part
    weighed = [one for key in sorted(parts) for one in parts[key].weighed]
    lines = (json.dumps({"id": one.finding.id, **one.model_dump(mode="json")}) + "\n" for one in weighed)
    write_private(run_dir / _FILE, "".join(lines))
    forget_findings(run_dir)
    return weighed, parts.keys()


def findings_csv(weighed: Sequence[Weighed]) -> str:
    """Return findings of one promise at one endpoint as CSV: the first 5000, and the number of the others."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(tuple(map(_cell, _row(one))) for one in weighed[:MOST_ROWS])
    if len(weighed) > MOST_ROWS:
        writer.writerow([f"… and {len(weighed) - MOST_ROWS} more, all of them in {_FILE}"])
    return text.getvalue()


def _row(one: Weighed) -> tuple[str, ...]:
    found = one.finding
    facts = "; ".join(f"{name}: {value}" for name, value in found.facts.items())
    state = f"{one.state}: {one.told or _NOBODY[one.state]}"
    return f"{found.subject}: {found.kind}: {found.detail}", f"{found.severity}: {found.why}", facts, state, found.id


def _cell(text: str) -> str:
    # A spreadsheet would run what begins like this; names on an endpoint are chosen by whoever made them.
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
