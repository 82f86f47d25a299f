"""What guards must know of a live endpoint, read in one round trip over its pinned connection; nothing is written."""

import hashlib
import ipaddress
import json
import re
import shlex
import time
from dataclasses import dataclass, field

from redrill.machine.protocol import Machine, Result
from redrill.model.deadline import Deadline
from redrill.model.guards import Guards

MOST_TOKEN_BYTES = 4096

_MACHINE_ID = 'cat "$ROOT/etc/machine-id"'
_BOOT_ID = 'if [ -n "$ROOT" ]; then cat "$ROOT/run/boot-id"; else cat /proc/sys/kernel/random/boot_id; fi'
# A container sees the firmware of its host, which is not its own.
_FIRMWARE = '[ -z "$ROOT" ] && [ ! -e /run/systemd/container ] && cat /sys/class/dmi/id/product_uuid; true'
_HOST_NAME = 'if [ -n "$ROOT" ]; then cat "$ROOT/etc/hostname"; else uname -n; fi'
_CLOCK = "date +%s.%N"
_ADDRESSES = '[ -n "$ROOT" ] || cat /proc/net/fib_trie; [ -n "$ROOT" ] || cat /proc/net/if_inet6 2>/dev/null; true'
# Where udev keeps nothing about a disk, lsblk knows nothing of what is on it, and that looks like a disk without an id.
_DISKS = (
    "lsblk --pairs --output UUID,PTUUID,PARTUUID,SERIAL,WWN || exit; "
    "lsblk --noheadings --raw --paths --output KNAME,MAJ:MIN | while read -r disk number; do "
    '[ -e "/run/udev/data/b$number" ] && continue; '
    'true <"$disk" || exit; '
    'blkid --probe -s UUID -s UUID_SUB -s PTUUID -s PART_ENTRY_UUID "$disk" || [ $? -eq 2 ] || exit; '
    "done"
)
_NO_TOKEN = 66


@dataclass(frozen=True, slots=True)
class Identity:
    """Who an endpoint is, by what cannot be copied with a name or an address; '' where that is not known.

    ``machine_id`` is /etc/machine-id, ``firmware`` the DMI product UUID, ``resource`` the provisioner's own id of it.
    """

    machine_id: str = ""
    firmware: str = ""
    resource: str = ""

    @property
    def words(self) -> frozenset[str]:
        """Everything that it is known by, in the form of ``normal``."""
        return frozenset(normal(word) for word in (self.machine_id, self.firmware, self.resource) if word)

    @property
    def digest(self) -> str:
        """What stands for it where others can read: a machine-id is confidential (machine-id(5))."""
        words = json.dumps([normal(self.machine_id), normal(self.firmware), self.resource])
        return hashlib.sha256(words.encode()).hexdigest()[:16]

    @property
    def best(self) -> str:
        """The word that names it in an allow token."""
        return self.machine_id or self.firmware or self.resource


@dataclass(frozen=True, slots=True)
class TokenFile:
    """The allow token as it lies on the endpoint: octal mode, numeric owner, its folder's, sort and text."""

    owner: int
    mode: int
    sort: str
    folder_owner: int
    folder_mode: int
    text: str


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """What was read. ``token`` is None when the endpoint has none; ``unknown`` says why a fact could not be read.

    ``skew`` is how many seconds the endpoint's clock is ahead of the controller's; ``disks`` are the ids of its disks
    and file systems, only read where some are protected.
    """

    identity: Identity = Identity()
    boot_id: str = ""
    host_name: str = ""
    skew: float = 0.0
    addresses: frozenset[str] = frozenset()
    disks: frozenset[str] = frozenset()
    token: TokenFile | None = None
    has_init: bool = False
    unknown: dict[str, str] = field(default_factory=dict)


def normal(word: str) -> str:
    """Return an id in the one form in which ids are compared: machine-ids and UUIDs come with and without hyphens."""
    plain = word.strip().casefold()
    bare = plain.replace("-", "")
    return bare if re.fullmatch("[0-9a-f]{32}", bare) else plain


def read_live(machine: Machine, guards: Guards, resource: str, deadline: Deadline) -> LiveFacts:
    """Read everything in one batch; MachineError when the endpoint does not answer, else what failed is ``unknown``."""
    commands = {
        "machine_id": _MACHINE_ID,
        "boot_id": _BOOT_ID,
        "firmware": _FIRMWARE,
        "host_name": _HOST_NAME,
        "clock": _CLOCK,
        "addresses": _ADDRESSES,
        "token": _token_command(guards.allow_token.path),
    }
    if guards.protected.disks:
        commands["disks"] = _DISKS
    machine.run("true", deadline).checked()  # the way there costs more than the answer, and would count as skew
    before = time.time()
    results = dict(zip(commands, machine.batch(list(commands.values()), deadline), strict=True))
    after = time.time()
    unknown = {name: _why(result) for name, result in results.items() if result.exit_status not in (0, _NO_TOKEN)}
    texts = {name: result.text.strip() for name, result in results.items() if name not in unknown}
    token = None
    if results["token"].exit_status == 0:
        token = _parse_token_file(texts["token"])
    return LiveFacts(
        identity=Identity(_machine_id(texts.get("machine_id", "")), texts.get("firmware", ""), resource),
        boot_id=texts.get("boot_id", ""),
        host_name=texts.get("host_name", ""),
        skew=_skew(texts.get("clock", ""), before, after, unknown),
        addresses=parse_addresses(texts.get("addresses", "")),
        disks=frozenset(normal(word) for word in re.findall('="([^"]+)"', texts.get("disks", ""))),
        token=token,
        has_init=machine.has_init,
        unknown=unknown,
    )


def _token_command(path: str) -> str:
    file, folder = shlex.quote(path), shlex.quote(path.rpartition("/")[0] or "/")
    return (
        f'f="$ROOT"{file}; d="$ROOT"{folder}; '
        f'[ -e "$f" ] || [ -L "$f" ] || exit {_NO_TOKEN}; '
        f"""stat -c '%u %a %F' -- "$f" && stat -L -c '%u %a' -- "$d" && head -c {MOST_TOKEN_BYTES + 1} -- "$f" """
    )


def _parse_token_file(text: str) -> TokenFile:
    status, folder, *lines = text.split("\n")
    owner, mode, sort = status.split(" ", 2)
    folder_owner, folder_mode = folder.split()
    return TokenFile(int(owner), int(mode, 8), sort, int(folder_owner), int(folder_mode, 8), "\n".join(lines))


def _why(result: Result) -> str:
    words = result.stderr.decode("utf-8", "replace").strip().splitlines()
    return (words or [f"status {result.exit_status}"])[-1][:200]


def _machine_id(text: str) -> str:
    """Return the id; '' for the placeholder of an image that was never booted (machine-id(5))."""
    return text if re.fullmatch("[0-9a-f]{32}", text) and set(text) != {"0"} else ""


def _skew(text: str, before: float, after: float, unknown: dict[str, str]) -> float:
    """Return the seconds by which the clock is certainly off: what the round trip took explains the rest."""
    try:
        there = float(text)
    except ValueError:
        unknown.setdefault("clock", f"'{text[:40]}' is no time")
        return 0.0
    return there - after if there > after else min(0.0, there - before)


def parse_addresses(text: str) -> frozenset[str]:
    """Return the addresses of a host from its fib_trie and if_inet6 (proc(5)), without those of its loopback."""
    found = set()
    last = ""
    for line in text.splitlines():
        if match := re.search(r"(?:\|--|\+--) ([0-9.]+)", line):
            last = match[1]
        elif "/32 host LOCAL" in line:
            found.add(last)
        elif match := re.match(r"([0-9a-f]{32}) ", line):
            found.add(str(ipaddress.IPv6Address(int(match[1], 16))))
    return frozenset(address for address in found if not ipaddress.ip_address(address).is_loopback)
