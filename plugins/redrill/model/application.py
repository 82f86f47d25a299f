"""What an endpoint is for: an application, how to see that it works, what it needs, and its targets."""

import re
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, model_validator

from redrill.model.canary import Canary, Quiesce
from redrill.model.checks import (
    Check,
    CommandCheck,
    DnsCheck,
    HttpCheck,
    PostgresqlCheck,
    RedisCheck,
    TcpCheck,
    UnitCheck,
)
from redrill.model.values import Duration, Value, parse_duration

ApplicationRef = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$")]
"""An application of an endpoint, written 'endpoint/application'."""


def _parse_percent(value: Any) -> Any:
    """Return the number of '0.5' or '0.5%': in a fleet file, what has a point is text."""
    if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?%?", value):
        return float(value.removesuffix("%"))
    return value


Percent = Annotated[float, BeforeValidator(_parse_percent, json_schema_input_type=float | str)]


class Objectives(Value):
    """Targets: the longest time to recover (RTO) and the most data, in time, that may be lost (RPO).

    ``neighbour_errors`` is the part, in percent, of the answers of neighbours that may be errors during the drill.
    ``regression`` is by how much, in percent, a recovery may be slower than the median of those before it.
    """

    rto: Duration = parse_duration("10m")
    rpo: Duration = parse_duration("15m")
    neighbour_errors: Annotated[Percent, Field(ge=0, le=100)] = 0.0
    regression: Annotated[Percent, Field(gt=0)] = 50.0


class Need(Value):
    """How an application stands the outage of what it needs: back to health within ``tolerate`` of its return."""

    tolerate: Duration = parse_duration("30s")


class Application(Value):
    """What an endpoint is for: the units that own its data, how to see that it works, what it needs, its targets.

    It is healthy when all of its checks are. ``needs`` are applications, of this endpoint or others, without which it
    cannot be healthy.
    """

    units: tuple[str, ...] = ()
    http: HttpCheck | None = None
    tcp: TcpCheck | None = None
    unit: UnitCheck | None = None
    command: CommandCheck | None = None
    postgresql: PostgresqlCheck | None = None
    redis: RedisCheck | None = None
    dns: DnsCheck | None = None
    canary: Canary | None = None
    quiesce: Quiesce | None = None
    needs: dict[ApplicationRef, Need] = {}
    hold: Duration = parse_duration("1s")
    objectives: Objectives | None = None

    @property
    def checks(self) -> tuple[Check, ...]:
        """All of its health checks."""
        given = (self.http, self.tcp, self.unit, self.command, self.postgresql, self.redis, self.dns)
        return tuple(check for check in given if check is not None)

    @model_validator(mode="after")
    def _needs_units(self) -> "Application":
        if not self.units and self.quiesce in ("stop", "pause", "freeze"):
            raise ValueError(f"'quiesce: {self.quiesce}' needs 'units': they are what must stand still")
        return self

    @model_validator(mode="after")
    def _needs_a_check(self) -> "Application":
        if not self.checks:
            raise ValueError(
                "an application needs a health check: 'http', 'tcp', 'unit', 'command', 'postgresql', 'redis' or 'dns'"
            )
        return self
