"""Endpoints that are directories: a real, small world without root, on which every part of a drill works."""

import os
import secrets
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from redrill.errors import FleetError, ProvisionError
from redrill.machine.flags import unlock_tree
from redrill.machine.walker import walk
from redrill.model.backend_settings import checked_settings
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.manifest import Manifest
from redrill.model.record import ImageFacts, Location
from redrill.model.values import STATE_PATHS, Value
from redrill.provisioners.digest import manifest_digest

_MADE = "made-by-redrill"
"""The file beside an endpoint's root that says who copied it there."""


_IMAGE = "image.jsonl"
"""The file beside an endpoint's root that says what the image held that it was copied from."""


class TreeProvisioner:
    """Rebuilds a directory from an image directory; 'booting' gives it a new boot id and runs its start script.

    The endpoint stands in ``directory``/<endpoint>/root; ``image`` is the folder it is copied from. The copy is
    exact where root runs redrill; else it belongs to whoever does.
    """

    class Settings(Value):
        """Where the endpoints stand and what they are copied from."""

        directory: Path
        image: Path

    def __init__(self, fleet: Fleet, endpoint: Endpoint) -> None:
        self._settings = checked_settings(self.Settings, endpoint, "provisioner")
        if endpoint.image is None:
            raise FleetError(f"{fleet.source}: endpoint '{endpoint.name}' needs 'image:' with its name and version.")
        self._image = endpoint.image
        self._name = endpoint.name
        self._home = self._settings.directory / endpoint.name
        self._root = self._home / "root"
        self._token = self._home / "rebuilt-for"
        self._run: str | None = None
        self._heard: Callable[[str], None] = lambda _part: None

    def locate(self) -> Location | None:
        """Return the directory, or None when it was never deployed."""
        return Location(root=self._root) if (self._root / "run/boot-id").exists() else None

    def made_it(self) -> bool:
        """Whether the directory is one that this provisioner has copied, and no link to another."""
        return (self._home / _MADE).exists() and self._root.is_dir() and not self._root.is_symlink()

    def resource_id(self) -> str:
        """Return the path of the directory with its links resolved: what would be replaced."""
        return f"tree:{self._root.resolve()}"

    def room(self) -> Path:
        """Return the folder of the endpoint, in which its root is, or the nearest one in which it will be made."""
        return next(folder for folder in (self._home, *self._home.parents) if folder.is_dir())

    def describe_image(self) -> ImageFacts:
        """Return the wanted image with the digest of what stands in the image folder now."""
        digest = manifest_digest(self.read_image_manifest())
        return ImageFacts(name=self._image.name, version=self._image.version, digest=digest)

    def read_image_manifest(self) -> Manifest:
        """Return what the image folder holds; ProvisionError when there is no such folder."""
        if not self._settings.image.is_dir():
            raise ProvisionError(f"The image '{self._settings.image}' of endpoint '{self._name}' is no folder.")
        return walk(self._settings.image, ("/",))

    def image_root(self) -> Path:
        """Return the image folder."""
        return self._settings.image

    def read_running_digest(self) -> str | None:
        """Return the digest of what the image folder held when the directory was copied from it."""
        manifest = self.read_running_manifest()
        return manifest_digest(manifest) if manifest else None

    def read_running_manifest(self) -> Manifest | None:
        """Return what the image folder held when the directory was copied from it."""
        try:
            with (self._home / _IMAGE).open(encoding="utf-8") as lines:
                return Manifest.parse(lines)
        except (OSError, ValueError):  # of one that an older release of redrill has made
            return None

    def redeploy(self, deadline: Deadline) -> Location:
        """Replace the directory by a fresh copy of the image and boot it."""
        self.redeploy_stopped(deadline)
        return self.boot(deadline)

    def fence(self, run: str) -> None:
        """Rebuild for this run from now on."""
        self._run = run

    def tell(self, heard: Callable[[str], None]) -> None:
        """Say when the directory is moved away, and when the copy of the image is there."""
        self._heard = heard

    def redeploy_stopped(self, _deadline: Deadline) -> Path:
        """Replace the directory by a fresh copy of the image; it has no boot id yet."""
        if self._run and self._token.exists() and self._token.read_text(encoding="utf-8") == self._run:
            return self._root
        self._token.unlink(missing_ok=True)
        _refuse_ways_out(self._settings.image)
        image = "".join(f"{line}\n" for line in self.read_image_manifest().dump())
        self._home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if self._root.exists():
            self._root.rename(self._home / f"old-{secrets.token_hex(4)}")
        self._heard("wipe")
        (self._home / _MADE).touch(mode=0o600)
        self._copy_image()
        self._write_name()
        (self._home / _IMAGE).write_text(image, encoding="utf-8")
        for old in self._home.glob("old-*"):  # also what a wipe that failed half-way left
            _remove(old)
        if self._run:
            self._token.write_text(self._run, encoding="utf-8")
        self._heard("deploy")
        return self._root

    def _copy_image(self) -> None:
        source = f"{self._settings.image}/."
        copy = subprocess.run(["cp", "-a", "--", source, self._root], capture_output=True, check=False)
        if copy.returncode != 0:
            words = copy.stderr.decode("utf-8", "replace").strip()
            raise ProvisionError(f"Endpoint '{self._name}' could not be copied from its image: {words}")

    def _write_name(self) -> None:
        """Call the fresh copy by the name of the endpoint, where the image has a place for one."""
        file = self._root / "etc/hostname"
        if _is_plain(file):
            file.write_text(f"{self._name}\n", encoding="utf-8")

    def _make_machine_id(self) -> None:
        """Give a directory that was never booted an id, as systemd does at the first boot (machine-id(5))."""
        file = self._root / "etc/machine-id"
        if _is_plain(file) and not set(file.read_bytes().strip()) - set(b"0"):
            file.write_text(f"{secrets.token_hex(16)}\n", encoding="ascii")

    def clear(self, paths: Sequence[str]) -> None:
        """Empty directories of the fresh copy."""
        for path in paths:
            folder = self._root / path.strip("/")
            for child in folder.iterdir():
                _remove(child)
            if left := [child.name for child in folder.iterdir()]:
                raise ProvisionError(f"Endpoint '{self._name}' could not be cleared: {left[0]!r} in '{folder}' stays.")

    def boot(self, deadline: Deadline) -> Location:
        """Give the directory a new boot id and run its ``/etc/rc.start`` scripts, as a system would at its start."""
        _refuse_ways_out(self._root)
        self._make_machine_id()
        run = self._root / "run"
        run.mkdir(exist_ok=True)
        (run / "boot-id").write_text(f"{secrets.token_hex(16)}\n", encoding="ascii")
        for script in sorted((self._root / "etc/rc.start").glob("*")):
            self._start(script, deadline)
        return Location(root=self._root)

    def _start(self, script: Path, deadline: Deadline) -> None:
        environment = {"PATH": os.defpath, "LC_ALL": "C", "ROOT": str(self._root)}
        try:
            subprocess.run(
                ["/bin/sh", script],
                cwd=self._root,
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=deadline.remaining,
                check=True,
            )
        except (subprocess.SubprocessError, OSError) as error:
            raise ProvisionError(f"Endpoint '{self._name}' did not boot: {script.name}: {error}.") from error

    def stop(self, _deadline: Deadline) -> None:
        """Empty the directory's ``/run``, as a power-off would: nothing is known of this boot any more."""
        _refuse_ways_out(self._root)
        for child in (self._root / "run").glob("*"):
            _remove(child)

    def start(self, deadline: Deadline) -> Location:
        """Boot the directory again, unless it has a boot id."""
        return self.locate() or self.boot(deadline)

    def remove(self, _deadline: Deadline | None = None) -> None:
        """Remove all that was made of the endpoint; what else is in its folder is the owner's."""
        if (self._home / _MADE).exists():
            for path in (self._root, self._token, self._home / _IMAGE, *self._home.glob("old-*"), self._home / _MADE):
                _remove(path)
        with suppress(OSError):
            self._home.rmdir()

    def destination(self) -> Location:
        """Return the directory, whether it is there or not."""
        return Location(root=self._root)

    def own_files(self) -> tuple[str, ...]:
        """Return where the name and the id of a fresh copy are."""
        return ("/etc/hostname", "/etc/machine-id")


def _refuse_ways_out(root: Path) -> None:
    """Raise ProvisionError when a folder that is emptied or written is a link that leads out of the directory."""
    for name in (*STATE_PATHS, "/run"):
        folder = root / name.strip("/")
        if not folder.resolve().is_relative_to(root.resolve()):
            raise ProvisionError(
                f"'{folder}' is a link to '{folder.readlink()}', out of '{root}', so redrill would change another "
                "system. Make it a folder, or a link that is relative and stays inside."
            )


def _is_plain(file: Path) -> bool:
    """Whether it is a file that no link leads to: one could lead out of the directory."""
    return file.is_file() and not file.is_symlink() and not file.parent.is_symlink()


def _remove(path: Path) -> None:
    """Remove a file or a tree, also one with files that were restored as immutable; what cannot go stays."""
    for _ in range(2):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink(missing_ok=True)
        if not os.path.lexists(path):
            return
        unlock_tree(os.fsencode(path.parent))
