"""A repository that keeps good backups, which something spoils before the wipe; and a provisioner that is watched."""

from contextlib import suppress
from pathlib import Path

from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest
from redrill.model.record import Location
from redrill.provisioners.tree import TreeProvisioner
from redrill.repositories.protocol import Snapshot
from redrill.repositories.snapshot_folder import read_marker
from redrill.repositories.tar import TarRepository
from selftests.support.bad_backups import BY_NAME


class DamagingRepository(TarRepository):
    """Spoils each backup of an endpoint whose name is in the catalogue, in the way that is filed there."""

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        super().__init__(fleet, endpoint)
        self._bad = BY_NAME.get(endpoint.name)

    def create(self, machine: Machine, run: str, deadline: Deadline) -> Snapshot:
        snapshot = super().create(machine, run, deadline)
        if self._bad is None or self._bad.is_late:
            return snapshot
        self._spoil(snapshot)
        return read_marker(self._folders[0] / snapshot.id).snapshot if self._bad.is_forged else snapshot

    def verify(self, snapshot: Snapshot, deadline: Deadline) -> Manifest:
        manifest = super().verify(snapshot, deadline)
        if self._bad is not None and self._bad.is_late:
            self._spoil(snapshot)
        return manifest

    def _spoil(self, snapshot: Snapshot) -> None:
        assert self._bad
        with suppress(FileNotFoundError):  # an earlier drill has taken it away for good
            self._bad.spoil(self._folders[0] / snapshot.id)


class WatchedProvisioner(TreeProvisioner):
    """Writes down each call of what destroys, before it does anything."""

    def redeploy(self, deadline: Deadline) -> Location:
        self._note("redeploy")
        return super().redeploy(deadline)

    def fence(self, run: str) -> None:
        self._note("fence")
        super().fence(run)

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        self._note("redeploy_stopped")
        return super().redeploy_stopped(deadline)

    def boot(self, deadline: Deadline) -> Location:
        self._note("boot")
        return super().boot(deadline)

    def _note(self, call: str) -> None:
        with (self._settings.directory / "calls").open("a") as file:
            file.write(f"{self._name} {call}\n")


def install(folder: Path) -> None:
    """Make the backends known to every Python that has ``folder`` on its path, as an installed package would."""
    info = folder / "damaging_backend-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: damaging-backend\nVersion: 1\n")
    backends = {"repositories": ("damaging", DamagingRepository), "provisioners": ("watched", WatchedProvisioner)}
    (info / "entry_points.txt").write_text(
        "".join(f"[redrill.{group}]\n{kind} = {__name__}:{made.__name__}\n" for group, (kind, made) in backends.items())
    )
