"""What every endpoint is: identity, root file system, release, packages."""

from typing import Any

from redrill.probes.facts.fact import Fact

_IDENTITY = """
if [ -n "$ROOT" ]; then cat "$ROOT/run/boot-id"; else cat /proc/sys/kernel/random/boot_id; fi || exit 1
cat "$ROOT/etc/machine-id" || exit 1
cat "$ROOT/etc/hostname" || exit 1
"""
# A new root file system has a new root directory: its inode's birth tells them apart even where a clone keeps the UUID.
_ROOT_ID = 'stat -c "%i:%W:%w" "$ROOT/" && stat -f -c "%i:%T" "$ROOT/"'
_PACKAGES = r"""
if [ -f "$ROOT/var/lib/dpkg/status" ]; then
  dpkg-query --admindir="$ROOT/var/lib/dpkg" -W -f='${Package}:${Architecture}\t${Version}\t${db:Status-Status}\n'
elif command -v rpm >/dev/null && [ -z "$ROOT" ]; then
  rpm -qa --qf '%{NAME}:%{ARCH}\t%{EPOCHNUM}:%{VERSION}-%{RELEASE}\tinstalled\n'
else exit 77; fi
"""


def _parse_identity(text: str) -> dict[str, Any]:
    boot_id, machine_id, hostname = text.split()
    return {"boot_id": boot_id, "machine_id": machine_id, "hostname": hostname}


def _parse_root(text: str) -> dict[str, Any]:
    return {"root_id": " ".join(text.split())}


def parse_os_release(text: str) -> dict[str, str]:
    """Return the assignments of an os-release file, unquoted (os-release(5))."""
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line and not line.startswith("#"))
    return {key.strip(): value.strip().strip("\"'") for key, _, value in pairs}


def parse_packages(text: str) -> dict[str, str]:
    """Return the versions of installed packages by 'name:architecture'."""
    rows = (line.split("\t") for line in text.splitlines())
    return {name: version for name, version, status in rows if status == "installed"}


SYSTEM_FACTS = (
    Fact("identity", _IDENTITY, _parse_identity),
    Fact("root", _ROOT_ID, _parse_root),
    Fact("os_release", 'cat "$ROOT/etc/os-release"', lambda text: {"os_release": parse_os_release(text)}),
    Fact("vendor_release", 'cat "$ROOT/usr/lib/os-release"', lambda text: {"vendor_release": parse_os_release(text)}),
    Fact("packages", _PACKAGES, lambda text: {"packages": parse_packages(text)}),
)
"""The facts that every other judgement builds on."""
