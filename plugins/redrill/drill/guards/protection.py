"""What is never wiped: the fleet file's list of protected hosts, and the controller itself."""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from redrill.drill.guards.live import LiveFacts, normal, parse_addresses
from redrill.drill.guards.state import GuardState, passes, refuses, unknown
from redrill.errors import GuardError
from redrill.model.fleet import Endpoint
from redrill.model.guards import Protected

PROTECTED, CONTROLLER = "protected list", "not the controller"


@dataclass(frozen=True, slots=True)
class Controller:
    """The machine that redrill runs on."""

    machine_id: str
    boot_id: str
    addresses: frozenset[str]


def know_controller() -> Controller:
    """Return what this machine is known by; GuardError when that cannot be read."""
    texts = [Path(f"/proc/net/{name}") for name in ("fib_trie", "if_inet6")]
    machine_id = Path("/etc/machine-id")
    try:
        return Controller(
            machine_id=machine_id.read_text().strip() if machine_id.exists() else "",
            boot_id=Path("/proc/sys/kernel/random/boot_id").read_text().strip(),
            addresses=parse_addresses("\n".join(text.read_text() for text in texts if text.exists())),
        )
    except OSError as error:
        raise GuardError(
            f"Nothing was touched: redrill cannot tell which machine it runs on itself: {error}."
        ) from error


def judge_words(protected: Protected, endpoint: Endpoint, addresses: Iterable[str]) -> GuardState:
    """Judge what is known without asking the endpoint: its name and the addresses that it is declared to have."""
    words = [address for address in (endpoint.address, *addresses) if address]
    return _judge(protected, endpoint, names=[endpoint.name], addresses=words)


def judge_protected(protected: Protected, endpoint: Endpoint, addresses: Iterable[str], facts: LiveFacts) -> GuardState:
    """Judge an endpoint by everything that it was found to be."""
    missing = [name for name, is_needed in _needs(protected).items() if is_needed and name in facts.unknown]
    if missing:
        return unknown(PROTECTED, f"{missing[0]}: {facts.unknown[missing[0]]}", endpoint.name)
    if protected.identities and not facts.identity.words:
        return unknown(PROTECTED, "the endpoint says nothing of who it is", endpoint.name)
    names = [endpoint.name, facts.host_name, facts.host_name.partition(".")[0]]
    words = [address for address in (endpoint.address, *addresses, *facts.addresses) if address]
    return _judge(protected, endpoint, names=names, addresses=words, identities=facts.identity.words, disks=facts.disks)


def _needs(protected: Protected) -> dict[str, bool]:
    return {
        "host_name": bool(protected.names),
        "addresses": bool(protected.addresses),
        "machine_id": bool(protected.identities),
        "disks": bool(protected.disks),
    }


def _judge(
    protected: Protected,
    endpoint: Endpoint,
    *,
    names: Iterable[str],
    addresses: Iterable[str],
    identities: frozenset[str] = frozenset(),
    disks: frozenset[str] = frozenset(),
) -> GuardState:
    found = [
        *(f"the name '{name}'" for name in names for glob in protected.names if _is_named(name, glob)),
        *(f"the address '{one}'" for one in addresses for net in protected.addresses if _is_within(one, net)),
        *("its identity" for word in protected.identities if normal(word) in identities),
        *(f"the disk '{word}'" for word in protected.disks if normal(word) in disks),
    ]
    if found:
        return refuses(PROTECTED, f"{found[0]} is protected by the fleet file, which beats everything", endpoint.name)
    count = sum(len(words) for words in (protected.names, protected.addresses, protected.identities, protected.disks))
    return passes(PROTECTED, f"none of the {count} entries is about it", endpoint.name)


def _is_named(name: str, glob: str) -> bool:
    return bool(name) and fnmatchcase(name.casefold(), glob.casefold())


def _is_within(address: str, protected: str) -> bool:
    plain = address.partition("%")[0]
    try:
        network = ipaddress.ip_network(protected, strict=False)
    except ValueError:
        return plain.rstrip(".").casefold() == protected.rstrip(".").casefold()
    try:
        one = ipaddress.ip_address(plain)
    except ValueError:
        return False
    return _unmapped(one) in network or one in network


def _unmapped(one: ipaddress.IPv4Address | ipaddress.IPv6Address) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return (one.ipv4_mapped or one) if isinstance(one, ipaddress.IPv6Address) else one


def judge_address(controller: Controller, endpoint: Endpoint, addresses: Iterable[str]) -> GuardState:
    """Judge whether an endpoint is declared to be where the controller is: loopback, or one of its own addresses."""
    for word in addresses:
        one = _unmapped(ipaddress.ip_address(word.partition("%")[0]))
        if one.is_loopback or one.is_unspecified or str(one) in controller.addresses:
            return refuses(CONTROLLER, f"'{one}' is an address of the machine that redrill runs on", endpoint.name)
    return passes(CONTROLLER, "none of its addresses is the controller's", endpoint.name)


def judge_self(controller: Controller, endpoint: Endpoint, root: Path | None, facts: LiveFacts) -> GuardState:
    """Judge whether what answers is the controller; a directory must not be the controller's root."""
    if not facts.has_init:
        if root is None or root.resolve() == Path("/"):
            return refuses(CONTROLLER, f"'{root}' is the root of the machine that redrill runs on", endpoint.name)
        return passes(CONTROLLER, "it is a directory", endpoint.name)
    if not facts.boot_id or not controller.boot_id:
        return unknown(CONTROLLER, "the boot id cannot be read", endpoint.name)
    is_same_id = bool(controller.machine_id) and controller.machine_id == facts.identity.machine_id
    if is_same_id or facts.boot_id == controller.boot_id:
        return refuses(CONTROLLER, "what answers is the machine that redrill runs on", endpoint.name)
    return passes(CONTROLLER, "it is another machine", endpoint.name)
