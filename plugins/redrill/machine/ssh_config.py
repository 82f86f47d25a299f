"""From what the fleet file and ``~/.ssh/config`` say to the hops that lead to an endpoint."""

import getpass
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import paramiko

from redrill.errors import MachineError
from redrill.machine.host_keys import Pins, pin_lines, read_known_hosts
from redrill.model.fleet import Ssh
from redrill.model.jump import parse_jump
from redrill.model.record import Location

_DEFAULT_CONFIG = "~/.ssh/config"
_DEFAULT_KNOWN_HOSTS = "~/.ssh/known_hosts /etc/ssh/ssh_known_hosts"
_DEFAULT_KEYS = ("~/.ssh/id_ed25519", "~/.ssh/id_ecdsa", "~/.ssh/id_rsa")
_MAX_DEPTH = 8


@dataclass(frozen=True, slots=True)
class Hop:
    """One SSH server on the way: where it is, who logs in with which key files, and what it must show.

    ``key`` is the only key that is tried when it is set; else the agent (unless ``is_without_agent``) and
    ``identities`` are.
    """

    host: str
    port: int
    user: str
    pins: Pins
    key: Path | None = None
    identities: tuple[Path, ...] = ()
    is_without_agent: bool = False

    @property
    def where(self) -> str:
        """Host and port as they are written in messages."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def resolve_hops(name: str, ssh: Ssh, location: Location) -> tuple[Hop, ...]:
    """Return the hops to an endpoint, itself last; what the fleet file says wins over the SSH configuration.

    The host keys of ``location`` (learnt out of band) win over those of the fleet file, and these over known_hosts
    files; a key that a known_hosts file revokes is refused in any case. Raises MachineError or HostKeyError.
    """
    if not location.address:
        raise MachineError(f"The address of '{name}' is not known, so it cannot be reached over SSH.")
    config = _lookup(name, ssh, location.address)
    hop = _hop_of(name, ssh, location.address, config)
    told = _told_port(ssh, location)
    pins = _pins_of(name, ssh, location, config, replace(hop, port=told or hop.port))
    endpoint = replace(
        hop,
        port=told or hop.port,
        user=ssh.user if "user" in ssh.model_fields_set else config.get("user", ssh.user),
        pins=pins,
    )
    jumps = ssh.proxy_jump if ssh.proxy_jump is not None else config.get("proxyjump")
    if not jumps and config.get("proxycommand"):
        raise MachineError(
            f"The SSH configuration reaches '{name}' ({location.address}) by a ProxyCommand, which is not supported; "
            f"set 'ssh: {{proxy_jump: …}}' in the fleet file."
        )
    return (*_jumps(name, ssh, jumps, 0), endpoint)


def _jumps(name: str, ssh: Ssh, text: str | None, depth: int) -> tuple[Hop, ...]:
    """Return the hops of a comma-separated chain, and before them those that its first host needs itself."""
    if not text or text.lower() == "none":
        return ()
    if depth >= _MAX_DEPTH:
        raise MachineError(f"The jump hosts of '{name}' lead in a circle; the last one was '{text}'.")
    hops: list[Hop] = []
    for part in text.split(","):
        try:
            user, host, port = parse_jump(part)
        except ValueError as error:
            raise MachineError(f"The way to '{name}' is wrong: {error}.") from error
        config = _lookup(name, ssh, host)
        if not hops:
            hops += _jumps(name, ssh, config.get("proxyjump"), depth + 1)
        hop = _hop_of(name, ssh, host, config)
        hop = replace(hop, port=port or hop.port, user=user or config.get("user") or getpass.getuser())
        hops.append(replace(hop, pins=_known(ssh, config, hop)))
    return tuple(hops)


def _hop_of(name: str, ssh: Ssh, host: str, config: dict[str, str]) -> Hop:
    """Return a hop as the SSH configuration has it, without pins and with the key of the fleet file."""
    try:
        port = int(config.get("port", "22"))
    except ValueError as error:
        raise MachineError(f"The SSH configuration for '{name}' has a wrong port: {config['port']!r}.") from error
    identities = config["identityfile"].split("\0") if "identityfile" in config else _DEFAULT_KEYS
    return Hop(
        host=config.get("hostname", host),
        port=port,
        user="",
        pins=Pins(),
        key=ssh.key.expanduser() if ssh.key else None,
        identities=tuple(Path(path).expanduser() for path in identities),
        is_without_agent=config.get("identitiesonly") == "yes",
    )


def _told_port(ssh: Ssh, location: Location) -> int | None:
    """Return the port that the provisioner or the fleet file names; None leaves it to the SSH configuration."""
    if location.port != 22:
        return location.port
    return ssh.port if "port" in ssh.model_fields_set else None


def _pins_of(name: str, ssh: Ssh, location: Location, config: dict[str, str], hop: Hop) -> Pins:
    known = _known(ssh, config, hop)
    if location.host_keys:
        pins = pin_lines(location.host_keys, name, "its location")
    elif ssh.host_keys:
        pins = pin_lines(ssh.host_keys, name, "the fleet file")
    else:
        return known
    return replace(pins, revoked=known.revoked)


def _known(ssh: Ssh, config: dict[str, str], hop: Hop) -> Pins:
    if ssh.known_hosts:
        paths = [ssh.known_hosts.expanduser()]
    else:
        paths = [Path(path).expanduser() for path in config.get("userknownhostsfile", _DEFAULT_KNOWN_HOSTS).split()]
    alias = config.get("hostkeyalias")
    return read_known_hosts(paths, alias or hop.host, 22 if alias else hop.port)


def _lookup(name: str, ssh: Ssh, host: str) -> dict[str, str]:
    path = (ssh.config or Path(_DEFAULT_CONFIG)).expanduser()
    try:
        return dict(_lookup_cached(path, path.stat().st_mtime_ns, host))
    except FileNotFoundError as error:
        if ssh.config:
            raise MachineError(f"The SSH configuration '{path}' for '{name}' does not exist.") from error
        return {}
    except (OSError, UnicodeDecodeError, paramiko.SSHException) as error:
        raise MachineError(f"The SSH configuration '{path}' for '{name}' cannot be read: {error}") from error


@lru_cache(maxsize=1024)
def _lookup_cached(path: Path, mtime: int, host: str) -> tuple[tuple[str, str], ...]:  # noqa: ARG001 - part of the key
    """Look a host up once per state of the file: paramiko asks DNS for the controller's own name each time."""
    config = paramiko.SSHConfig()
    config.parse(_lines(path, 0))
    found = config.lookup(host)
    joined = {key: "\0".join(value) if isinstance(value, list) else value for key, value in found.items()}
    return tuple((key, str(value)) for key, value in joined.items() if value is not None)


def _lines(path: Path, depth: int) -> Iterator[str]:
    """Yield the lines of a configuration with its ``Include`` lines replaced by what they name; paramiko does not."""
    for line in path.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if len(words) < 2 or words[0].lower() != "include" or depth > _MAX_DEPTH:
            yield line
            continue
        for word in words[1:]:
            pattern = Path(word).expanduser()
            base = Path("/") if pattern.is_absolute() else Path("~/.ssh").expanduser()
            for found in sorted(base.glob(str(pattern.relative_to("/") if pattern.is_absolute() else pattern))):
                yield from _lines(found, depth + 1)
