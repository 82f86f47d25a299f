"""What an endpoint is for: an application, how to see that it works, what it needs, and its targets."""

from typing import Annotated

from pydantic import Field, model_validator

from redrill.model.canary import Canary
from redrill.model.checks import CommandCheck, HttpCheck, TcpCheck
from redrill.model.values import Duration, Value, parse_duration

ApplicationRef = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}/[a-z0-9][a-z0-9-]{0,62}$")]
"""An application of an endpoint, written 'endpoint/application'."""


class Objectives(Value):
    """Targets: the longest time to recover (RTO) and the most data, in time, that may be lost (RPO).

    ``neighbour_errors`` is the part, in percent, of the answers of neighbours that may be errors during the drill.
    ``regression`` is by how much, in percent, a recovery may be slower than the median of those before it.
    """

    rto: Duration = parse_duration("10m")
    rpo: Duration = parse_duration("15m")
    neighbour_errors: Annotated[float, Field(ge=0, le=100)] = 0.0
    regression: Annotated[float, Field(gt=0)] = 50.0


class Need(Value):
    """How an application stands the outage of what it needs: back to health within ``tolerate`` of its return."""

    tolerate: Duration = parse_duration("30s")


class Application(Value):
    """What an endpoint is for: the units that own its data, how to see that it works, what it needs, its targets."""

    units: tuple[str, ...] = ()
    http: HttpCheck | None = None
    command: CommandCheck | None = None
    tcp: TcpCheck | None = None
    canary: Canary | None = None
    needs: dict[ApplicationRef, Need] = {}
    hold: Duration = parse_duration("1s")
    objectives: Objectives | None = None

    @model_validator(mode="after")
    def _needs_a_check(self) -> "Application":
        if not (self.http or self.command or self.tcp):
            raise ValueError("an application needs a health check: 'http', 'command' or 'tcp'")
        return self
