"""Health checks of applications: asked from the controller by the real protocol, or on the endpoint itself."""

import importlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from redrill.drill.health import inside, outside
from redrill.drill.health.patience import Patience
from redrill.errors import FleetError
from redrill.machine.protocol import Machine
from redrill.model.application import Application
from redrill.model.checks import (
    NEEDS_MACHINE,
    Check,
    CommandCheck,
    DnsCheck,
    HttpCheck,
    PostgresqlCheck,
    RedisCheck,
    TcpCheck,
    UnitCheck,
)
from redrill.model.recovery import CheckResult
from redrill.model.secret import SecretValue, secrets_in
from redrill.secrets_source import reveal

_OUTSIDE: dict[type, Callable[[str, Any, Patience], str]] = {
    HttpCheck: outside.ask_http,
    TcpCheck: outside.ask_tcp,
    PostgresqlCheck: outside.ask_postgresql,
    RedisCheck: outside.ask_redis,
    DnsCheck: outside.ask_dns,
}
_CLIENTS = {PostgresqlCheck: ("psycopg", "postgresql"), RedisCheck: ("redis", "redis"), DnsCheck: ("dns", "dns")}
"""The library that a check needs, and the extra that it is in."""


def require_clients(applications: Iterable[tuple[str, Application]]) -> None:
    """Raise one FleetError when this controller lacks what checks need: a library, a CA file, a secret."""
    missing: dict[str, None] = {}
    for name, application in applications:
        for _, secret in secrets_in(application):
            if isinstance(secret, SecretValue):
                reveal(secret)
        for check in application.checks:
            library, extra = _CLIENTS.get(type(check), ("", ""))
            try:
                importlib.import_module(library or "redrill")
            except ImportError as error:
                missing[
                    f"The check '{extra}' of '{name}' needs what is not installed ({error}): "
                    f"pip install 'redrill[{extra}]'."
                ] = None
            if isinstance(check, HttpCheck) and check.ca is not None and not check.ca.is_file():
                missing[f"The check 'http' of '{name}' trusts '{check.ca}', which is no file; put it there."] = None
    if missing:
        raise FleetError(*missing)


@dataclass(frozen=True, slots=True)
class Target:
    """Where an application is asked: the address, and the live handle for what is asked on the endpoint itself."""

    address: str
    machine: Machine | None = None


@dataclass(slots=True)
class Asker:
    """Asks an application all of its checks; remembers what only a second answer can tell. For one thread."""

    application: Application
    _patience: dict[int, Patience] = field(default_factory=dict)
    _starts: inside.Starts = field(default_factory=inside.Starts)

    def ask(self, target: Target, knock: float | None = None) -> tuple[CheckResult, ...]:
        """Return the answer of every check, now; one that cannot be asked is not healthy and says why.

        ``knock``: it may be down, so a connection is given up soon, but not before so many seconds.
        """
        return tuple(self._ask(number, check, target, knock) for number, check in enumerate(self.application.checks))

    def _ask(self, number: int, check: Check, target: Target, knock: float | None) -> CheckResult:
        name = name_of(check)
        patience = self._patience.setdefault(number, Patience())
        try:
            with patience.measured(knock):
                detail = self._answer(check, target, patience)
        except outside.UNANSWERED as error:
            kind = "" if type(error) is OSError else f"{type(error).__name__}: "
            return CheckResult(check=name, healthy=False, detail=f"{kind}{error}")
        except inside.UnhealthyError as error:
            return CheckResult(check=name, healthy=False, detail=str(error))
        return CheckResult(check=name, healthy=True, detail=detail)

    def _answer(self, check: Check, target: Target, patience: Patience) -> str:
        if not isinstance(check, NEEDS_MACHINE):
            if not target.address:  # libpq, for one, would ask the controller itself
                raise inside.UnhealthyError("not reachable: it has no address at this moment")
            return _OUTSIDE[type(check)](target.address, check, patience)
        if target.machine is None:
            raise inside.UnhealthyError("not reachable: there is no connection to the endpoint at this moment")
        if isinstance(check, UnitCheck):
            return self._starts.ask_unit(target.machine, check, patience)
        return inside.ask_command(target.machine, check, patience)


def name_of(check: Check) -> str:
    """Return what a check is called in messages."""
    match check:
        case HttpCheck():
            name = f"http{'s' if check.tls else ''} {check.port}{check.path}"
        case TcpCheck():
            name = f"tcp {check.port}"
        case UnitCheck():
            name = f"unit {check.name}"
        case CommandCheck():
            name = check.run
        case PostgresqlCheck():
            name = f"postgresql {check.port}/{check.database}: {check.query}"
        case RedisCheck():
            name = f"redis {check.port}: {'PING' if check.key is None else f'GET {check.key}'}"
        case DnsCheck():
            name = f"dns {check.port}: {check.name} {check.type}"
    return name
