"""What is missing or too small on this machine for the lab, and the command that mends it."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from redrill.errors import ProvisionError
from redrill.provisioners.cgroups import hierarchies
from redrill.provisioners.images import cache_directory
from redrill.provisioners.nspawn_container import ENOUGH_INOTIFY_INSTANCES, INOTIFY_INSTANCES
from redrill.provisioners.nspawn_place import LABS

TOOLS = {
    "systemd-nspawn": "systemd-container",
    "mmdebstrap": "mmdebstrap",
    "ip": "iproute2",
    "mount": "mount",
    "setpriv": "util-linux",
    "setsid": "util-linux",
    "unshare": "util-linux",
    "ssh-keygen": "openssh-client",
    "tar": "tar",
    "zstd": "zstd",
}
"""What the lab runs on this machine, with the Debian packages that hold it."""

NEEDED_SPACE = 3 << 30
"""Bytes for one golden image and the state of a small lab."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that the lab needs: whether it is there, what was found, and the command that mends it ('' when ok)."""

    name: str
    ok: bool
    found: str
    remedy: str = ""


def diagnose() -> list[Finding]:
    """Return one finding for each thing that the lab needs; nothing is changed."""
    return [
        _check_root(),
        *_check_tools(),
        _check_overlay(),
        _check_control_groups(),
        _check_inotify(),
        *_check_space(),
        _check_bridge_filter(),
        _check_node(),
    ]


def _finding(name: str, ok: bool, found: str, remedy: str) -> Finding:
    return Finding(name, ok, found, "" if ok else remedy)


def _check_root() -> Finding:
    user = os.geteuid()
    return _finding("root", user == 0, f"user {user}", "sudo redrill doctor")


def _check_tools() -> Iterator[Finding]:
    for tool, package in TOOLS.items():
        # An ordinary user's PATH often lacks the folders of the system's own tools.
        path = shutil.which(tool) or shutil.which(tool, path="/usr/sbin:/sbin")
        yield _finding(f"tool '{tool}'", path is not None, path or "missing", f"apt-get install --yes {package}")


def _check_overlay() -> Finding:
    is_loaded = "\toverlay\n" in Path("/proc/filesystems").read_text()
    is_module = not is_loaded and _succeeds("modprobe", "--dry-run", "overlay")
    found = "in the kernel" if is_loaded else "as a module" if is_module else "missing"
    return _finding("overlay file system", is_loaded or is_module, found, "modprobe overlay")


def _check_control_groups() -> Finding:
    try:
        found = ", ".join(map(str, hierarchies()))
    except ProvisionError:
        return Finding("control groups", False, "not mounted", "mount -t cgroup2 none /sys/fs/cgroup")
    return Finding("control groups", True, found)


def _check_inotify() -> Finding:
    limit = int(INOTIFY_INSTANCES.read_text())
    found = f"{limit}, 7 an endpoint and {ENOUGH_INOTIFY_INSTANCES} to be at ease"
    remedy = "sysctl -w fs.inotify.max_user_instances=8192"
    return _finding("inotify instances", limit >= ENOUGH_INOTIFY_INSTANCES, found, remedy)


def _check_space() -> Iterator[Finding]:
    for directory in (cache_directory(), LABS):
        existing = next(path for path in (directory, *directory.parents) if path.exists())
        free = shutil.disk_usage(existing).free
        found = f"{free / (1 << 30):.1f} GiB, {NEEDED_SPACE >> 30} needed"
        yield _finding(f"free space for '{directory}'", free >= NEEDED_SPACE, found, f"du -xhd1 {existing} | sort -h")


def _check_bridge_filter() -> Finding:
    """Endpoints talk to their log sink over the bridge; a container engine may have made the firewall drop that."""
    switch = Path("/proc/sys/net/bridge/bridge-nf-call-iptables")
    is_filtered = switch.exists() and switch.read_text().strip() == "1"
    rules = _output("iptables", "-S", "FORWARD") if is_filtered else ""
    is_dropped = "-P FORWARD DROP" in rules and "-i rd-+ -o rd-+ -j ACCEPT" not in rules
    found = "drops what crosses a bridge" if is_dropped else "lets the lab's bridge be"
    return _finding("firewall", not is_dropped, found, "iptables -I FORWARD -i rd-+ -o rd-+ -j ACCEPT")


def _check_node() -> Finding:
    version = _output("node", "--version").strip() if shutil.which("npm") else ""
    found = version or "missing; only the HTML report needs it"
    return _finding("Node.js with npm", bool(version), found, "apt-get install --yes nodejs npm")


def _succeeds(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except OSError:
        return ""
