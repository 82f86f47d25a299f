"""The whole drill of three endpoints against plain shell tools that do the same, and what it takes in memory."""

import re
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from statistics import median

from bench_lab import DRILLED, BenchLab
from floor import SCRIPT, write_floor_files
from measure import BrokenBenchmarkError, Row, Say, take_turns

from redrill.drill.evidence import read_record
from redrill.drill.journal import read_journal
from redrill.model.deadline import pause
from redrill.model.fleet import Fleet

LIMIT = 120
"""Megabytes that the controller may take."""

_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB$", re.MULTILINE)
"""A process that has ended but was not waited for has none."""

_OUTAGE = ("redeploy", "first boot", "restore", "verify restore", "settle")
"""The phases of the floor from the wipe to the answer of the application."""


def bench_offline(lab: BenchLab) -> list[Row]:
    """Measure the drill that restores before the first boot, the whole command that holds it, and its memory."""
    drills = _Drills(lab, lab.fleet, "offline")
    sides = {"our drill": drills.ours, "floor, same work": drills.floor, "floor, no evidence": drills.lean_floor}
    ours, floor, lean = take_turns(lab.rounds, sides, lab.say).values()
    drills.explain(lab.say)
    command, memory = median(drills.commands), max(drills.peaks)
    return [
        Row("drill of 3 endpoints, offline restore", f"{ours:.2f} s", f"{floor:.2f} s", ours / floor, "<= 1.5"),
        Row("  against a floor without evidence", f"{ours:.2f} s", f"{lean:.2f} s", ours / lean),
        Row("  until it is judged, too", f"{command:.2f} s", f"{floor:.2f} s", command / floor),
        drills.row_of_recovery("RTO of an endpoint, offline restore"),
        Row("memory of the drill, peak", f"{memory:.0f} MB", f"{LIMIT} MB", memory / LIMIT, "<= 1"),
    ]


def bench_live(lab: BenchLab) -> list[Row]:
    """Measure the drill that restores over SSH and reboots, as every real endpoint needs it."""
    drills = _Drills(lab, lab.live_fleet, "live")
    sides = {"our drill, live": drills.ours, "live floor, same work": drills.floor}
    ours, floor = take_turns(lab.rounds, sides, lab.say).values()
    drills.explain(lab.say)
    return [
        Row("drill of 3 endpoints, live restore", f"{ours:.2f} s", f"{floor:.2f} s", ours / floor, "<= 1.5"),
        drills.row_of_recovery("RTO of an endpoint, live restore"),
    ]


@dataclass(slots=True)
class _Drills:
    """The sides of one way to restore; each call is one whole drill of the lab."""

    lab: BenchLab
    fleet: Fleet
    way: str
    commands: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    phases: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    recoveries: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    count: int = 0

    def ours(self) -> float:
        """Run `redrill run` and return the seconds from its start to the end of its drill.

        The time until it has judged and its peak of memory in megabytes are noted.
        """
        folder = self._folder("ours")
        command = [
            "run",
            str(self.fleet.source),
            "--mode",
            "replace",
            "--environment",
            "lab",
            f"--redrill-reports={folder}",
            "-q",
        ]
        log = folder / "output"
        with log.open("wb") as output:
            began, began_at = time.monotonic(), datetime.now(UTC)
            process = subprocess.Popen(
                [sys.executable, "-m", "redrill.cli", *command], stdout=output, stderr=output, cwd=folder
            )
            try:
                self.peaks.append(_peak_until_end(process))
            except BaseException:
                process.kill()  # or it would go on drilling a lab that is being taken down
                raise
        self.commands.append(time.monotonic() - began)
        if process.returncode != 0:
            tail = log.read_text("utf-8", "replace")[-3000:]
            raise BrokenBenchmarkError(f"`redrill run` ended with {process.returncode}:\n{tail}")
        return self._read_evidence((folder / "latest").resolve(), began_at)

    def floor(self) -> float:
        """Drill by the script, with the same evidence."""
        return self._run_floor("whole")

    def lean_floor(self) -> float:
        """Drill by the script, without manifests and without reading the archive again."""
        return self._run_floor("lean")

    def explain(self, say: Say) -> None:
        """Print where the time goes: per phase, the median over rounds and endpoints on either side."""
        say(f"  {'phase':<18}{'ours':>8}{'floor':>8}   (median of an endpoint)")
        for phase in dict.fromkeys(name for name, _ in self.phases):
            ours, floor = (self.phases.get((phase, side), []) for side in ("ours", "whole"))
            say(f"  {phase:<18}{_middle(ours):>8}{_middle(floor):>8}")

    def row_of_recovery(self, what: str) -> Row:
        """Return how long an endpoint took from its wipe to the first good answer of its application."""
        ours, floor = (median(self.recoveries[side]) for side in ("ours", "whole"))
        return Row(what, f"{ours:.2f} s", f"{floor:.2f} s", ours / floor, "<= 1.5")

    def _read_evidence(self, run_dir: Path, began: datetime) -> float:
        """Note the phases of the run and return the seconds from ``began`` to the end of the drill."""
        events = {
            event["event"]: datetime.fromisoformat(event["at"]) for event in read_journal(run_dir / "journal.jsonl")
        }
        self.phases["(start)", "ours"].append((events["run started"] - began).total_seconds())
        for name in DRILLED:
            record = read_record(run_dir, name)
            for phase in record.phases:
                self.phases[phase.step.value, "ours"].append(phase.seconds)
            self.recoveries["ours"] += [found.recovered_after or inf for found in record.applications.values()]
        return (events["run ended"] - began).total_seconds()

    def _run_floor(self, evidence: str) -> float:
        folder = self._folder("floor")
        write_floor_files(self.fleet, DRILLED, folder)
        command = ["bash", str(SCRIPT), evidence, self.way, str(folder)]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode != 0:
            raise BrokenBenchmarkError(f"The floor broke:\n{(done.stdout + done.stderr)[-3000:]}")
        outages: dict[str, float] = defaultdict(float)
        for line in done.stdout.splitlines():
            name, phase, took = line.split("\t")
            self.phases[phase, evidence].append(float(took))
            outages[name] += float(took) if phase in _OUTAGE else 0.0
        self.recoveries[evidence] += outages.values()
        return seconds

    def _folder(self, kind: str) -> Path:
        """Return a new folder for a drill that may begin now."""
        self.lab.wait_until_steady()
        self.count += 1
        folder = self.lab.folder / f"{kind}-{self.way}-{self.count}"
        folder.mkdir()
        return folder


def _peak_until_end(process: subprocess.Popen[bytes]) -> float:
    """Wait for the process and return its peak of memory in megabytes, as proc(5) told it until just before the end.

    What wait4(2) tells begins with the peak of whoever has started it: this process, which has measured other things.
    """
    peak, status = 0, Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        with suppress(OSError):
            peak = max([peak, *(int(found[1]) for found in _PEAK.finditer(status.read_text("utf-8")))])
        pause(0.05)
    return peak * 1024 / 1e6


def _middle(values: list[float]) -> str:
    return f"{median(values):.2f}" if values else ""
