"""Real runs of redrill in a process of their own, and what came of them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from redrill.model.values import Mode
from selftests.support.history import violations

ENVIRONMENT = ("--redrill-environment=lab",)
"""What a run that wipes must say of the sample fleets."""


@dataclass(frozen=True, slots=True)
class Drilled:
    """One run: its exit status, what it printed, its folder, verdict, records and outcomes (empty if none)."""

    status: int
    output: str
    folder: Path | None
    verdict: dict[str, Any]
    records: dict[str, dict[str, Any]]
    outcomes: dict[str, str]

    def tests(self, outcome: str) -> set[str]:
        """Return the tests with an outcome ('passed', 'failed', 'broken'), as 'test_nothing_leaks[web-1]'."""
        return {test for test, found in self.outcomes.items() if found == outcome}

    @property
    def red(self) -> set[str]:
        """The tests that are failed or broken."""
        return self.tests("failed") | self.tests("broken")


def run_redrill(
    fleet: Path, reports: Path, *arguments: str, timeout: float = 300.0, under: Sequence[str] = ()
) -> Drilled:
    """Run the suites over a fleet file with further arguments of pytest; reports go below ``reports``."""
    suites = ("--pyargs", "redrill_suites", "-p", "no:cacheprovider")
    return run_pytest(reports, *suites, f"--redrill-fleet={fleet}", *arguments, timeout=timeout, under=under)


def drill_changed(fleet: Path, changes: Mapping[str, Any], reports: Path, *arguments: str) -> Drilled:
    """Drill a fleet whose file says more: changes by the path to what is to be changed, such as 'roles/db'."""
    document = yaml.safe_load(fleet.read_text())
    for path, change in changes.items():
        place = document
        for part in path.split("/"):
            place = place[part]
        place.update(change)
    changed = fleet.with_name(f"{reports.name}.yml")
    changed.write_text(json.dumps(document))
    return run_redrill(changed, reports, "--redrill-mode=replace", *arguments)


def run_pytest(reports: Path, *arguments: str, timeout: float = 300.0, under: Sequence[str] = ()) -> Drilled:
    """Run pytest in ``reports`` with these arguments and nothing else but where reports go; return its newest run.

    ``under`` is a program with its options that runs it, such as strace.
    """
    is_wiping = any(f"--redrill-mode={mode}" in arguments for mode in Mode if mode.is_destructive)
    environment = ENVIRONMENT if is_wiping else ()
    # That plugin imports half a second of Hypothesis at the end of every session, whoever uses it.
    command = [sys.executable, "-m", "pytest", "-p", "no:hypothesispytest", f"--redrill-reports={reports}"]
    return _run([*under, *command, *environment, *arguments], reports, timeout)


def resume_run(run_dir: Path, reports: Path, timeout: float = 300.0) -> Drilled:
    """Finish an interrupted run below ``reports`` with ``redrill resume``."""
    command = [str(Path(sys.executable).with_name("redrill")), "resume", str(run_dir), "--environment", "lab", "-q"]
    return _run(command, reports, timeout)


def plain_environment() -> dict[str, str]:
    """Return the environment without what pytest tells its tests: a run of their own is no worker of this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}


def _run(command: Sequence[str], reports: Path, timeout: float) -> Drilled:
    reports.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(
        command,
        cwd=reports,
        env=plain_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        preexec_fn=_listen_to_signals,
    )
    drilled = read_run(reports, done.returncode, done.stdout + done.stderr)
    broken = violations(drilled.folder) if drilled.folder else []
    assert not broken, "\n".join([*broken, drilled.output])
    return drilled


def _listen_to_signals() -> None:
    """Be as a shell starts a command in the foreground: who was started in the background ignores SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def read_run(reports: Path, status: int, output: str) -> Drilled:
    """Return what the newest run below ``reports`` left behind."""
    folder = max((reports / "runs").glob("*Z-*"), default=None, key=lambda path: path.stat().st_mtime_ns)
    if folder is None:
        return Drilled(status, output, None, {}, {}, {})
    verdict = folder / "verdict.json"
    records = {file.stem: json.loads(file.read_text()) for file in sorted((folder / "records").glob("*.json"))}
    return Drilled(
        status=status,
        output=output,
        folder=folder,
        verdict=json.loads(verdict.read_text()) if verdict.exists() else {},
        records=records,
        outcomes=_read_outcomes(folder / "allure-results"),
    )


def _read_outcomes(results: Path) -> dict[str, str]:
    """Read the Allure results, which a reviewer would see: 'test[endpoint-application]' to its status."""
    outcomes = {}
    for file in results.glob("*-result.json"):
        result = json.loads(file.read_text())
        parameters = {parameter["name"]: parameter["value"] for parameter in result.get("parameters", ())}
        values = [parameters[name].strip("'") for name in ("endpoint", "application") if name in parameters]
        test = result["fullName"].rpartition("#")[2]
        outcomes[f"{test}[{'-'.join(values)}]" if values else test] = result["status"]
    return outcomes
