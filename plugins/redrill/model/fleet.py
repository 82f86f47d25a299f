"""What ``fleet.yml`` declares: a fleet, its endpoints and what each of them must do. Values only."""

import ipaddress
import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, Field, model_validator

from redrill.model.application import Application, ApplicationRef, Objectives
from redrill.model.canary import Canary, Consistency, FilesOf, Hooks, StateClass, file_canaries
from redrill.model.checks import Port
from redrill.model.choice import Chosen
from redrill.model.churn import parse_churn
from redrill.model.desired_state import DesiredState
from redrill.model.guards import Guards
from redrill.model.jump import parse_jump
from redrill.model.rules import IgnoreRule
from redrill.model.values import Duration, Value

_HOST_LABEL = re.compile(r"[a-zA-Z0-9_]([a-zA-Z0-9_-]{0,61}[a-zA-Z0-9_])?")
_NUMERIC_LABEL = re.compile(r"[0-9]+|0[xX][0-9a-fA-F]*")


def _check_name(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,62}", value):
        raise ValueError(f"{value!r} is not a name; use lower-case letters, digits and hyphens")
    return value


def _check_address(value: str) -> str:
    host, _, zone = value.partition("%")
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = value.removesuffix(".").split(".")
        is_name = len(value) <= 253 and all(_HOST_LABEL.fullmatch(label) for label in labels)
        # Resolvers read '10.20.0' and '0x7f.1' as addresses, so a mistyped address would mean another machine.
        if not is_name or _NUMERIC_LABEL.fullmatch(labels[-1]):
            raise ValueError(
                f"{value!r} is neither an IP address nor a host name; write '10.20.0.11', 'fd00::11' or "
                "'web-1.shop.example', other alphabets as 'xn--…'"
            ) from None
    # Python takes anything at all for the zone of an IPv6 address.
    if "%" in value and not (":" in host and re.fullmatch(r"[a-zA-Z0-9_.-]{1,15}", zone)):
        raise ValueError(f"{value!r} has a zone that is no interface name; write it as 'fe80::1%eth0'")
    return value


def _check_user(value: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_.-]{0,31}", value):
        raise ValueError(
            f"{value!r} is not a user name; write lower-case letters, digits, '_', '-' and '.', and the host elsewhere"
        )
    return value


def _check_jumps(value: str) -> str:
    for part in value.split(",") if value.lower() != "none" else ():
        user, host, _ = parse_jump(part)
        _check_address(host)
        if user:
            _check_user(user)
    return value


def _check_churn(value: str) -> str:
    parse_churn(value)
    return value


def _check_pattern(value: str) -> str:
    if not value.startswith("/") or not value.isprintable():
        raise ValueError(f"{value!r} is no absolute path; write it as '/srv/shop/*.conf' or '/var/www'")
    return value


Name = Annotated[str, AfterValidator(_check_name)]
Address = Annotated[str, AfterValidator(_check_address)]
User = Annotated[str, AfterValidator(_check_user)]
Jumps = Annotated[str, AfterValidator(_check_jumps)]
ChurnLine = Annotated[str, AfterValidator(_check_churn)]
PathPattern = Annotated[str, AfterValidator(_check_pattern)]


class Ssh(Value):
    """How to reach an endpoint; ``host_keys`` are lines such as ``ssh-ed25519 AAAA…`` that pin what it must show."""

    user: User = "root"
    port: Port = 22
    key: Path | None = None
    host_keys: tuple[str, ...] = ()
    known_hosts: Path | None = None
    config: Path | None = None
    proxy_jump: Jumps | None = None


class Backend(Value):
    """A backend by name; what else it takes is checked by the backend's own ``Settings``."""

    model_config = ConfigDict(extra="allow", frozen=True)

    kind: str

    @property
    def settings(self) -> dict[str, Any]:
        """What the fleet file says to the backend, without its kind."""
        return dict(self.model_extra or {})


class Image(Value):
    """What an endpoint is rebuilt from, and the version that it must then show.

    ``definition`` is what builds the image where redrill builds it (the lab); ``packages`` are wanted versions by
    package name; ``digest`` pins the image's content.
    """

    name: str
    version: str
    digest: str | None = None
    definition: Path | None = None
    os_release: dict[str, str] = {}
    packages: dict[str, str] = {}


class BackupPolicy(Value):
    """Which backup a drill restores, and for how long the endpoint goes on working between it and the wipe.

    With ``lead`` the drill measures what a real outage so long after a backup would lose. Applications that are stopped
    for the backup are then started again after it, unless they declare otherwise.

    ``snapshot`` is 'drill' for the backup that the drill makes, else it says which of the owner's own is restored: that
    such a backup is enough is then what the drill proves.
    """

    lead: Duration | None = None
    snapshot: Chosen = None


class Relocation(Value):
    """The new host of mode 'relocate': its own name and address, and what makes it, if not what made the old one.

    ``keep`` says which of the two is left in the end: 'old' for a rehearsal, 'new' when the endpoint is to move.
    """

    name: Name
    address: Address | None = None
    provisioner: Backend | None = None
    keep: Annotated[str, Field(pattern="^(old|new)$")] = "old"


class Vanilla(Value):
    """What must run on an endpoint of which nothing was restored (mode 'vanilla'), besides what its image enables."""

    units: tuple[str, ...] = ()


class Endpoint(Value):
    """One machine of a fleet, with the defaults and its role already folded in.

    ``ephemeral`` are globs of paths outside the state paths that a redeploy may lose, ``references`` patterns of files
    and folders, besides its configuration, that must not name the very machine. ``neighbours`` are applications of
    other endpoints that its drill must not harm. ``file_canaries`` are the state paths in which the drill writes
    files of its own to measure what is lost, ``canaries`` are further ones, besides those of applications.
    """

    name: Name
    role: Name | None = None
    address: Address | None = None
    tags: tuple[str, ...] = ()
    expendable: bool = False
    failure_domain: Name | None = None
    ssh: Ssh = Ssh()
    image: Image | None = None
    provisioner: Backend | None = None
    repository: Backend | None = None
    log_sink: Backend | None = None
    restore: Annotated[str, Field(pattern="^(auto|offline|live)$")] = "auto"
    backup: BackupPolicy = BackupPolicy()
    relocate: Relocation | None = None
    vanilla: Vanilla = Vanilla()
    objectives: Objectives = Objectives()
    applications: dict[Name, Application] = {}
    neighbours: tuple[ApplicationRef, ...] = ()
    file_canaries: tuple[FilesOf, ...] = ("/home", "/var")
    canaries: dict[Name, Canary] = {}
    churn: tuple[ChurnLine, ...] = ()
    ignore: tuple[IgnoreRule, ...] = ()
    ephemeral: tuple[PathPattern, ...] = ()
    desired_state: DesiredState | None = None
    references: tuple[PathPattern, ...] = ()
    day1: Path | None = None

    @property
    def relocated(self) -> "Endpoint":
        """The endpoint as its new host will be; itself when none is declared."""
        new = self.relocate
        if new is None:
            return self
        changes = {"name": new.name, "address": new.address, "provisioner": new.provisioner or self.provisioner}
        return self.model_copy(update=changes)

    @property
    def state_classes(self) -> dict[str, StateClass]:
        """Everything of which a drill measures what is lost, by name: its files, what it declares, its applications."""
        own = {**file_canaries(self.file_canaries), **self.canaries}
        declared = {name: each.canary for name, each in self.applications.items() if each.canary}
        return {
            **{name: StateClass(canary, None) for name, canary in own.items()},
            **{name: StateClass(canary, name) for name, canary in declared.items()},
        }

    def quiesce_of(self, application: str) -> "str | Hooks":
        """Return how an application is made still for a backup: as it declares, else by what it has to be stopped."""
        declared, units = self.applications[application].quiesce, self.applications[application].units
        if declared is not None:
            return declared
        return ("pause" if self.backup.lead else "stop") if units else "live"

    def consistency_of(self, application: str) -> Consistency:
        """Return what a backup that the drill makes holds of an application's data."""
        how = self.quiesce_of(application)
        if isinstance(how, Hooks):
            return Consistency.HOOKS
        return {"stop": Consistency.STOPPED, "pause": Consistency.PAUSED}.get(how, Consistency.CRASH)

    @model_validator(mode="after")
    def _needs_names_of_their_own(self) -> "Endpoint":
        if twice := sorted(self.canaries.keys() & self.applications.keys()):
            raise ValueError(f"'{twice[0]}' is both an application and one of 'canaries'; give it another name there")
        return self

    def objectives_of(self, application: str) -> Objectives:
        """Return the targets of an application: its own, else those of the endpoint."""
        return self.applications[application].objectives or self.objectives

    @property
    def outage(self) -> timedelta:
        """How long a drill may leave it down: until its slowest application must have recovered and held."""
        times = [self.objectives_of(name).rto + each.hold for name, each in self.applications.items()]
        return max(times, default=self.objectives.rto)


class Fleet(Value):
    """All endpoints that a fleet file declares; ``locks`` is where drills exclude each other, if not by default.

    ``ledger`` is where their measurements are kept, if not by default, ``waivers`` the file of what is accepted for
    now; ``digest`` is the sha256 of the fleet file's text, which a plan is bound to.
    """

    name: Name
    environment: str = "unnamed"
    disposable: bool = False
    locks: Backend | None = None
    ledger: Backend | None = None
    guards: Guards = Guards()
    waivers: Path | None = None
    source: Path
    digest: str = ""
    endpoints: tuple[Endpoint, ...]

    def endpoint(self, name: str) -> Endpoint:
        """Return the endpoint called ``name``; KeyError when there is none."""
        for endpoint in self.endpoints:
            if endpoint.name == name:
                return endpoint
        raise KeyError(name)
