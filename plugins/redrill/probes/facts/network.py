"""The network: who listens, addresses, routes, name servers, the firewall, and what of it is configured."""

import re
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import Any

from redrill.probes.facts.fact import Fact
from redrill.probes.facts.volatile import settle_items

# First what listens, by the kernel's tables (proc(5)); then, for each of these inodes, the process that holds it.
_LISTENERS = r"""
rows=$(cd /proc/net && grep -sE ':0000 (0A|07) ' tcp tcp6 udp udp6; grep -s ' 00010000 ' /proc/net/unix)
printf '%s\n\036\n' "$rows"
{ printf '%s\n' "$rows"; echo; ls -l /proc/[0-9]*/fd 2>/dev/null; } | awk '
  !told && /^$/ { told = 1; next }
  !told { is_ip = sub(/^(tcp|udp)6?: */, ""); wanted[is_ip ? $10 : $7] = 1; next }
  /^\/proc\// { split($0, part, "/"); pid = part[3] }
  match($0, /socket:\[[0-9]+\]$/) {
    inode = substr($0, RSTART + 8, RLENGTH - 9)
    if (!(inode in wanted) || seen[inode, pid]++) next
    name = unit = ""
    getline name < ("/proc/" pid "/comm"); close("/proc/" pid "/comm")
    file = "/proc/" pid "/cgroup"
    while ((getline line < file) > 0) if (line ~ /^0::/ || line ~ /:name=systemd:/) unit = line
    close(file); sub(/.*[:\/]/, "", unit)
    print inode "\t" pid "\t" unit "\t" name
  }'
"""
_ROUTES = """
command -v ip >/dev/null || exit 77
families=-4
[ ! -e /proc/net/if_inet6 ] || families='-4 -6'
for family in $families; do ip $family -o route show table all || exit 1; done
printf '\\036\\n'
for family in $families; do ip $family rule; done
exit 0
"""
_DNS = "cat /etc/resolv.conf 2>/dev/null; cat /run/systemd/resolve/resolv.conf 2>/dev/null; exit 0"
# Asking the kernel would load the module; where that is not loaded and not built in, there is no rule.
_FIREWALL = r"""
has_module() {
  [ ! -e /proc/modules ] || grep -qs "^$1 " /proc/modules ||
    grep -qs "/$1\.ko" "/lib/modules/$(uname -r)/modules.builtin"
}
legacy=$(cat /proc/net/ip_tables_names /proc/net/ip6_tables_names 2>/dev/null)
command -v nft >/dev/null || command -v iptables-save >/dev/null || exit 77
if command -v nft >/dev/null; then
  if has_module nf_tables; then nft --stateless list ruleset || exit 1; fi
elif [ -z "$legacy" ] && has_module nf_tables; then iptables-save && ip6tables-save || exit 1; fi
if [ -n "$legacy" ]; then
  if command -v iptables-legacy-save >/dev/null; then iptables-legacy-save && ip6tables-legacy-save
  else iptables-save && ip6tables-save; fi
fi
"""
# Every address that any network configuration or lease names, and nothing else of these files: some hold passwords.
_CONFIGURED = r"""
ipv4='[0-9]{1,3}(\.[0-9]{1,3}){3}'
ipv6='[0-9a-fA-F]*:[0-9a-fA-F:]*:[0-9a-fA-F]*'
for folder in /etc/network /etc/netplan /etc/systemd/network /run/systemd/network /usr/lib/systemd/network \
    /run/NetworkManager /etc/NetworkManager /etc/sysconfig /etc/conf.d /etc/wireguard /etc/iproute2 /etc/cloud \
    /etc/dhcpcd.conf /var/lib/dhcp /var/lib/dhclient /var/lib/NetworkManager /run/systemd/netif; do
  [ ! -e $folder ] || grep -rshoE "($ipv4|$ipv6)(/[0-9]+)?" $folder
done | sort -u
"""


def parse_address(text: str) -> str:
    """Return 'address:port' for the kernel's hex form: words of four bytes in host order (proc(5))."""
    address, _, port = text.partition(":")
    words = [bytes.fromhex(address[i : i + 8])[::-1] for i in range(0, len(address), 8)]
    host = ip_address(b"".join(words))
    return f"[{host}]:{int(port, 16)}" if host.version == 6 else f"{host}:{int(port, 16)}"


def _parse_listeners(text: str) -> dict[str, Any]:
    """Return the process by socket: 'sshd of ssh.service' by 'tcp 0.0.0.0:22', '' where it is not visible."""
    sockets, _, holders = text.partition("\x1e\n")
    owners = _owners(holders)
    found: dict[str, set[str]] = {}
    for line in sockets.splitlines():
        name, inode = _parse_socket(line)
        if name:
            found.setdefault(name, set()).add(owners.get(inode, ""))
    listeners = {name: ", ".join(sorted(names)) for name, names in found.items()}
    return {"runtime": {"listeners": settle_items("listeners", listeners)}}


def _parse_socket(line: str) -> tuple[str, str]:
    row = line.split()
    if row[0].startswith(("tcp", "udp")):
        row = line.replace(":", " ", 1).split()
        return f"{row[0]} {parse_address(row[2])}", row[10]
    return (f"unix {row[7]}", row[6]) if len(row) > 7 else ("", "")


def _owners(text: str) -> dict[str, str]:
    """Return who holds an inode: the process with the lowest id, which is systemd for a socket that it passes on."""
    owners: dict[str, str] = {}
    for inode, pid, unit, name in sorted((line.split("\t", 3) for line in text.splitlines()), key=_process_id):
        is_of_unit = pid != "1" and unit.endswith((".service", ".scope", ".slice"))
        holder = re.sub(r"session-\w+\.scope", "a log-in session", unit)
        owners.setdefault(inode, f"{name} of {holder}" if is_of_unit else name)
    return owners


def _process_id(row: list[str]) -> int:
    return int(row[1])


def _parse_routes(text: str) -> dict[str, Any]:
    listed, _, rules = text.partition("\x1e\n")
    routes, addresses = {}, {}
    for line in listed.splitlines():
        words = line.replace("\\", " ").split()
        if words[0] == "local" and "dev" in words:
            addresses[words[1]] = words[words.index("dev") + 1]
        else:
            item, value = _split_route(words)
            routes[item] = value
    kinds = {
        "routes": routes,
        "addresses": addresses,
        "routing rules": {" ".join(line.split()): "" for line in rules.splitlines()},
    }
    return {"runtime": {kind: settle_items(kind, items) for kind, items in kinds.items()}}


def _split_route(words: list[str]) -> tuple[str, str]:
    """Return what makes a route unique (destination, table, metric), and the way it takes."""
    count = 1 if words[0] == "default" or set(words[0]) & {".", ":"} else 2
    item, way = words[:count], words[count:]
    for key in ("table", "metric"):
        if key in way:
            place = way.index(key)
            item += way[place : place + 2]
            del way[place : place + 2]
    return " ".join(item), " ".join(["", *way]).rstrip()


def _parse_dns(text: str) -> dict[str, Any]:
    lines = (" ".join(line.split()) for line in text.splitlines())
    wanted = ("nameserver ", "search ", "domain ", "options ", "sortlist ")
    found = {line: "" for line in lines if line.startswith(wanted)}
    return {"runtime": {"name servers": settle_items("name servers", found)}}


def parse_firewall(lines: Iterable[str]) -> dict[str, str]:
    """Return the rules of every chain, one a line, by 'family table chain'; sets and maps count as chains, too.

    Reads ``nft list ruleset`` (nft(8)) and ``iptables-save``.
    """
    chains: dict[str, list[str]] = {}
    for place, rule in _read_rules(lines):
        chains.setdefault(place, []).extend([rule] if rule else [])
    return {place: "\n".join(_without_passing_elements(rules)) for place, rules in chains.items()}


def _without_passing_elements(rules: list[str]) -> list[str]:
    """Leave out the elements of a set that packets or a ban list add to."""
    is_passing = any(re.match("flags .*(dynamic|timeout)|timeout ", rule) for rule in rules)
    start = next((i for i, rule in enumerate(rules) if rule.startswith("elements")), len(rules))
    elements = " ".join(rules[start:])
    return rules[:start] + ([elements] if elements and not is_passing else [])


def _read_rules(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    path: list[str] = []
    for line in map(str.strip, lines):
        if line.startswith("*"):
            path = [f"iptables {line[1:]}"]
        elif line.endswith("{") and not line.startswith("elements"):
            path.append(line.removesuffix("{").strip().removeprefix("table ").removeprefix("chain "))
            yield from [(" ".join(path), "")] * (len(path) > 1)  # a table of its own says nothing
        elif line == "}":
            path.pop()
        elif line.startswith(":") and path:
            chain, policy = line[1:].split()[:2]
            yield f"{path[0]} {chain}", f"policy {policy}"
        elif line.startswith("-A ") and path:
            chain, _, rule = line[3:].partition(" ")
            yield f"{path[0]} {chain}", rule
        elif line and path and line != "COMMIT" and not line.startswith("#"):
            yield " ".join(path), line


def _parse_firewall(text: str) -> dict[str, Any]:
    return {"runtime": {"firewall": settle_items("firewall", parse_firewall(text.splitlines()))}}


def _parse_configured(text: str) -> dict[str, Any]:
    return {"runtime": {"configured addresses": dict.fromkeys(text.split(), "")}}


NETWORK_FACTS = (
    Fact("listeners", _LISTENERS, _parse_listeners, needs_init=True),
    Fact("routes", _ROUTES, _parse_routes, needs_init=True),
    Fact("name servers", _DNS, _parse_dns, needs_init=True),
    Fact("firewall", _FIREWALL, _parse_firewall, needs_init=True),
    Fact("configured addresses", _CONFIGURED, _parse_configured, needs_init=True),
)
"""How the endpoint is reached, and what it reaches."""
