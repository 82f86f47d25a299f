"""Endpoints that are real systemd containers over a golden image, on a bridge of their own."""

import ipaddress
from collections.abc import Callable, Sequence
from pathlib import Path

from redrill.errors import FleetError, ProvisionError
from redrill.model.backend_settings import checked_settings
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet, Name
from redrill.model.manifest import Manifest
from redrill.model.record import ImageFacts, Location
from redrill.model.values import Value
from redrill.provisioners import images
from redrill.provisioners.nspawn_container import Container
from redrill.provisioners.nspawn_network import Subnet, ensure_bridge
from redrill.provisioners.nspawn_place import EndpointPlace, LabPlace
from redrill.provisioners.nspawn_tree import OWN_FILES, Identity, Tree, read_host_keys, remove_tree

SSH_PORT = 22

POWER_OFF_SECONDS = 20.0
"""How long a container may take to end its services."""


class Settings(Value):
    """What the fleet file may say to the provisioner ``nspawn``; ``lab`` is the fleet's name when it is not given."""

    lab: Name | None = None


class NspawnProvisioner:
    """Rebuilds an endpoint as a container over its golden image; can be written to before its first boot."""

    Settings = Settings

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        self._fleet = fleet
        self.endpoint = endpoint
        self._definition = _definition_of(fleet, endpoint)
        self._subnet = _subnet_of(endpoint)
        self.place: EndpointPlace = _lab_of(fleet, endpoint).endpoint(endpoint.name)
        self._container = Container(self.place)
        self._tree = Tree(self.place)
        self._run: str | None = None
        self._heard: Callable[[str], None] = lambda _part: None

    def locate(self) -> Location | None:
        """Return where the endpoint answers, with the host keys in its root file system; None when it does not run."""
        if not self._container.is_running or not self._tree.is_mounted:
            return None
        return self._location()

    def made_it(self) -> bool:
        """Whether the container runs here on the overlay that this provisioner has mounted for it."""
        return self._container.is_running and self._tree.is_mounted

    def resource_id(self) -> str:
        """Return the name of the container, which is made of those of its lab and endpoint."""
        return f"nspawn:{self.place.machine}"

    def room(self) -> Path:
        """Return the folder of the endpoint, which holds the upper layer of its root, or the nearest one above it."""
        return next(folder for folder in (self.place.directory, *self.place.directory.parents) if folder.is_dir())

    def describe_image(self) -> ImageFacts:
        """Return the image that a redeploy would use; it is built when it is not in the cache."""
        image = self.build_image()
        return ImageFacts(name=image.name, version=image.version, digest=image.digest)

    def read_image_manifest(self) -> Manifest:
        """Return what the golden image holds."""
        return _read_manifest(self.build_image().manifest)

    def image_root(self) -> Path:
        """Return the root of the golden image in the cache."""
        return self.build_image().root

    def read_running_digest(self) -> str | None:
        """Return the digest of the image below its overlay; None when there is none, or it left the cache."""
        running = self._running_image()
        return running.digest if running else None

    def read_running_manifest(self) -> Manifest | None:
        """Return what that image holds; None as above."""
        running = self._running_image()
        try:
            return _read_manifest(running.manifest) if running else None
        except (OSError, ValueError):  # of an image that is gone, or written by another release of redrill
            return None

    def _running_image(self) -> images.BuiltImage | None:
        golden = self._tree.golden
        try:
            return images.read(golden.parent) if golden else None
        except (OSError, ValueError, TypeError):  # as above
            return None

    def build_image(self, report: Callable[[str], None] | None = None) -> images.BuiltImage:
        """Return the golden image of the endpoint, built first when the cache has none of this definition."""
        return images.ensure(self._definition, report)

    def redeploy(self, deadline: Deadline) -> Location:
        """Destroy the container with its file system, and boot a fresh one."""
        self.redeploy_stopped(deadline)
        return self.boot(deadline)

    def fence(self, run: str) -> None:
        """Rebuild for this run from now on."""
        self._run = run

    def tell(self, heard: Callable[[str], None]) -> None:
        """Say when the container is destroyed, and when its fresh file system is there."""
        self._heard = heard

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        """Destroy the container with its file system; return the directory that is the root of the fresh one."""
        if self._run and self._tree.rebuilt_for() == self._run:
            if not self._tree.is_mounted:
                self._tree.mount(self.build_image().root)
            return self.place.merged
        image = self.build_image()
        identity = Identity(self.endpoint.name, self._subnet.interface(self._address), self._public_key())
        self._container.kill(deadline)
        self._tree.remove()
        self._heard("wipe")
        root = self._tree.create(image.root, identity)
        if self._run:
            self._tree.mark(self._run)
        self._heard("deploy")
        return root

    def clear(self, paths: Sequence[str]) -> None:
        """Empty directories of the fresh root, at the price of one mount."""
        self._tree.clear(self.build_image().root, paths)

    def boot(self, deadline: Deadline) -> Location:
        """Start the container and wait until its SSH server answers."""
        if not self._tree.is_mounted:
            raise ProvisionError(f"The endpoint '{self.endpoint.name}' has no root file system; redeploy it first.")
        ensure_bridge(self.place.lab.bridge, self._subnet)
        if not self._container.is_running:
            self._container.start(self.endpoint.name)
        self._container.wait_for_ssh(self._address, SSH_PORT, deadline)
        self._tree.sweep()
        return self._location()

    def stop(self, deadline: Deadline) -> None:
        """Power the container off; one that takes too long over it is ended at once."""
        self._container.power_off(deadline.within(POWER_OFF_SECONDS))
        self._container.kill(deadline)

    def start(self, deadline: Deadline) -> Location:
        """Boot the container that was stopped, over the file system that it had."""
        return self.boot(deadline)

    def remove(self, deadline: Deadline) -> None:
        """Remove the container, its file system and everything else that was made for it."""
        self._container.kill(deadline)
        self._tree.remove()
        self._container.forget(deadline)
        remove_tree(self.place.directory)

    def destination(self) -> Location:
        """Return where the container answers once it is there; FleetError when its network is that of another lab."""
        for other in self._fleet.endpoints:
            if other.provisioner is None or other.provisioner.kind != "nspawn":
                continue
            lab = _lab_of(self._fleet, other)
            if lab != self.place.lab and _subnet_of(other) == self._subnet:
                raise FleetError(
                    f"the network {self._subnet.network} is that of '{other.name}' in the lab '{lab.name}', and each "
                    f"lab has networks of its own; give '{self.endpoint.name}' an address in another one."
                )
        return Location(address=self._address, port=SSH_PORT)

    def own_files(self) -> tuple[str, ...]:
        """Return where the name, the address and the key of a fresh file system are."""
        return OWN_FILES

    @property
    def is_stopped(self) -> bool:
        """Whether the endpoint has its file system but does not run, so that ``boot`` would bring it back."""
        return self._tree.is_mounted and not self._container.is_running

    @property
    def is_of_a_drill(self) -> bool:
        """Whether a drill has made the file system that the endpoint has."""
        return self._tree.rebuilt_for() is not None

    @property
    def _address(self) -> str:
        return str(self.endpoint.address)

    def _location(self) -> Location:
        return Location(address=self._address, port=SSH_PORT, host_keys=read_host_keys(self.place.merged))

    def _public_key(self) -> str:
        key = self.endpoint.ssh.key
        if key is None:
            raise FleetError(f"endpoints.{self.endpoint.name}.ssh.key: the provisioner 'nspawn' needs an SSH key")
        public = key.with_name(f"{key.name}.pub")
        try:
            return public.read_text()
        except OSError as error:
            raise ProvisionError(
                f"The SSH key '{public}' cannot be read ({error.strerror}); run `redrill lab up`."
            ) from error


def _lab_of(fleet: Fleet, endpoint: Endpoint) -> LabPlace:
    return LabPlace(checked_settings(Settings, endpoint, "provisioner").lab or fleet.name)


def _definition_of(fleet: Fleet, endpoint: Endpoint) -> Path:
    if endpoint.image is None or endpoint.image.definition is None:
        where = f"endpoints.{endpoint.name}.image.definition"
        raise FleetError(f"{where}: the provisioner 'nspawn' needs the folder that defines the golden image")
    return (fleet.source.parent / endpoint.image.definition).resolve()


def _subnet_of(endpoint: Endpoint) -> Subnet:
    try:
        return Subnet.around(ipaddress.IPv4Address(endpoint.address or ""))
    except ValueError:
        where = f"endpoints.{endpoint.name}.address"
        raise FleetError(f"{where}: the provisioner 'nspawn' needs an IPv4 address, not {endpoint.address!r}") from None


def _read_manifest(path: Path) -> Manifest:
    with path.open(encoding="utf-8") as lines:
        return Manifest.parse(lines)
