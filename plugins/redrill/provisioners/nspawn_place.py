"""Where everything of a lab lies and what it is called on the host; names of two labs never collide."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

LABS = Path("/var/lib/redrill/labs")


def _short(*words: str) -> str:
    return hashlib.sha256("/".join(words).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class LabPlace:
    """The directories, links and control groups of the lab called ``name``."""

    name: str

    @property
    def directory(self) -> Path:
        """Everything that the lab keeps on disk."""
        return LABS / self.name

    @property
    def state(self) -> Path:
        """What ``down`` must know of the lab; written before anything else is made."""
        return self.directory / "lab.json"

    @property
    def endpoints(self) -> Path:
        """One directory for each endpoint."""
        return self.directory / "endpoints"

    @property
    def trash(self) -> Path:
        """Old trees on their way out."""
        return self.directory / "trash"

    @property
    def bridge(self) -> str:
        """The bridge's interface name, at most 15 characters."""
        return f"rd-{_short(self.name)}"

    @property
    def group(self) -> str:
        """The control group, relative to the root of each hierarchy."""
        return f"redrill/{self.name}"

    def endpoint(self, name: str) -> "EndpointPlace":
        """Return the place of one endpoint."""
        return EndpointPlace(self, name)


@dataclass(frozen=True, slots=True)
class EndpointPlace:
    """The directories, link and control group of one endpoint of a lab."""

    lab: LabPlace
    name: str

    @property
    def directory(self) -> Path:
        """What outlives a redeploy."""
        return self.lab.endpoints / self.name

    @property
    def day1(self) -> Path:
        """The marker that says that the Day-1 script has run to its end."""
        return self.directory / "day1"

    @property
    def tree(self) -> Path:
        """What one deployment has: the overlay and the console's log."""
        return self.directory / "tree"

    @property
    def merged(self) -> Path:
        """The endpoint's root file system, mounted."""
        return self.tree / "merged"

    @property
    def console(self) -> Path:
        """What the container has written to its console."""
        return self.tree / "console.log"

    @property
    def machine(self) -> str:
        """The container's name; 9 characters, because its link ``vb-<machine>`` may have 15."""
        return f"r{_short(self.lab.name, self.name)}"

    @property
    def link(self) -> str:
        """The host's end of the container's virtual Ethernet pair."""
        return f"vb-{self.machine}"

    @property
    def group(self) -> str:
        """The control group, relative to the root of each hierarchy."""
        return f"{self.lab.group}/{self.name}"
