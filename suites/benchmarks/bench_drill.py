"""The whole drill of three endpoints against plain shell tools that do the same, and what it takes in memory."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench_lab import DRILLED, BenchLab
from floor import SCRIPT, write_floor_files
from measure import BrokenBenchmarkError, Row, Say, take_turns

from redrill.model.fleet import Fleet

ONCE = Path(__file__).with_name("drill_once.py")
LIMIT = 120
"""Megabytes that the controller may take."""


def bench_offline(lab: BenchLab) -> list[Row]:
    """Measure the drill that restores before the first boot, the whole command, and its memory."""
    drills = _Drills(lab, lab.fleet, "offline")
    sides = {
        "our drill": drills.ours,
        "floor, same work": drills.floor,
        "floor, no evidence": drills.lean_floor,
        "redrill run": drills.command,
    }
    found = take_turns(lab.rounds, sides, lab.say)
    drills.explain(lab.say)
    ours, floor, lean, command = (found[name] for name in sides)
    memory = max(drills.peaks)
    return [
        Row("drill of 3 endpoints, offline restore", f"{ours:.2f} s", f"{floor:.2f} s", ours / floor, "<= 1.5"),
        Row("  against a floor without evidence", f"{ours:.2f} s", f"{lean:.2f} s", ours / lean),
        Row("  whole 'redrill run', judged", f"{command:.2f} s", f"{floor:.2f} s", command / floor),
        Row("memory of 'redrill run', peak", f"{memory:.0f} MB", f"{LIMIT} MB", memory / LIMIT, "<= 1"),
    ]


def bench_live(lab: BenchLab) -> list[Row]:
    """Measure the drill that restores over SSH and reboots, as every real endpoint needs it."""
    drills = _Drills(lab, lab.live_fleet, "live")
    sides = {"our drill, live": drills.ours, "live floor, same work": drills.floor}
    ours, floor = take_turns(lab.rounds, sides, lab.say).values()
    drills.explain(lab.say)
    return [Row("drill of 3 endpoints, live restore", f"{ours:.2f} s", f"{floor:.2f} s", ours / floor, "<= 1.5")]


@dataclass(slots=True)
class _Drills:
    """The sides of one way to restore; each call is one whole drill of the lab."""

    lab: BenchLab
    fleet: Fleet
    way: str
    peaks: list[float] = field(default_factory=list)
    phases: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    count: int = 0

    def ours(self) -> float:
        """Drill in a fresh interpreter; the figure holds its start, too."""
        command = [sys.executable, str(ONCE), str(self.fleet.source), str(self._folder("ours")), *DRILLED]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode != 0:
            raise BrokenBenchmarkError(f"Our drill broke:\n{done.stderr[-3000:]}")
        told: dict[str, Any] = json.loads(done.stdout)
        if told["broken"]:
            raise BrokenBenchmarkError(f"Our drill is no whole one: {'; '.join(told['broken'])}")
        self.phases["(start)", "ours"].append(seconds - told["seconds"])
        self._note("ours", told["phases"])
        return seconds

    def floor(self) -> float:
        """Drill by the script, with the same evidence."""
        return self._run_floor("whole")

    def lean_floor(self) -> float:
        """Drill by the script, without manifests and without reading the archive again."""
        return self._run_floor("lean")

    def command(self) -> float:
        """Run what a user runs, judging included; remember its peak of memory in megabytes."""
        reports = self._folder("reports")
        arguments = ["run", str(self.fleet.source), "--mode", "replace", f"--redrill-reports={reports}", "-q"]
        log = reports / "output"
        with log.open("wb") as output:
            began = time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-m", "redrill.cli", *arguments], stdout=output, stderr=output, cwd=self.lab.folder
            )
            _, status, usage = os.wait4(process.pid, 0)
            seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            tail = log.read_text("utf-8", "replace")[-3000:]
            raise BrokenBenchmarkError(f"`redrill run` ended with {process.returncode}:\n{tail}")
        self.peaks.append(usage.ru_maxrss * 1024 / 1e6)
        return seconds

    def explain(self, say: Say) -> None:
        """Print where the time goes: per phase, the median over rounds and endpoints on either side."""
        say(f"  {'phase':<18}{'ours':>8}{'floor':>8}")
        for phase in dict.fromkeys(name for name, _ in self.phases):
            ours, floor = (sorted(self.phases.get((phase, side), ())) for side in ("ours", "whole"))
            say(f"  {phase:<18}{_middle(ours):>8}{_middle(floor):>8}")

    def _run_floor(self, evidence: str) -> float:
        folder = self._folder("floor")
        write_floor_files(self.fleet, DRILLED, folder)
        command = ["bash", str(SCRIPT), evidence, self.way, str(folder)]
        began = time.monotonic()
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        seconds = time.monotonic() - began
        if done.returncode != 0:
            raise BrokenBenchmarkError(f"The floor broke:\n{(done.stdout + done.stderr)[-3000:]}")
        rows = (line.split("\t") for line in done.stdout.splitlines())
        self._note(evidence, [(name, phase, float(took)) for name, phase, took in rows])
        return seconds

    def _note(self, side: str, phases: list[tuple[str, str, float]]) -> None:
        for _, phase, seconds in phases:
            self.phases[phase, side].append(seconds)

    def _folder(self, kind: str) -> Path:
        self.count += 1
        folder = self.lab.folder / f"{kind}-{self.way}-{self.count}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        return folder


def _middle(values: list[float]) -> str:
    return f"{values[len(values) // 2]:.2f}" if values else ""
