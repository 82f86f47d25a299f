"""What a provisioner can do: destroy and rebuild one endpoint, and say how to reach it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest
from redrill.model.record import ImageFacts, Location


class Provisioner(Protocol):
    """Destroys and rebuilds one endpoint. Raises ProvisionError; FleetError when its settings are wrong.

    Made as ``Backend(fleet, endpoint)``; the class attribute ``Settings`` is the pydantic model of what the fleet
    file may say to it.
    """

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None: ...

    def locate(self) -> Location | None:
        """Return where the endpoint is now with the host keys learnt out of band; None when it does not exist."""

    def describe_image(self) -> ImageFacts:
        """Return the image that a redeploy would use now."""

    def read_image_manifest(self) -> Manifest:
        """Return what the image holds, in the state paths and outside them."""

    def redeploy(self, deadline: Deadline) -> Location:
        """Destroy the endpoint, rebuild it from the image and boot it; return where it answers."""


@runtime_checkable
class Maker(Protocol):
    """An optional ability: knowing what redrill itself has made, which is the owner's to throw away."""

    def made_it(self) -> bool:
        """Whether the endpoint, as it is now, was made by this provisioner on this controller; never guessed."""


@runtime_checkable
class Identified(Protocol):
    """An optional ability: naming the one resource that a redeploy would destroy."""

    def resource_id(self) -> str:
        """Return the id of that resource, which no other endpoint can have."""


@runtime_checkable
class Fenced(Protocol):
    """An optional ability: an endpoint is destroyed at most once for a run, also when the run is resumed."""

    def fence(self, run: str) -> None:
        """Rebuild for this run from now on: a redeploy that finds a root made whole for it destroys nothing."""


@runtime_checkable
class Roomy(Protocol):
    """An optional ability beside OfflineRestore: knowing where the fresh root will be, before it is there."""

    def room(self) -> Path:
        """Return an existing directory, writable and not part of the endpoint, on the file system of a fresh root."""


@runtime_checkable
class Unpacked(Protocol):
    """An optional ability: having the wanted image as a directory on this controller."""

    def image_root(self) -> Path:
        """Return the directory that is the image; nobody writes to it."""


@runtime_checkable
class Lineage(Protocol):
    """An optional ability: knowing what the image held that the endpoint runs now, which may be an older one."""

    def read_running_digest(self) -> str | None:
        """Return the digest of that image as ``describe_image`` tells one; None when it is no longer known."""

    def read_running_manifest(self) -> Manifest | None:
        """Return what that image holds; None when it is no longer known."""


@runtime_checkable
class Stoppable(Protocol):
    """An optional ability: an endpoint can be stopped without losing anything, and started again."""

    def stop(self, deadline: Deadline) -> None:
        """Stop the endpoint at once; one that does not run is no error."""

    def start(self, deadline: Deadline) -> Location:
        """Start what was stopped, unless it runs; return where it answers."""


@runtime_checkable
class Removable(Protocol):
    """An optional ability: an endpoint can be destroyed without being rebuilt."""

    def remove(self, deadline: Deadline) -> None:
        """Remove the endpoint with everything that was made for it; one that is not there is no error."""


@runtime_checkable
class Destined(Protocol):
    """An optional ability: knowing where an endpoint without an address will be, before it is there."""

    def destination(self) -> Location:
        """Return where it will be."""


@runtime_checkable
class Configurer(Protocol):
    """An optional ability: naming the files that it writes so that a fresh endpoint is a host of its own."""

    def own_files(self) -> tuple[str, ...]:
        """Return the files of the state paths that hold its name, addresses and keys, and nothing of the owner's."""


@runtime_checkable
class Telling(Protocol):
    """An optional ability: saying how far a redeploy has got, so that its parts can be measured."""

    def tell(self, heard: Callable[[str], None]) -> None:
        """From now on call ``heard`` at the end of each part: with 'wipe' when the old system is gone, 'deploy' when
        the fresh file system is there.
        """


@runtime_checkable
class OfflineRestore(Protocol):
    """An optional ability: the fresh root can be written to before its first boot."""

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        """Destroy and rebuild without booting; return the directory that is the fresh root."""

    def clear(self, paths: Sequence[str]) -> None:
        """Empty these directories of the fresh root: what is restored into them then is all that they hold."""

    def boot(self, deadline: Deadline) -> Location:
        """Boot what ``redeploy_stopped`` left; return where it answers."""
