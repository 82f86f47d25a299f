"""A fleet of directories whose boots are counted by the endpoints themselves, in a file outside of them."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from redrill.drill.journal import read_journal
from redrill.machine.walker import walk
from redrill.model.manifest import Manifest
from selftests.support.drills import Drilled, run_redrill
from selftests.support.trees import root_of, tree_fleet

ENDPOINTS = ("oak-1", "elm-1", "ash-1")
SUITES = ("--pyargs", "redrill_suites")


@dataclass(frozen=True, slots=True)
class Orchard:
    """``oak-1`` and ``ash-1`` (tag 'small') have the role 'app', ``elm-1`` the role 'bare' without applications."""

    folder: Path

    @property
    def fleet(self) -> Path:
        """The fleet file."""
        return self.folder / "tree.yml"

    @property
    def boots(self) -> Counter[str]:
        """How often each endpoint has booted since it was planted."""
        file = self.folder / "boots"
        return Counter(file.read_text().split() if file.exists() else ())

    def root(self, endpoint: str) -> Path:
        """The directory that an endpoint is."""
        return root_of(self.folder, endpoint)

    def manifest(self) -> Manifest:
        """Everything that the endpoints, their backups and their log sink are made of."""
        return walk(self.folder / "lab", ("/",))

    def edit(self, old: str, new: str) -> None:
        """Change the fleet file."""
        text = self.fleet.read_text()
        assert old in text
        self.fleet.write_text(text.replace(old, new))

    def drill(self, reports: Path, *arguments: str) -> Drilled:
        """Run the suites in mode replace."""
        return run_redrill(self.fleet, reports, "--redrill-mode=replace", *arguments)


def plant_orchard(folder: Path) -> Orchard:
    """Bring up a fleet of three directories in ``folder``; a start script in their /etc counts the boots."""
    tree_fleet(folder)
    orchard = Orchard(folder)
    orchard.edit("elm-1: {role: app", "elm-1: {role: bare")
    orchard.edit("roles:\n", "roles:\n  bare: {}\n")
    for endpoint in ENDPOINTS:
        script = orchard.root(endpoint) / "etc/rc.start/60-count"
        script.write_text(f"echo {endpoint} >> '{folder}/boots'\n")
    return orchard


def redeploys(run: Drilled) -> Counter[str]:
    """How often the journal of a run says that an endpoint was going to be redeployed."""
    assert run.folder
    journal = run.folder / "journal.jsonl"
    events = read_journal(journal) if journal.exists() else []
    return Counter(e["endpoint"] for e in events if (e["event"], e.get("step")) == ("intent", "redeploy"))
