"""The root file system of a container: a fresh overlay over the golden image, with an identity of its own."""

import os
import subprocess
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

from redrill.errors import ProvisionError
from redrill.machine.flags import unlock_tree
from redrill.provisioners.nspawn_place import EndpointPlace

NETWORK = """\
[Match]
Name=host0

[Network]
Address={interface}
LinkLocalAddressing=no
IPv6AcceptRA=no
LLDP=no
"""

OWN_FILES = (
    *("/etc/hostname", "/etc/systemd/network/10-host0.network"),
    *("/etc/ssh/ssh_host_ed25519_key", "/etc/ssh/ssh_host_ed25519_key.pub"),
)
"""What of a file system is nobody else's; in /etc/hosts and among root's keys others have lines, too."""

OLD_TREES_KEPT = 6
"""Each is as large as what was restored; the lab removes them all when it is taken down."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What a fresh endpoint has in /etc: its host name, its address with prefix length, and root's public key."""

    hostname: str
    interface: str
    public_key: str


@dataclass(frozen=True, slots=True)
class Tree:
    """The tree of one endpoint on the host."""

    place: EndpointPlace

    @property
    def is_mounted(self) -> bool:
        """Whether the root file system is there."""
        return self.place.merged.is_mount()

    def create(self, golden: Path, identity: Identity) -> Path:
        """Mount a fresh overlay over ``golden``, write the identity into it, and return the root."""
        if set(str(golden)) & set(",:\\"):
            raise ProvisionError(
                f"The path '{golden}' has a character that overlayfs splits at; set REDRILL_CACHE anew."
            )
        self._make_folder()
        self.mount(golden)
        _write_identity(self.place.merged, identity)
        return self.place.merged

    def _make_folder(self) -> None:
        """Make the folder of the layers where the file system has most room.

        ext4 does not reuse an inode for half a minute after its removal, and looks at all of them again for each file
        that it makes in the same part of the disk: six times slower where an older tree was just removed. A folder
        with a new name below a 'top directory' (chattr(1)) starts in a part of its own; elsewhere that does nothing.
        """
        home = self.place.directory
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run(["chattr", "+T", str(home)], capture_output=True, check=False)
        folder = home / f"tree-{uuid.uuid4().hex[:8]}"
        for path in (folder, folder / "upper", folder / "merged"):
            path.mkdir()
        folder.rename(self.place.tree)

    def clear(self, golden: Path, paths: Sequence[str]) -> None:
        """Empty directories of a tree that nothing runs in.

        They are made opaque in the upper layer: removing what the lower one holds through the mount would leave a
        whiteout for every file, and each file that is restored would have to replace one.
        """
        unmount(self.place.merged)
        for path in paths:
            directory = self._upper / path.strip("/")
            attributes = (golden / path.strip("/")).stat()
            remove_tree(directory)
            directory.mkdir(parents=True)
            os.chown(directory, attributes.st_uid, attributes.st_gid)
            directory.chmod(attributes.st_mode & 0o7777)
            os.setxattr(directory, "trusted.overlay.opaque", b"y")
        self.mount(golden)

    @property
    def _upper(self) -> Path:
        return self.place.tree / "upper"

    @property
    def _work(self) -> Path:
        return self.place.tree / "work"

    def mount(self, golden: Path) -> None:
        """Mount the overlay, for the first time or again; nothing may run in it."""
        # A volatile mount marks its work directory so that it cannot be used twice by mistake.
        remove_tree(self._work)
        self._work.mkdir()
        layers = f"lowerdir={golden},upperdir={self._upper},workdir={self._work}"
        # 'volatile' drops the endpoint's fsync, which is right for a tree that no crash of the host shall outlive.
        call("mount", "-t", "overlay", "overlay", "-o", f"{layers},volatile", str(self.place.merged))

    @property
    def golden(self) -> Path | None:
        """The root of the image that is mounted below the tree; None when nothing is."""
        for line in Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
            words = line.split()
            if words[4] == str(self.place.merged):
                options = dict(option.partition("=")[::2] for option in words[-1].split(","))
                return Path(options["lowerdir"]) if "lowerdir" in options else None
        return None

    def mark(self, run: str) -> None:
        """Remember for which run the tree was made; the mark goes away with the tree."""
        (self.place.tree / "rebuilt-for").write_text(run)

    def rebuilt_for(self) -> str | None:
        """Return the run for which the tree was made whole."""
        mark = self.place.tree / "rebuilt-for"
        return mark.read_text() if mark.exists() else None

    def remove(self) -> None:
        """Unmount the tree and move it away at once; ``sweep`` removes its files."""
        unmount(self.place.merged)
        if not self.place.tree.exists():
            return
        trash = self.place.lab.trash
        trash.mkdir(parents=True, exist_ok=True)
        old = trash / f"{self.place.name}-{uuid.uuid4().hex[:8]}"
        self.place.tree.rename(old)

    def sweep(self) -> None:
        """Remove in the background the files of older trees of this endpoint, once there are many of them."""
        old = sorted(self.place.lab.trash.glob(f"{self.place.name}-*"))
        if len(old) > OLD_TREES_KEPT:
            Thread(target=_remove_trees, args=(old,), name=f"sweep-{self.place.name}").start()


def unmount(path: Path) -> None:
    """Unmount all that is mounted at ``path``; lazily, for a dying container may still hold it."""
    while path.is_mount():
        call("umount", "--lazy", str(path))


def remove_tree(path: Path, *, is_awaited: bool = True) -> None:
    """Remove a directory with all that is in it, but nothing that is mounted below it; slowly when nobody waits."""
    command = [*(() if is_awaited else ("nice",)), "rm", "-rf", "--one-file-system", str(path)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        unlock_tree(os.fsencode(path))
        subprocess.run(command, capture_output=True, check=False)


def _remove_trees(paths: Sequence[Path]) -> None:
    for path in paths:
        remove_tree(path, is_awaited=False)


def read_host_keys(root: Path) -> tuple[str, ...]:
    """Return the public host keys in a root file system as 'type key', read from the outside."""
    lines = [_read_plain(path) for path in sorted(root.glob("etc/ssh/ssh_host_*_key.pub"))]
    return tuple(" ".join(line.split()[:2]) for line in lines if line.startswith(("ssh-", "ecdsa-")))


def _read_plain(path: Path) -> str:
    # The endpoint owns this file system: a link in it must not lead to a file of the host.
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(handle, encoding="utf-8", errors="replace") as file:
        return file.read(16384)


def _write_identity(root: Path, identity: Identity) -> None:
    key = root / "etc/ssh/ssh_host_ed25519_key"
    make_key(key, f"root@{identity.hostname}")
    (root / "etc/hostname").write_text(f"{identity.hostname}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {identity.hostname}\n::1 localhost\n")
    network = root / "etc/systemd/network/10-host0.network"
    network.parent.mkdir(parents=True, exist_ok=True)
    network.write_text(NETWORK.format(interface=identity.interface))
    authorized = root / "etc/ssh/authorized_keys.d/root"
    authorized.parent.mkdir(parents=True, exist_ok=True)
    authorized.write_text(identity.public_key)


def make_key(path: Path, comment: str) -> None:
    """Make an Ed25519 key pair without a passphrase at ``path`` (0600) and ``path``.pub."""
    call("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(path))


def call(*command: str) -> None:
    """Run a tool of the host; ProvisionError with its words when it is missing or fails."""
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ProvisionError(f"'{command[0]}' is missing; `redrill doctor` says how to install it.") from error
    if done.returncode != 0:
        raise ProvisionError(f"`{' '.join(command)}` failed: {(done.stderr or done.stdout).strip()}")
