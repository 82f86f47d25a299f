"""The lab that is measured on: the sample fleet under a name and a network of its own."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measure import Say

from redrill.lab import lab
from redrill.lab.day1 import wait_for_order
from redrill.loader import load_fleet
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.model.record import Location
from redrill.provisioners.nspawn import NspawnProvisioner

SAMPLE = Path(__file__).parents[2] / "fixtures/fleets/lab.yml"
DRILLED = ("web-1", "db-1", "kv-1")

_CHANGES = {
    "fleet: lab\n": "fleet: bench\n",
    "/labs/lab/": "/labs/bench/",
    "198.18.7.": "198.18.50.",
    "../images/": f"{SAMPLE.parents[1]}/images/",
    # To hold health is a wait that the fleet file asks for; it would make both sides look alike.
    "        units: [": "        hold: 1ms\n        units: [",
}


@dataclass(frozen=True, slots=True)
class BenchLab:
    """The lab while it is up; ``folder`` takes whatever the measurements write."""

    fleet: Fleet
    live_fleet: Fleet
    folder: Path
    rounds: int
    say: Say

    def location(self, name: str) -> Location:
        """Return where an endpoint answers now, with the host keys that it has now."""
        found = NspawnProvisioner(self.fleet, self.fleet.endpoint(name)).locate()
        if found is None:
            raise RuntimeError(f"The endpoint '{name}' does not run.")
        return found

    def wait_until_steady(self) -> None:
        """Return when every endpoint says that it runs, so that no side starts while another's boot goes on."""
        for name in DRILLED:
            wait_for_order(self.fleet.endpoint(name), self.location(name), Deadline.after(120))

    @contextmanager
    def machine(self, name: str) -> Iterator[SshMachine]:
        """Yield a live handle of an endpoint."""
        machine = SshMachine(name, self.fleet.endpoint(name).ssh, self.location(name))
        try:
            yield machine
        finally:
            machine.close()


@contextmanager
def bench_lab(folder: Path, rounds: int, say: Say) -> Iterator[BenchLab]:
    """Bring the lab up from nothing and take it down in the end, whatever happens in between."""
    fleet = load_fleet(_write_fleet(folder / "bench.yml", {}))
    live = load_fleet(_write_fleet(folder / "live.yml", {"defaults:\n": "defaults:\n  restore: live\n"}))
    lab.down(fleet, lambda _line: None)  # what a run that was killed has left
    try:
        lab.up(fleet, say)
        yield BenchLab(fleet, live, folder, rounds, say)
    finally:
        lab.down(fleet, say)


def _write_fleet(path: Path, changes: dict[str, str]) -> Path:
    text = SAMPLE.read_text(encoding="utf-8")
    for old, new in {**_CHANGES, **changes}.items():
        if old not in text:
            raise RuntimeError(f"The sample fleet '{SAMPLE}' no longer holds {old!r}; mend the benchmark.")
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    return path
