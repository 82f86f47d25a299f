"""Runs the benchmarks in order on a lab of their own and prints one table; ``run.py [--rounds N] [NAME…]``.

Exit 0 when everything was measured, whatever the figures; 2 when a benchmark broke; 4 for an unknown name.
"""

import argparse
import fcntl
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from bench_checks import bench_checks
from bench_diff import bench_diff
from bench_drill import bench_live, bench_offline
from bench_lab import BenchLab, bench_lab
from bench_manifest import bench_manifest
from bench_restore import bench_restore
from measure import Row, render_table, write_json

from redrill.errors import Exit

BENCHMARKS: dict[str, Callable[[BenchLab], list[Row]]] = {
    "manifest": bench_manifest,
    "diff": bench_diff,
    "checks": bench_checks,
    "drill": bench_offline,
    "live": bench_live,
    "restore": bench_restore,
}
RUNS = Path(__file__).parents[2] / "reports/runs"
RESULT = RUNS / "benchmarks.json"
BROKEN = 2


def main() -> int:
    """Measure what was asked for and return the exit status."""
    names, rounds = _parse()
    if unknown := [name for name in names if name not in BENCHMARKS]:
        print(f"There is no benchmark {', '.join(map(repr, unknown))}; there are {', '.join(BENCHMARKS)}.")
        return Exit.USAGE
    RUNS.mkdir(parents=True, exist_ok=True)
    rows: list[Row] = []
    broken: list[str] = []
    with (RUNS / "benchmarks.lock").open("w") as lock, tempfile.TemporaryDirectory(prefix="redrill-bench-") as folder:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two at once would take down each other's lab, and measure each other
        with bench_lab(Path(folder), rounds, _say) as lab:
            for name in names:
                _measure(name, lab, rows, broken)
    print(f"\n{render_table(rows)}\n", flush=True)
    write_json(rows, RESULT)
    print(f"Written to '{RESULT}'. Ratios are of medians of one run; absolute times are this machine's.")
    for name in broken:
        print(f"The benchmark '{name}' broke; its figures are missing.")
    return BROKEN if broken else 0


def _measure(name: str, lab: BenchLab, rows: list[Row], broken: list[str]) -> None:
    _say(f"{name}:")
    try:
        rows += BENCHMARKS[name](lab)
    except Exception:  # noqa: BLE001 - one that breaks must not take the others' figures with it
        traceback.print_exc()
        broken.append(name)


def _parse() -> tuple[list[str], int]:
    parser = argparse.ArgumentParser(description="Measure redrill against floors and peers.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of {', '.join(BENCHMARKS)}; all when none")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side (default 3, the least)")
    found = parser.parse_args()
    return found.names or list(BENCHMARKS), max(3, found.rounds)


BEGAN = time.monotonic()


def _say(line: str) -> None:
    print(f"{time.monotonic() - BEGAN:7.1f} s  {line}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
