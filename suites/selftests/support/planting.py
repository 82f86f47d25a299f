"""What a planted fault is, and the ways to plant one on a live endpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_AGENT = "/etc/systemd/system/boot-agent.service"
_SCRIPT = "/etc/boot-agent"


@dataclass(frozen=True, slots=True)
class Fault:
    """One violation on one endpoint, and the tests that must turn red: exactly these, of all tests of the endpoint.

    ``plant`` and ``heal`` are shell programs that run on the live endpoint before its drill and after it; what the
    redeploy itself removes needs no ``heal``. ``fleet`` is what the fleet file says of the endpoint during the drill,
    and ``files`` stand beside it, by their names. ``waivers`` are those that the fleet has meanwhile, by their ids.
    ``needs_rebuild``: afterwards the endpoint is brought back to its Day 1, for nothing less heals it.
    """

    name: str
    endpoint: str
    red: frozenset[str]
    why: str
    plant: str = ""
    heal: str = ""
    fleet: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    waivers: Mapping[str, Any] = field(default_factory=dict)
    needs_rebuild: bool = False


def fault(name: str, endpoint: str, red: str | tuple[str, ...], why: str, plant: str = "", **more: object) -> Fault:
    """Return a fault; ``red`` names tests, those of an application with the application after a colon."""
    tests = (red,) if isinstance(red, str) else red
    return Fault(name, endpoint, frozenset(_test_id(test, endpoint) for test in tests), why, plant, **more)


def _test_id(test: str, endpoint: str) -> str:
    name, _, application = test.partition(":")
    return f"test_{name}[{endpoint}-{application}]" if application else f"test_{name}[{endpoint}]"


def at_boot(script: str, order: str = "") -> str:
    """Plant an agent in /etc that runs ``script`` at every boot: it comes back with the backup and acts for the first
    time when the restored system starts. ``order`` is such as 'Before=nginx.service'."""
    unit = f"""[Unit]
Description=An agent that runs at every boot
{order}

[Service]
Type=oneshot
ExecStart=/bin/sh -e {_SCRIPT}

[Install]
WantedBy=multi-user.target
"""
    return f"cat >{_SCRIPT} <<'END'\n{script}\nEND\ncat >{_AGENT} <<'END'\n{unit}END\nsystemctl -q enable boot-agent"


def no_agent(and_then: str = ":") -> str:
    """Remove the agent of ``at_boot`` and undo what it did."""
    return f"systemctl -q disable boot-agent; rm {_AGENT} {_SCRIPT}; systemctl daemon-reload; {and_then}"


def drop_in(unit: str, text: str) -> str:
    """Plant a drop-in of a unit; the running unit does not notice it."""
    folder = f"/etc/systemd/system/{unit}.d"
    return f"mkdir -p {folder} && printf '{text}' >{folder}/99-fault.conf && systemctl daemon-reload"


def no_drop_in(unit: str) -> str:
    """Remove the drop-in of ``drop_in``."""
    return f"rm -r /etc/systemd/system/{unit}.d; systemctl daemon-reload"


def package(name: str, *, has_files: bool) -> str:
    """Build and install a package by hand, as an operator would who is in a hurry."""
    control = f"Package: {name}\\nVersion: 1.0\\nArchitecture: all\\nMaintainer: nobody\\nDescription: by hand\\n"
    payload = f"mkdir -p /run/{name}/var/lib/{name} && echo 1 >/run/{name}/var/lib/{name}/data" if has_files else ":"
    return (
        f"mkdir -p /run/{name}/DEBIAN && printf '{control}' >/run/{name}/DEBIAN/control && {payload} && "
        f"dpkg-deb -b /run/{name} /run/{name}.deb && dpkg -i /run/{name}.deb"
    )
