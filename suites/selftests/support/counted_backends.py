"""Provisioners that write down each time that they are told to destroy, so that a test can say that none ever was."""

from pathlib import Path
from typing import NoReturn

from redrill.errors import ProvisionError
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest
from redrill.model.record import ImageFacts, Location
from redrill.model.values import Value
from redrill.provisioners.tree import TreeProvisioner

COUNT = "destroyed"
"""The file beside the fleet file with a line for each time."""


class CountedTreeProvisioner(TreeProvisioner):
    """Rebuilds a directory, and counts it."""

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        super().__init__(fleet, endpoint)
        self._count = fleet.source.parent / COUNT

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        with self._count.open("a") as count:
            count.write(f"{self.room().name}\n")
        return super().redeploy_stopped(deadline)


class CountedHostProvisioner:
    """Says that the SSH server that the fleet file names is its own; pins nothing of it and never rebuilds it."""

    class Settings(Value):
        """Nothing can be said to it."""

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._count = fleet.source.parent / COUNT

    def locate(self) -> Location:
        ssh = self._endpoint.ssh
        return Location(address=self._endpoint.address, port=ssh.port, host_keys=ssh.host_keys)

    def made_it(self) -> bool:
        return True

    def describe_image(self) -> ImageFacts:
        return ImageFacts(name="none", version="1", digest=f"sha256:{'0' * 64}")

    def read_image_manifest(self) -> Manifest:
        return Manifest({})

    def redeploy(self, _deadline: Deadline) -> NoReturn:
        with self._count.open("a") as count:
            count.write(f"{self._endpoint.name}\n")
        raise ProvisionError("Nothing was destroyed but a drill that should have been refused.")


PROVISIONERS = {"counted-tree": CountedTreeProvisioner, "counted-host": CountedHostProvisioner}


def install(folder: Path) -> None:
    """Make the backends known to every Python that has ``folder`` on its path, as an installed package would."""
    info = folder / "counted_backends-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: counted-backends\nVersion: 1\n")
    lines = [f"{kind} = {__name__}:{backend.__name__}" for kind, backend in PROVISIONERS.items()]
    (info / "entry_points.txt").write_text("\n".join(["[redrill.provisioners]", *lines]) + "\n")
