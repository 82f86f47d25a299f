"""The bridge of a lab: a network that nothing is routed out of."""

import ipaddress
import json
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from redrill.errors import ProvisionError

SYS_NET = Path("/sys/class/net")


@dataclass(frozen=True, slots=True)
class Subnet:
    """An IPv4 network of 256 addresses; the host has the first of them."""

    network: ipaddress.IPv4Network

    @classmethod
    def around(cls, address: ipaddress.IPv4Address) -> "Subnet":
        """Return the /24 network that ``address`` is in."""
        return cls(ipaddress.IPv4Network((address, 24), strict=False))

    @property
    def gateway(self) -> str:
        """The host's address on the bridge, with its prefix length."""
        return self.interface(str(self.network.network_address + 1))

    def interface(self, address: str) -> str:
        """Return an address of the network with its prefix length."""
        return f"{address}/{self.network.prefixlen}"


def ensure_bridge(name: str, subnet: Subnet) -> None:
    """Make the bridge, unless it stands; ProvisionError when another interface has addresses of the subnet."""
    _refuse_overlap(name, subnet)
    if (SYS_NET / name / "bridge").exists() and _has_address(name, subnet):
        return
    # Several endpoints may do this at once: 'exists' is as good as 'made'.
    run_ip("link", "add", "name", name, "type", "bridge", tolerate="File exists")
    # Without this, an ARP request that was sent a moment too early is repeated after one second only.
    Path(f"/proc/sys/net/ipv4/neigh/{name}/retrans_time_ms").write_text("20")
    Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
    run_ip("address", "replace", subnet.gateway, "dev", name)
    run_ip("link", "set", name, "up")


def remove_link(name: str) -> None:
    """Remove an interface; it may be gone already."""
    if is_link(name):
        run_ip("link", "delete", name, tolerate="Cannot find device")


def is_link(name: str) -> bool:
    """Whether an interface of that name exists."""
    return (SYS_NET / name).exists()


def ports_of(bridge: str) -> list[str]:
    """Return the interfaces on a bridge; none when there is no such bridge."""
    with suppress(FileNotFoundError):
        return sorted(port.name for port in (SYS_NET / bridge / "brif").iterdir())
    return []


def has_ssh_banner(address: str, port: int) -> bool:
    """Whether an SSH server answers now; the short time-out makes waiting precise, for TCP retries only after 1 s."""
    try:
        with socket.create_connection((address, port), timeout=0.06) as connection:
            connection.settimeout(1.0)
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


def run_ip(*arguments: str, tolerate: str | None = None) -> str:
    """Run ip(8) and return its output; ProvisionError unless it worked or complained about ``tolerate`` only."""
    try:
        done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError as error:
        raise ProvisionError("'ip' is missing; `redrill doctor` says how to install it.") from error
    if done.returncode != 0 and not (tolerate and tolerate in done.stderr):
        raise ProvisionError(f"`ip {' '.join(arguments)}` failed: {done.stderr.strip()}")
    return done.stdout


def _addresses() -> list[tuple[str, ipaddress.IPv4Interface]]:
    links = json.loads(run_ip("-json", "-4", "address", "show") or "[]")
    return [
        (link["ifname"], ipaddress.IPv4Interface(f"{address['local']}/{address['prefixlen']}"))
        for link in links
        for address in link.get("addr_info", ())
    ]


def _has_address(name: str, subnet: Subnet) -> bool:
    return any(link == name and str(interface) == subnet.gateway for link, interface in _addresses())


def _refuse_overlap(name: str, subnet: Subnet) -> None:
    for link, interface in _addresses():
        if link != name and interface.network.overlaps(subnet.network):
            raise ProvisionError(
                f"The interface '{link}' has the address {interface}, which is in the network {subnet.network} "
                "of the lab; take that interface down (`redrill lab down` when it is another lab's) "
                "or give the endpoints other addresses."
            )
