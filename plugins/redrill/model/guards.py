"""What a fleet file says under ``guards``: who may be wiped, how many, when, and what stops a drill."""

import ipaddress
import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, model_validator

from redrill.model.calendar import Blackout, Window
from redrill.model.values import Duration, Value, parse_duration


def _check_token_path(value: str) -> str:
    if not re.fullmatch(r"/[^\0\n]+", value) or ".." in value.split("/"):
        raise ValueError(f"{value!r} is not the absolute path of a file on the endpoint")
    return value


def _check_network(value: str) -> str:
    if re.fullmatch(r"[0-9.]+(/[0-9]+)?|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*(/[0-9]+)?", value):
        try:
            ipaddress.ip_network(value, strict=False)
        except ValueError:
            raise ValueError(f"{value!r} is neither an IP address nor a network such as '10.0.0.0/8'") from None
    elif not re.fullmatch(r"[a-zA-Z0-9_][a-zA-Z0-9_.-]*", value):
        raise ValueError(f"{value!r} is neither an IP address, a network nor a host name")
    return value


def _check_pattern(value: str) -> str:
    try:
        re.compile(value)
    except re.error as error:
        raise ValueError(f"{value!r} is not a regular expression: {error}") from None
    return value


def _check_words(value: str) -> str:
    if not value.strip():
        raise ValueError("it is empty, which would protect nothing; write it or leave it out")
    return value


def _check_url(value: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+(/\S*)?", value):
        raise ValueError(f"{value!r} is not an address that starts with 'http://' or 'https://'")
    return value


Word = Annotated[str, AfterValidator(_check_words)]
TokenPath = Annotated[str, AfterValidator(_check_token_path)]
Network = Annotated[str, AfterValidator(_check_network)]
Pattern = Annotated[str, AfterValidator(_check_pattern)]
Url = Annotated[str, AfterValidator(_check_url)]
Percent = Annotated[int, Field(ge=1, le=100)]


class AllowToken(Value):
    """The file by which an endpoint itself agrees to be wiped; `redrill allow` prints what to write into it."""

    path: TokenPath = "/etc/redrill/allow"
    required: bool = True


class Protected(Value):
    """What is never wiped, whatever else says yes.

    ``names`` of endpoints or hosts may hold ``*`` and ``?``; ``addresses`` are addresses, networks or host names;
    ``identities`` machine-ids, DMI UUIDs or the provisioner's ids; ``disks`` UUIDs, serial numbers or WWNs of disks and
    file systems.
    """

    names: tuple[Word, ...] = ()
    addresses: tuple[Network, ...] = ()
    identities: tuple[Word, ...] = ()
    disks: tuple[Word, ...] = ()


class Limits(Value):
    """How much one run may wipe, and how far the clock of an endpoint may be off.

    A role, or a failure domain, counts all endpoints that the fleet file declares for it, in percent.
    """

    most_endpoints: Annotated[int, Field(ge=1)] = 1
    most_of_role: Percent = 50
    most_of_failure_domain: Percent = 50
    clock_skew: Duration = parse_duration("1m")


class Waves(Value):
    """How many endpoints are drilled at once: ``canary`` of them first (0: no canary), then waves of ``size``.

    After ``stop_after_failures`` broken drills no further wave starts.
    """

    canary: Annotated[int, Field(ge=0)] = 1
    size: Annotated[int, Field(ge=1)] = 1
    stop_after_failures: Annotated[int, Field(ge=1)] = 1


class KillSwitch(Value):
    """What stops every drill: a file on the controller that exists, or a URL that does not answer with status 200."""

    file: Path = Path("/etc/redrill/stop")
    url: Url | None = None
    timeout: Duration = parse_duration("5s")


class StopCondition(Value):
    """A shell command on the controller, in the folder of the fleet file: 0 lets a drill go on.

    1 stops it; so does every other status, and no answer within ``timeout``, for then nobody knows.
    """

    run: Word
    timeout: Duration = parse_duration("10s")


class Change(Value):
    """The change ticket that a destructive run needs: its id must match ``pattern`` as a whole.

    ``check`` is a shell command on the controller that must end with 0; the id is in ``$REDRILL_CHANGE``.
    """

    pattern: Pattern
    check: Word | None = None
    timeout: Duration = parse_duration("30s")


class Guards(Value):
    """Everything that may forbid a wipe; without a word in the fleet file the strict defaults hold.

    ``plan_valid`` is how old a plan may be that is confirmed, ``backup_valid`` a backup that another run has made.
    """

    allow_token: AllowToken = AllowToken()
    protected: Protected = Protected()
    limits: Limits = Limits()
    anti_affinity: tuple[tuple[str, ...], ...] = ()
    waves: Waves = Waves()
    windows: tuple[Window, ...] = ()
    blackouts: tuple[Blackout, ...] = ()
    min_interval: Duration | None = None
    kill_switch: KillSwitch = KillSwitch()
    stop_conditions: tuple[StopCondition, ...] = ()
    change: Change | None = None
    plan_valid: Duration = parse_duration("1h")
    backup_valid: Duration = parse_duration("1h")

    @model_validator(mode="after")
    def _groups_are_groups(self) -> "Guards":
        for group in self.anti_affinity:
            if len(set(group)) < 2:
                raise ValueError("a group of 'anti_affinity' needs at least two different endpoints")
        return self

    def unknown_members(self, names: set[str]) -> list[tuple[int, str]]:
        """Return the members of anti-affinity groups that are no endpoints: the group's index and the name."""
        return [(n, name) for n, group in enumerate(self.anti_affinity) for name in group if name not in names]
