"""The kernel's side of an endpoint: parameters, command line, modules, mounts, security modules, firmware variables."""

import hashlib
import re
from typing import Any

from redrill.probes.facts.fact import Fact
from redrill.probes.facts.volatile import settle_items

# A container shares the kernel: only what the kernel keeps for each namespace is its own.
_SYSCTLS = """
cd /proc/sys || exit 1
if [ -e /run/systemd/container ]; then grep -rs '' net kernel/shm* kernel/msg* kernel/sem
else grep -rs '' kernel vm net fs; fi
exit 0
"""
# The order of sysctl.d(5): by name of the file, of equal names the first folder counts; sysctl.conf comes last.
_DECLARED = """
for file in /etc/sysctl.d/*.conf /run/sysctl.d/*.conf /usr/local/lib/sysctl.d/*.conf /usr/lib/sysctl.d/*.conf; do
  if [ -f "$file" ]; then printf '\\036%s\\n' "$file" && sed '/^[;#]/d' "$file" || exit 1; fi
done
exit 0
"""
_MODULES = "[ -e /proc/modules ] && [ ! -e /run/systemd/container ] || exit 77; cat /proc/modules"
_COMMAND_LINE = "[ ! -e /run/systemd/container ] || exit 77; cat /proc/cmdline"
_MOUNTS = "cat /proc/mounts && printf '\\036\\n' && { cat /etc/fstab 2>/dev/null; :; }"
_SECURITY = """
[ ! -e /run/systemd/container ] || exit 77
tell() { [ ! -e "$2" ] || echo "$1 $(tr ' ' , <"$2")"; }
tell 'selinux enforcing' /sys/fs/selinux/enforce
tell 'apparmor enabled' /sys/module/apparmor/parameters/enabled
tell 'kernel modules' /sys/kernel/security/lsm
tell 'kernel lockdown' /sys/kernel/security/lockdown
[ ! -e /sys/kernel/security/apparmor/profiles ] || sed 's/^/profile /' /sys/kernel/security/apparmor/profiles
"""
_EFI = "[ -d /sys/firmware/efi/efivars ] && [ ! -e /run/systemd/container ] || exit 77; ls /sys/firmware/efi/efivars"

_SHOWN_OPTIONS = frozenset({"ro", "rw", "nosuid", "nodev", "noexec", "noatime", "sync", "discard", "acl", "noacl"})
_OF_THE_KERNEL = re.compile(
    r"autofs|binfmt_misc|bpf|cgroup2?|configfs|debugfs|devpts|devtmpfs|efivarfs|fusectl|fuse\.(gvfsd-fuse|portal)|"
    r"hugetlbfs|mqueue|nsfs|proc|pstore|rpc_pipefs|securityfs|selinuxfs|sysfs|tracefs"
)
_REMOTE = re.compile(r"//.*|.*:.*")
_SECRET_WORD = re.compile("pass|secret|token|key|credential", re.IGNORECASE)


def _parse_sysctls(text: str) -> dict[str, Any]:
    values: dict[str, str] = {}
    for line in text.splitlines():
        path, separator, value = line.partition(":")
        name = path.replace("/", ".")
        if separator:
            values[name] = "\n".join(filter(None, (values.get(name), value)))
    return {"runtime": {"sysctls": settle_items("sysctls", values)}}


def _parse_declared(text: str) -> dict[str, Any]:
    """Return the value that files give to each parameter; globs and excluded names are left out (sysctl.d(5))."""
    files: dict[str, str] = {}
    for block in text.split("\x1e")[1:]:
        path, _, content = block.partition("\n")
        files.setdefault(path.rpartition("/")[2], content)
    values = {}
    for name in sorted(files):
        for line in files[name].splitlines():
            key, separator, value = line.strip().removeprefix("-").partition("=")
            if separator and "*" not in key:
                values[_dotted(key.strip())] = " ".join(value.split())
    return {"runtime": {"declared sysctls": settle_items("sysctls", values)}}


def _dotted(key: str) -> str:
    """Return a key as the other fact names it: where the first separator is a slash, dots belong to names."""
    return key.replace("/", ".") if "/" in key and ("." not in key or key.index("/") < key.index(".")) else key


def _parse_modules(text: str) -> dict[str, Any]:
    return {"runtime": {"modules": settle_items("modules", {line.split()[0]: "" for line in text.splitlines()})}}


def _parse_command_line(text: str) -> dict[str, Any]:
    """Return the parameters by name; values that may be secret are hashed."""
    words: dict[str, list[str]] = {}
    for word in text.split():
        name, _, value = word.partition("=")
        is_secret = _SECRET_WORD.search(name) and value
        words.setdefault(name, []).append(f"sha256:{_hash(value)}" if is_secret else value)
    values = {name: ", ".join(filter(None, given)) for name, given in words.items()}
    return {"runtime": {"command line": settle_items("command line", values)}}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _parse_mounts(text: str) -> dict[str, Any]:
    mounted, _, fstab = text.partition("\x1e\n")
    mounts = {}
    for source, place, kind, options, *_ in (line.split() for line in mounted.splitlines()):
        if not _OF_THE_KERNEL.fullmatch(kind):
            shown = ",".join(option for option in options.split(",") if option in _SHOWN_OPTIONS)
            mounts[_unescape(place)] = f"{kind} {shown}" + (f" from {source}" if _REMOTE.fullmatch(source) else "")
    rows = [line.split() for line in fstab.splitlines() if line.strip() and not line.lstrip().startswith("#")]
    declared = {_unescape(row[1]): row[2] for row in rows if len(row) >= 3}
    return {"runtime": {"mounts": settle_items("mounts", mounts), "declared mounts": declared}}


def _unescape(text: str) -> str:
    """Return a path of /proc/mounts or fstab(5) with its octal escapes resolved."""
    return re.sub(r"\\([0-7]{3})", lambda found: chr(int(found[1], 8)), text)


def _parse_security(text: str) -> dict[str, Any]:
    values = {}
    for line in text.splitlines():
        name, _, value = line.rpartition(" ")
        values[name] = value
    return {"runtime": {"security modules": settle_items("security modules", values)}}


def _parse_efi(text: str) -> dict[str, Any]:
    return {"runtime": {"efi variables": settle_items("efi variables", dict.fromkeys(text.splitlines(), ""))}}


KERNEL_FACTS = (
    Fact("kernel", "uname -r", lambda text: {"kernel": text.strip()}, needs_init=True),
    Fact("sysctls", _SYSCTLS, _parse_sysctls, needs_init=True),
    Fact("declared sysctls", _DECLARED, _parse_declared, needs_init=True),
    Fact("modules", _MODULES, _parse_modules, needs_init=True),
    Fact("command line", _COMMAND_LINE, _parse_command_line, needs_init=True),
    Fact("mounts", _MOUNTS, _parse_mounts, needs_init=True),
    Fact("security modules", _SECURITY, _parse_security, needs_init=True),
    Fact("efi variables", _EFI, _parse_efi, needs_init=True),
)
"""What the kernel was told, and what it holds."""
