"""Labs whose endpoints are restored live, and drills of them in this process."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from redrill.drill.engine import run_drill
from redrill.loader import load_fleet
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.model.record import DrillRecord, Phase, Step
from redrill.model.values import Mode
from selftests.support.labs import connect, lab_fleet


@dataclass(frozen=True, slots=True)
class LiveLab:
    """A lab of which every endpoint says 'restore: live'."""

    folder: Path
    file: Path

    @property
    def fleet(self) -> Fleet:
        """The lab as a fleet."""
        return load_fleet(self.file)

    def derive(self, name: str, settings: Mapping[str, Mapping[str, Any]]) -> Path:
        """Write a copy of the fleet file in which endpoints say something else."""
        document = yaml.safe_load(self.file.read_text())
        for endpoint, more in settings.items():
            document["endpoints"][endpoint] |= more
        path = self.folder / f"{name}.yml"
        path.write_text(json.dumps(document, indent=1))
        return path

    def drill(self, name: str, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, DrillRecord]:
        """Drill the endpoints that ``settings`` names, in this process and without judging; return their records."""
        fleet = load_fleet(self.derive(name, settings))
        run_dir = self.folder / "runs" / name
        run_dir.mkdir(parents=True)
        endpoints = [fleet.endpoint(endpoint) for endpoint in settings]
        return {record.endpoint: record for record in run_drill(fleet, endpoints, Mode.REPLACE, run_dir, Silence())}

    def run(self, endpoint: str, command: str) -> str:
        """Run a command on an endpoint; it must succeed."""
        machine = self.connect(endpoint)
        try:
            return machine.run(command, Deadline.after(60)).checked().text
        finally:
            machine.close()

    def connect(self, endpoint: str) -> SshMachine:
        """Return a machine for an endpoint, pinned to the host keys in its root file system."""
        return connect(self.fleet, endpoint)


class Silence:
    """Hears of a drill and says nothing."""

    def phase_started(self, endpoint: str, step: Step) -> None:
        pass

    def phase_ended(self, endpoint: str, phase: Phase) -> None:
        pass

    def drill_ended(self, record: DrillRecord) -> None:
        pass


def live_lab(folder: Path, name: str, subnet: str, endpoints: Mapping[str, Mapping[str, Any]] | None = None) -> LiveLab:
    """Write the sample fleet as a lab that is restored live; with ``endpoints`` in the place of its own."""
    file = lab_fleet(folder, name, subnet)
    document = yaml.safe_load(file.read_text())
    document["defaults"]["restore"] = "live"
    if endpoints:
        own = {number: {"address": f"{subnet}.{number}"} for number in range(11, 11 + len(endpoints))}
        document["endpoints"] = {
            name: {**address, **more} for address, (name, more) in zip(own.values(), endpoints.items(), strict=True)
        }
    file.write_text(json.dumps(document, indent=1))
    return LiveLab(folder, file)
