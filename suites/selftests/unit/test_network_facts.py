"""The network as it is read: sockets with who holds them, routes, addresses, name servers, firewall rules."""

from typing import Any

from redrill.probes.facts.catalogue import FACTS
from redrill.probes.facts.network import parse_address, parse_firewall


def parse(name: str, text: str, kind: str = "") -> Any:
    return next(fact for fact in FACTS if fact.name == name).parse(text)["runtime"][kind or name]


def socket(proto: str, local: str, inode: int, state: str = "0A") -> str:
    return (
        f"{proto}:   0: {local} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000   101        0 {inode} 1"
    )


def test_addresses_of_the_kernel_are_words_in_host_order() -> None:
    assert parse_address("0B07C612:01BB") == "18.198.7.11:443"
    assert parse_address("00000000000000000000000001000000:1538") == "[::1]:5432"
    assert parse_address("00000000000000000000000000000000:0016") == "[::]:22"


def test_listeners_are_told_with_the_process_and_unit_that_hold_them() -> None:
    rows = [
        socket("tcp", "00000000:0016", 1),
        socket("tcp6", "00000000000000000000000001000000:1538", 2),
        socket("udp", "00000000:0044", 3, "07"),
        "00000000c7d46f01: 00000002 00000000 00010000 0001 01 4 /run/dbus/system_bus_socket",
    ]
    holders = (
        "1\t40\tssh.service\tsshd\n2\t138\tpostgresql@15-main.service\tpostgres\n4\t36\tdbus.service\tdbus-daemon\n"
    )
    holders += "4\t1\tinit.scope\tsystemd\n"
    assert parse("listeners", "\n".join(rows) + "\n\x1e\n" + holders) == {
        "tcp 0.0.0.0:22": "sshd of ssh.service",
        "tcp6 [::1]:5432": "postgres of postgresql@15-main.service",
        "udp 0.0.0.0:68": "",
        "unix /run/dbus/system_bus_socket": "systemd",
    }


def test_the_number_of_a_session_or_a_container_is_no_fact() -> None:
    rows = f"{socket('tcp', '00000000:1F90', 1)}\n{socket('tcp', '00000000:1F91', 2)}\n\x1e\n"
    holders = "1\t77\tsession-3.scope\tpython3\n2\t78\tdocker-4f3a5b6c7d8e9f00.scope\tnode server\n"
    listeners = parse("listeners", rows + holders)
    assert listeners == {
        "tcp 0.0.0.0:8080": "python3 of a log-in session",
        "tcp 0.0.0.0:8081": "node server of docker.scope",
    }


def test_ports_from_which_something_asks_are_no_listeners() -> None:
    rows = f"{socket('udp', '00000000:B001', 1, '07')}\n{socket('tcp', '00000000:B001', 2)}\n"
    assert parse("listeners", f"{rows}\x1e\n2\t9\tshop.service\tshop\n") == {
        "tcp 0.0.0.0:45057": "shop of shop.service"
    }


ROUTES = """\
default via 198.18.85.1 dev host0 proto static metric 100 onlink
198.18.85.0/24 dev host0 proto kernel scope link src 198.18.85.12
unreachable 10.9.0.0/16 table 7
local 127.0.0.1 dev lo table local proto kernel scope host src 127.0.0.1
local 198.18.85.12 dev host0 table local proto kernel scope host src 198.18.85.12
broadcast 198.18.85.255 dev host0 table local proto kernel scope link src 198.18.85.12
2001:db8::/64 dev host0 proto ra metric 1024 expires 86390sec pref medium
multicast ff00::/8 dev host0 table local proto kernel metric 256 pref medium
172.17.0.0/16 dev docker0 proto kernel scope link src 172.17.0.1 linkdown
\x1e
0:\tfrom all lookup local
32765:\tfrom 10.9.0.0/16 lookup 7
"""


def test_routes_are_told_by_destination_without_what_moves() -> None:
    assert parse("routes", ROUTES) == {
        "198.18.85.0/24": "dev host0 proto kernel",
        "2001:db8::/64 metric 1024": "dev host0 proto ra",
        "default metric 100": "via 198.18.85.1 dev host0 proto static onlink",
        "unreachable 10.9.0.0/16 table 7": "",
    }


def test_addresses_and_routing_rules_come_with_the_routes() -> None:
    assert parse("routes", ROUTES, "addresses") == {"198.18.85.12": "host0"}
    assert set(parse("routes", ROUTES, "routing rules")) == {
        "0: from all lookup local",
        "32765: from 10.9.0.0/16 lookup 7",
    }


def test_name_servers_are_told_without_comments() -> None:
    text = "# made by hand\nnameserver  192.0.2.53\nsearch a.example b.example\nunknown word\n"
    assert set(parse("name servers", text)) == {"nameserver 192.0.2.53", "search a.example b.example"}


RULESET = """\
table inet shop {
\tset guests {
\t\ttype ipv4_addr
\t\telements = { 192.0.2.1, 192.0.2.2,
\t\t\t     192.0.2.3 }
\t}

\tset banned {
\t\ttype ipv4_addr
\t\tflags dynamic,timeout
\t\telements = { 192.0.2.9 timeout 10m expires 9m59s }
\t}

\tchain input {
\t\ttype filter hook input priority filter; policy drop;
\t\ttcp dport { 22, 80 } accept
\t\tip saddr @guests counter accept
\t}
}
# Warning: table ip filter is managed by iptables-nft, do not touch!
table ip filter {
\tchain OUTPUT {
\t}
}
"""


def test_firewall_rules_are_told_by_chain_in_their_order() -> None:
    assert parse_firewall(RULESET.splitlines()) == {
        "inet shop set guests": "type ipv4_addr\nelements = { 192.0.2.1, 192.0.2.2, 192.0.2.3 }",
        "inet shop set banned": "type ipv4_addr\nflags dynamic,timeout",
        "inet shop input": "type filter hook input priority filter; policy drop;\n"
        "tcp dport { 22, 80 } accept\nip saddr @guests counter accept",
        "ip filter OUTPUT": "",
    }


def test_iptables_rules_are_told_without_counters() -> None:
    lines = ("# Generated", "*filter", ":INPUT DROP [12:3456]", ":SHOP - [0:0]", "-A INPUT -i lo -j ACCEPT", "COMMIT")
    assert parse_firewall(lines) == {
        "iptables filter INPUT": "policy DROP\n-i lo -j ACCEPT",
        "iptables filter SHOP": "policy -",
    }
