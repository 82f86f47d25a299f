"""Labs whose endpoints are restored live."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from redrill.loader import load_fleet
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import connect, lab_fleet, standing

Settings = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class LiveLab:
    """A lab of which every endpoint says 'restore: live'."""

    file: Path

    @property
    def fleet(self) -> Fleet:
        """The lab as a fleet."""
        return load_fleet(self.file)

    def drill(self, name: str, endpoints: Settings, *arguments: str) -> Drilled:
        """Drill these endpoints, with what each of them says otherwise in the fleet file."""
        document = yaml.safe_load(self.file.read_text())
        for endpoint, more in endpoints.items():
            document["endpoints"][endpoint] |= more
        file = self.file.with_name(f"{name}.yml")
        file.write_text(json.dumps(document, indent=1))
        chosen = (f"--redrill-endpoint={endpoint}" for endpoint in endpoints)
        return run_redrill(file, self.file.with_name(name), "--redrill-mode=replace", *chosen, *arguments)

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


@contextmanager
def live_lab(folder: Path, name: str, subnet: str, endpoints: Settings | None = None) -> Iterator[LiveLab]:
    """Bring up the sample fleet, restored live; with ``endpoints`` in the place of its own."""
    file = lab_fleet(folder, name, subnet)
    document = yaml.safe_load(file.read_text())
    document["defaults"]["restore"] = "live"
    if endpoints:
        addresses = (f"{subnet}.{number}" for number in range(11, 200))
        document["endpoints"] = {
            name: {"address": next(addresses), "neighbours": [], **more} for name, more in endpoints.items()
        }
    file.write_text(json.dumps(document, indent=1))
    lab = LiveLab(file)
    with standing(lab.fleet):
        yield lab
