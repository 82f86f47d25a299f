"""Small systems made by real packaging tools in a directory: one for each oracle, all with the same files."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from redrill.analysis.deviations import Accounts, find_deviations
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import walk
from redrill.model.deadline import Deadline
from redrill.model.manifest import Entry, EntryKind
from redrill.model.vendor import Deviation, VendorFacts
from redrill.probes.facts.fact import NOT_APPLICABLE
from redrill.probes.vendor.dpkg import DpkgOracle
from redrill.probes.vendor.image import expect_image
from redrill.probes.vendor.ostree import OstreeOracle
from redrill.probes.vendor.protocol import Answer, Oracle
from redrill.probes.vendor.rpm import RpmOracle
from redrill.probes.vendor.swupd import SwupdOracle
from redrill.probes.vendor.swupd_manifest import hash_manifest, hash_path

PROGRAM, PAGE, LINK, CONFIG = "/usr/bin/shop", "/usr/share/shop/a page", "/usr/share/shop/link", "/etc/shop.conf"
ACCOUNTS = Accounts({"root": 0, "daemon": 1}, {"root": 0, "daemon": 1})
_FOLDERS = ("/usr", "/usr/bin", "/usr/share", "/usr/share/shop")


@dataclass(frozen=True, slots=True)
class VendorWorld:
    """A system that is the directory ``root``, and the oracle that knows it; ``owner`` is who has its files."""

    root: Path
    oracle: Oracle | None
    owner: str
    image: VendorFacts | None = None

    def ask(self) -> VendorFacts:
        """Ask the oracle as an observation of an endpoint without an image does."""
        if self.oracle is None:
            assert self.image is not None
            return self.image
        machine = LocalMachine("world", self.root)
        question = machine.run(self.oracle.question, Deadline.after(60)).checked().text
        check = machine.run(self.oracle.check, Deadline.after(60)) if self.oracle.check else None
        told = None if check is None or check.exit_status == NOT_APPLICABLE else check.checked().text
        return self.oracle.hear(Answer(question, told, self.root))

    def files(self) -> Mapping[str, Entry]:
        """Return everything that is there."""
        return walk(self.root, ("/",)).entries

    def deviations(self) -> list[Deviation]:
        """Return how the files are not what the vendor says."""
        return find_deviations(self.ask(), self.files(), ACCOUNTS)

    def real(self, path: str) -> Path:
        """Return where a path of the system really is."""
        return self.root / path[1:]


def run(*command: str | Path, cwd: Path | None = None) -> str:
    """Run a tool that must succeed; return what it printed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def write_files(root: Path, config: str = CONFIG) -> None:
    """Write the files that all systems have, with root as their owner."""
    for path, text, mode in ((PROGRAM, "run", 0o755), (PAGE, "page", 0o644), (config, "a=1", 0o644)):
        file = root / path[1:]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
        file.chmod(mode)
    (root / LINK[1:]).symlink_to("a page")
    for folder in _FOLDERS:
        (root / folder[1:]).chmod(0o755)
    run("chown", "-hR", "0:0", root)


def dpkg_world(folder: Path) -> VendorWorld:
    """Install a package with dpkg."""
    package, root = folder / "package", folder / "root"
    write_files(package)
    (package / "DEBIAN").mkdir()
    control = "Package: shop\nVersion: 1.0\nArchitecture: all\nMaintainer: nobody\nDescription: a shop\n"
    (package / "DEBIAN/control").write_text(control)
    (package / "DEBIAN/conffiles").write_text(f"{CONFIG}\n")
    run("dpkg-deb", "-b", package, folder / "shop.deb")
    (root / "var/lib/dpkg/info").mkdir(parents=True)
    (root / "var/lib/dpkg/updates").mkdir()
    (root / "var/lib/dpkg/status").touch()
    run("dpkg", f"--root={root}", "-i", folder / "shop.deb")
    return VendorWorld(root, DpkgOracle(), "shop")


_SPEC = f"""Name: shop
Version: 1.0
Release: 1
Summary: A shop
License: none
BuildArch: noarch
%description
A shop.
%install
cp -a %{{_topdir}}/files/. %{{buildroot}}/
%files
%attr(0755,root,root) {PROGRAM}
%dir /usr/share/shop
"{PAGE}"
{LINK}
%config(noreplace) {CONFIG}
%ghost /usr/share/shop/cache
"""


def rpm_world(folder: Path) -> VendorWorld:
    """Install a package with rpm."""
    root = folder / "root"
    root.mkdir(parents=True)
    write_files(folder / "files")
    (folder / "shop.spec").write_text(_SPEC)
    run("rpmbuild", "-bb", "--quiet", "--define", f"_topdir {folder}", folder / "shop.spec")
    package = next((folder / "RPMS").rglob("*.rpm"))
    run("rpm", "--root", root, "--dbpath", "/var/lib/rpm", "--force-debian", "-i", "--nodeps", package)
    return VendorWorld(root, RpmOracle(), "shop")


def ostree_world(folder: Path) -> VendorWorld:
    """Deploy a commit with ostree; the deployment is the system, as if it had been booted."""
    tree, repo, sysroot = folder / "tree", folder / "repo", folder / "sysroot"
    write_files(tree, f"/usr{CONFIG}")
    release = 'NAME="Drill"\nID=drill\nVERSION_ID=1\nOSTREE_VERSION=1.0\n'
    (tree / "usr/lib/modules/6.1").mkdir(parents=True)
    (tree / "usr/lib/os-release").write_text(release)
    (tree / "usr/etc/os-release").symlink_to("../usr/lib/os-release")
    (tree / "usr/lib/modules/6.1/vmlinuz").write_text("kernel")
    for name in ("boot", "sysroot", "var"):
        (tree / name).mkdir()
    run("ostree", f"--repo={repo}", "init", "--mode=archive")
    own = ("--owner-uid=0", "--owner-gid=0", "--subject=one")
    run("ostree", f"--repo={repo}", "commit", "--branch=drill", f"--tree=dir={tree}", *own)
    sysroot.mkdir()
    run("ostree", "admin", "init-fs", sysroot)
    run("ostree", "admin", "os-init", "drill", f"--sysroot={sysroot}")
    (sysroot / "boot/grub").mkdir()
    run("ostree", f"--repo={sysroot}/ostree/repo", "pull-local", repo, "drill")
    run("ostree", "admin", "deploy", f"--sysroot={sysroot}", "--os=drill", "drill")
    root = next((sysroot / "ostree/deploy/drill/deploy").glob("*.0"))
    run("chattr", "-i", root)
    (root / "sysroot").rmdir()
    (root / "sysroot").symlink_to(sysroot)
    # Files of a deployment are links into the repository: a system that boots keeps them from being written to.
    for path in (PROGRAM, PAGE):
        run("cp", "-a", "--remove-destination", root / path[1:], root / "copy")
        (root / "copy").rename(root / path[1:])
    return VendorWorld(root, OstreeOracle(), f"drill {root.name[:12]}")


def swupd_world(folder: Path) -> VendorWorld:
    """Write a system with the manifests of its release, as swupd leaves them on an endpoint."""
    root = folder / "root"
    write_files(root)
    state = root / "var/lib/swupd/cache/https___cdn/manifest/10"
    for path, text in (
        ("/usr/lib/os-release", "ID=clear-linux-os\nVERSION_ID=10\n"),
        ("/usr/share/clear/bundles/shop", ""),
    ):
        (root / path[1:]).parent.mkdir(parents=True)
        (root / path[1:]).write_text(text)
    state.mkdir(parents=True)
    lines = []
    for path, entry in walk(root, ("/usr",)).entries.items():
        letter = {EntryKind.FILE: "F", EntryKind.DIRECTORY: "D", EntryKind.SYMLINK: "L"}[entry.kind]
        lines.append(f"{letter}...\t{hash_path(root / path[1:])}\t10\t{path}\n")
    bundle = f"MANIFEST\t42\nversion:\t10\n\n{''.join(lines)}"
    (state / "Manifest.shop").write_text(bundle)
    release = f"MANIFEST\t42\nversion:\t10\n\nM...\t{hash_manifest(bundle.encode())}\t10\tshop\n"
    (state / "Manifest.MoM").write_text(release)
    return VendorWorld(root, SwupdOracle(), "shop")


def image_world(folder: Path) -> VendorWorld:
    """Unpack an image, of which the manifest is known."""
    write_files(folder / "root")
    manifest = walk(folder / "root", ("/",))
    return VendorWorld(folder / "root", None, "image", expect_image("image", manifest, lambda _path: True))


WORLDS: Mapping[str, Callable[[Path], VendorWorld]] = {
    "dpkg": dpkg_world,
    "rpm": rpm_world,
    "ostree": ostree_world,
    "swupd": swupd_world,
    "image": image_world,
}


def tear_down(folder: Path) -> None:
    """Let a folder be removed in which a deployment may be immutable."""
    for path in folder.rglob("*.0"):
        if path.is_dir():
            run("chattr", "-i", path)
