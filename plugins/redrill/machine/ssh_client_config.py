"""How OpenSSH's client reaches an endpoint just as redrill itself does: the same hops, keys and pins, and no others."""

import base64
from collections.abc import Sequence
from pathlib import Path

from redrill.machine.ssh_config import Hop
from redrill.private import write_private


def write_client_config(hops: Sequence[Hop], folder: Path) -> str:
    """Write ``ssh_config`` and ``known_hosts`` into a folder and return the name by which the last hop is reached."""
    names = [f"redrill-hop-{number}" for number in range(1, len(hops) + 1)]
    known_hosts = folder / "known_hosts"
    write_private(known_hosts, "".join(_pin_lines(name, hop) for name, hop in zip(names, hops, strict=True)))
    blocks = [
        _block(name, hop, known_hosts, before) for name, hop, before in zip(names, hops, [None, *names], strict=False)
    ]
    write_private(folder / "ssh_config", "\n".join(blocks))
    return names[-1]


def _pin_lines(name: str, hop: Hop) -> str:
    marked = [("", key) for key in hop.pins.accepted] + [("@revoked ", key) for key in hop.pins.revoked]
    return "".join(f"{mark}{name} {key.kind} {base64.b64encode(key.blob).decode()}\n" for mark, key in marked)


def _block(name: str, hop: Hop, known_hosts: Path, before: str | None) -> str:
    keys = (hop.key,) if hop.key else hop.identities
    options = {
        "HostName": hop.host,
        "Port": str(hop.port),
        "User": hop.user,
        "HostKeyAlias": name,
        "HostKeyAlgorithms": ",".join(hop.pins.algorithms(name, hop.where)),
        "UserKnownHostsFile": f'"{known_hosts}"',
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "BatchMode": "yes",
        "IdentitiesOnly": "yes" if hop.key else "no",
        **({"IdentityAgent": "none"} if hop.is_without_agent else {}),
        **({"ProxyJump": before} if before else {}),
    }
    lines = [f"  {key} {value}" for key, value in options.items()] + [f'  IdentityFile "{key}"' for key in keys]
    return "\n".join([f"Host {name}", *lines]) + "\n"
