"""Owners, ACLs and capabilities in the words of ``getfacl`` and ``getcap``; the formats are those of the kernel."""

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

Pairs = Sequence[tuple[str, str]]

# linux/capability.h, in the order of the bits
_CAPABILITIES = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
]
_REVISION_WITH_ROOT = 3

# linux/posix_acl_xattr.h: tags and permissions
_TAGS = {1: "user", 2: "user", 4: "group", 8: "group", 16: "mask", 32: "other"}
_USER, _GROUP = 2, 8

_LONGEST = 80


@dataclass(frozen=True, slots=True)
class Names:
    """What users and groups are called, by number."""

    users: Mapping[int, str] = field(default_factory=dict)
    groups: Mapping[int, str] = field(default_factory=dict)

    def user(self, uid: int) -> str:
        """Return a uid, with its name where there is one."""
        return _named(uid, self.users)

    def group(self, gid: int) -> str:
        """Return a gid, with its name where there is one."""
        return _named(gid, self.groups)


NAMELESS = Names()


def _named(number: int, names: Mapping[int, str]) -> str:
    return f"{number} ({names[number]})" if number in names else str(number)


def render_xattrs(expected: Pairs, found: Pairs, names: Names = NAMELESS) -> str:
    """Return how two sets of attributes (name, hex value) differ, attribute by attribute."""
    before, after = dict(expected), dict(found)
    changed = [name for name in sorted(before.keys() | after.keys()) if before.get(name) != after.get(name)]
    return "; ".join(
        f"{_printable(name)} is {_render(name, after, names)}, expected {_render(name, before, names)}"
        for name in changed
    )


def _render(name: str, pairs: Mapping[str, str], names: Names) -> str:
    return render_xattr(name, pairs[name], names) if name in pairs else "none"


def render_xattr(name: str, value: str, names: Names = NAMELESS) -> str:
    """Return the value of an attribute, given as hex, in words; as it is when it has none."""
    data = bytes.fromhex(value)
    try:
        if name == "security.capability":
            return _render_capability(data)
        if name.startswith("system.posix_acl_"):
            return ",".join(_render_acl(data, names))
    except (struct.error, LookupError):
        pass
    text = data.removesuffix(b"\0").decode("ascii", "replace")
    shown = repr(text) if text.isprintable() and "\ufffd" not in text else f"0x{value}"
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]}… ({len(data)} bytes)"


def _render_capability(data: bytes) -> str:
    """Return a struct vfs_cap_data as getcap does: names by the sets (effective, inheritable, permitted) of each."""
    (magic,) = struct.unpack_from("<I", data)
    words = struct.unpack_from("<4I" if len(data) >= 20 else "<2I", data, 4)
    permitted, inheritable = _bits(words[::2]), _bits(words[1::2])
    sets: dict[str, list[str]] = {}
    for number in sorted(permitted | inheritable):
        letters = "e" * (magic & 1) + "i" * (number in inheritable) + "p" * (number in permitted)
        sets.setdefault(letters, []).append(f"cap_{_CAPABILITIES[number]}")
    text = " ".join(f"{','.join(caps)}={letters}" for letters, caps in sets.items()) or "="
    root = struct.unpack_from("<I", data, 20)[0] if magic >> 24 == _REVISION_WITH_ROOT else 0
    return f"{text} [rootid={root}]" if root else text


def _bits(words: Sequence[int]) -> set[int]:
    mask = sum(word << 32 * place for place, word in enumerate(words))
    return {number for number in range(64) if mask >> number & 1}


def _render_acl(data: bytes, names: Names) -> Iterator[str]:
    for tag, permissions, number in struct.iter_unpack("<HHI", data[4:]):
        who = names.user(number) if tag == _USER else names.group(number) if tag == _GROUP else ""
        letters = "".join(letter if permissions & bit else "-" for letter, bit in (("r", 4), ("w", 2), ("x", 1)))
        yield f"{_TAGS[tag]}:{who}:{letters}"


def _printable(name: str) -> str:
    return name if name.isprintable() else ascii(name)[1:-1]
