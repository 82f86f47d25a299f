"""One drill by redrill's engine in a process of its own: ``drill_once.py FLEET RUN_DIR ENDPOINT…``; prints JSON."""

import json
import sys
import time
from pathlib import Path

from redrill.drill.engine import run_drill
from redrill.drill.progress import LineProgress
from redrill.loader import load_fleet
from redrill.model.values import Mode


def main() -> int:
    file, run_dir, *names = sys.argv[1:]
    fleet = load_fleet(Path(file))
    endpoints = [fleet.endpoint(name) for name in names]
    began = time.monotonic()
    records = run_drill(fleet, endpoints, Mode.REPLACE, Path(run_dir), LineProgress(sys.stderr))
    seconds = time.monotonic() - began
    failures = [f"{record.endpoint}: {record.failure.message}" for record in records if record.failure]
    unwell = [
        f"{record.endpoint}: '{name}' is not healthy"
        for record in records
        for name, result in record.applications.items()
        if not result.healthy
    ]
    phases = [(record.endpoint, phase.step.value, phase.seconds) for record in records for phase in record.phases]
    print(json.dumps({"seconds": seconds, "phases": phases, "broken": failures + unwell}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
