"""What every endpoint is: identity, release, packages, accounts, units, sockets, kernel parameters."""

import re
from typing import Any

from redrill.model.observation import Account, Unit
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
_UNIT_FILES = "systemctl list-unit-files --no-legend --plain --no-pager --full"
_UNIT_STATES = "systemctl list-units --all --no-legend --plain --no-pager --full --type=service,socket,timer,path,mount"
_SOCKETS = 'for proto in tcp tcp6 udp udp6; do sed 1d /proc/net/$proto 2>/dev/null | sed "s/^/$proto /"; done'
_SYSCTLS = "cd /proc/sys && grep -rs '' kernel vm net fs; exit 0"

_VOLATILE_SYSCTL = re.compile(
    r"kernel\.(random\.(?!poolsize|urandom_min).*|ns_last_pid|pty\.nr|hostname|domainname|seccomp\..*|tainted|sched_domain\..*|"
    r"core_uses_pid|usermodehelper\..*|perf_.*|spl\..*|keys\..*|bpf_stats_enabled)"
    r"|fs\.(.*-nr|.*-state|.*_state|quota\..*|binfmt_misc\..*|inotify\..*|epoll\..*|mqueue\..*|aio-nr|nfs\..*)"
    r"|net\.netfilter\..*|net\.nf_conntrack_.*|net\.ipv4\.tcp_fastopen_key|net\.ipv[46]\.(route|neigh)\..*(gc_stale_time_ms|flush)"
    r"|net\.ipv6\.conf\..*\.stable_secret|vm\.(stat_refresh|drop_caches|compact_memory)|net\.core\.(netdev_rss_key|flow_limit_cpu_bitmap)"
)
_TRANSIENT_UNIT = re.compile(
    r"(run-|session-|user@|user-runtime-dir@|user-|init\.scope|redrill-|dev-|sys-|proc-|systemd-(tmpfiles|fsck|update|random|firstboot))"
    r".*"
)


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


def _parse_users(text: str) -> dict[str, Any]:
    rows = [line.split(":") for line in text.splitlines() if line.count(":") == 6]
    return {"users": {r[0]: Account(uid=int(r[2]), gid=int(r[3]), home=r[5], shell=r[6]) for r in rows}}


def _parse_groups(text: str) -> dict[str, Any]:
    rows = [line.split(":") for line in text.splitlines() if line.count(":") == 3]
    return {"groups": {row[0]: int(row[2]) for row in rows}}


def _parse_units(text: str) -> dict[str, Any]:
    files, _, states = text.partition("\x1e\n")
    enabled = {row[0]: row[1] for row in (line.split() for line in files.splitlines()) if len(row) >= 2}
    active = {row[0]: f"{row[2]} ({row[3]})" for row in (line.split() for line in states.splitlines()) if len(row) >= 4}
    names = {name for name in enabled.keys() | active.keys() if not _TRANSIENT_UNIT.fullmatch(name)}
    return {
        "units": {
            name: Unit(enabled=enabled.get(name, "none"), active=active.get(name, "inactive (dead)"))
            for name in sorted(names)
        }
    }


def _parse_address(text: str) -> str:
    """Return 'address:port' for the kernel's hex form: words of four bytes in host order (proc(5))."""
    address, _, port = text.partition(":")
    words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
    raw = b"".join(words)
    if len(raw) == 4:
        host = ".".join(str(byte) for byte in raw)
    else:
        host = "[" + ":".join(f"{raw[i]:02x}{raw[i + 1]:02x}" for i in range(0, 16, 2)) + "]"
        host = "[::]" if not any(raw) else host
    return f"{host}:{int(port, 16)}"


def _parse_sockets(text: str) -> dict[str, Any]:
    found = set()
    for line in text.splitlines():
        row = line.replace(":", " ", 1).split()
        proto, local, state = row[0], row[2], row[4]
        if (proto.startswith("tcp") and state == "0A") or (proto.startswith("udp") and state == "07"):
            found.add(f"{proto} {_parse_address(local)}")
    return {"sockets": tuple(sorted(found))}


def _parse_sysctls(text: str) -> dict[str, Any]:
    values: dict[str, str] = {}
    for line in text.splitlines():
        path, separator, value = line.partition(":")
        name = path.replace("/", ".")
        if separator and not _VOLATILE_SYSCTL.fullmatch(name):
            values[name] = "\n".join(filter(None, (values.get(name), value)))
    return {"sysctls": values}


SYSTEM_FACTS = (
    Fact("identity", _IDENTITY, _parse_identity),
    Fact("root", _ROOT_ID, _parse_root),
    Fact("kernel", "uname -r", lambda text: {"kernel": text.strip()}, needs_init=True),
    Fact("os_release", 'cat "$ROOT/etc/os-release"', lambda text: {"os_release": parse_os_release(text)}),
    Fact("vendor_release", 'cat "$ROOT/usr/lib/os-release"', lambda text: {"vendor_release": parse_os_release(text)}),
    Fact("packages", _PACKAGES, lambda text: {"packages": parse_packages(text)}),
    Fact("users", 'cat "$ROOT/etc/passwd"', _parse_users),
    Fact("groups", 'cat "$ROOT/etc/group"', _parse_groups),
    Fact("units", f"{_UNIT_FILES} && printf '\\036\\n' && {_UNIT_STATES}", _parse_units, needs_init=True),
    Fact("sockets", _SOCKETS, _parse_sockets, needs_init=True),
    Fact("sysctls", _SYSCTLS, _parse_sysctls, needs_init=True),
)
"""The facts that every other judgement builds on."""
