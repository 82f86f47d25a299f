"""Backends that do their work wrong on purpose: each would make a fleet look safe that is not."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redrill.drill.vanilla import FENCE
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import ImageFacts, Location
from redrill.provisioners.nspawn import NspawnProvisioner
from redrill.provisioners.nspawn_tree import remove_tree, unmount
from redrill.provisioners.tree import TreeProvisioner
from redrill.repositories.protocol import Snapshot
from redrill.repositories.tar import TarRepository


class KeepsOptProvisioner(NspawnProvisioner):
    """Rebuilds everything but carries /opt over, as if it were a disk of its own."""

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        with tempfile.TemporaryDirectory() as kept:
            subprocess.run(["cp", "-a", f"{self.place.merged}/opt/.", kept], check=True)
            root = super().redeploy_stopped(deadline)
            subprocess.run(["cp", "-a", f"{kept}/.", root / "opt"], check=True)
        return root


class OnlyRebootsProvisioner(NspawnProvisioner):
    """Says that it has rebuilt the endpoint but only stops and starts it."""

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        self._container.kill(deadline)
        return self.place.merged


class SweepsOnlyProvisioner(NspawnProvisioner):
    """Puts every file of the image in place again, but in the old file system."""

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        self._container.kill(deadline)
        unmount(self.place.merged)
        for child in self._tree._upper.iterdir():
            remove_tree(child)
        self._tree.mount(self.build_image().root)
        return self.place.merged


class DestroysNothingProvisioner(NspawnProvisioner):
    """Reports success although the old system runs on, untouched."""

    def redeploy_stopped(self, _deadline: Deadline) -> Path:
        decoy = self.place.directory / "decoy"
        shutil.rmtree(decoy, ignore_errors=True)
        for path in ("home", "etc", "var"):
            (decoy / path).mkdir(parents=True)
        return decoy

    def clear(self, _paths: object) -> None:
        pass

    def boot(self, _deadline: Deadline) -> Location:
        return self._location()


class OtherImageProvisioner(NspawnProvisioner):
    """Deploys whatever the registry calls 'latest' by now: another image than the one that was planned."""

    _is_deployed = False

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        root = super().redeploy_stopped(deadline)
        self._is_deployed = True
        return root

    def describe_image(self) -> ImageFacts:
        image = super().describe_image()
        return image.model_copy(update={"digest": "sha256:" + "0" * 64}) if self._is_deployed else image


class RebuiltImageProvisioner(NspawnProvisioner):
    """Deploys an image that was built anew under the same name, version and digest, with another file in /usr."""

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        root = super().redeploy_stopped(deadline)
        with (root / "usr/lib/systemd/system/ssh.service").open("a") as unit:
            unit.write("# built again\n")
        return root


class SameBootProvisioner(TreeProvisioner):
    """Replaces the files of a running system; nothing is booted."""

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        self._old = (self._root / "run/boot-id").read_text()
        return super().redeploy_stopped(deadline)

    def boot(self, deadline: Deadline) -> Location:
        location = super().boot(deadline)
        for name in ("boot-id", "app.started"):
            (self._root / "run" / name).write_text(self._old)
        return location


class KeepsOptOfTheOldProvisioner(TreeProvisioner):
    """Carries /opt over to the system that gets nothing back."""

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        with tempfile.TemporaryDirectory() as kept:
            subprocess.run(["cp", "-a", f"{self._root}/opt/.", kept], check=True)
            root = super().redeploy_stopped(deadline)
            if self._run and self._run.endswith(FENCE):
                subprocess.run(["cp", "-a", f"{kept}/.", root / "opt"], check=True)
        return root


class OnlyStartsProvisioner(TreeProvisioner):
    """Starts the old system again where one was to be made that gets nothing back."""

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        if self._run and self._run.endswith(FENCE):
            return self._root
        return super().redeploy_stopped(deadline)


class SpoilingRepository(TarRepository):
    """Restores what was backed up, then spoils it: between the restore and the comparison something goes on."""

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        super().__init__(fleet, endpoint)
        self._root = NspawnProvisioner(fleet, endpoint).place.merged

    @contextmanager
    def open(self, snapshot: Snapshot, deadline: Deadline) -> Iterator[Iterator[bytes]]:
        with super().open(snapshot, deadline) as chunks:
            yield chunks
        self.spoil(self._root)

    def spoil(self, root: Path) -> None:
        """Change the root that was just restored."""
        raise NotImplementedError


class LosesFileRepository(SpoilingRepository):
    """Loses one file, and its directory does not show it."""

    def spoil(self, root: Path) -> None:
        file = root / "home/alice/photo.raw"
        times = file.parent.stat()
        file.unlink()
        os.utime(file.parent, ns=(times.st_atime_ns, times.st_mtime_ns))


class LosesAttributeRepository(SpoilingRepository):
    """Restores every file but not its extended attributes."""

    def spoil(self, root: Path) -> None:
        os.removexattr(root / "home/alice/photo.raw", "user.origin")


class LosesModeRepository(SpoilingRepository):
    """Restores a file so that everybody can write it."""

    def spoil(self, root: Path) -> None:
        (root / "etc/postgresql/15/main/pg_hba.conf").chmod(0o666)


PROVISIONERS = {
    "keeps-opt": KeepsOptProvisioner,
    "only-reboots": OnlyRebootsProvisioner,
    "sweeps-only": SweepsOnlyProvisioner,
    "destroys-nothing": DestroysNothingProvisioner,
    "other-image": OtherImageProvisioner,
    "rebuilt-image": RebuiltImageProvisioner,
    "same-boot": SameBootProvisioner,
    "keeps-opt-of-the-old": KeepsOptOfTheOldProvisioner,
    "only-starts": OnlyStartsProvisioner,
}
REPOSITORIES = {
    "loses-file": LosesFileRepository,
    "loses-attribute": LosesAttributeRepository,
    "loses-mode": LosesModeRepository,
}


def install(folder: Path) -> None:
    """Make the backends known to every Python that has ``folder`` on its path, as an installed package would."""
    info = folder / "faulty_backends-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: faulty-backends\nVersion: 1\n")
    lines = ["[redrill.provisioners]", *map(_entry, PROVISIONERS.items())]
    lines += ["[redrill.repositories]", *map(_entry, REPOSITORIES.items())]
    (info / "entry_points.txt").write_text("\n".join(lines) + "\n")


def _entry(item: tuple[str, type]) -> str:
    return f"{item[0]} = {__name__}:{item[1].__name__}"
