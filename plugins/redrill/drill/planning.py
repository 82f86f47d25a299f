"""The plan of a destructive run: what would be wiped, in which waves, what the guards say, and its id."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from redrill.drill.choose_backup import describe_backup
from redrill.drill.guards.change import NAME as CHANGE
from redrill.drill.guards.change import judge_change
from redrill.drill.guards.endpoint import Survey, judge_endpoint, place_of, survey
from redrill.drill.guards.landing import judge_landing
from redrill.drill.guards.limits import judge_count, judge_environment, judge_shares, judge_twins
from redrill.drill.guards.protection import Controller, know_controller
from redrill.drill.guards.schedule import Outage, judge_times
from redrill.drill.guards.state import GuardState, off, passes, told
from redrill.drill.guards.stops import judge_stops
from redrill.drill.new_hosts import require_new_hosts
from redrill.drill.plan import describe_landing
from redrill.drill.waves import form_waves
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.needs import needed_endpoints
from redrill.model.values import Duration, Mode, Value

STAMP = "%Y%m%dT%H%M%SZ"
WAVES = "the endpoints and waves"
_MOST_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Request:
    """What somebody asks for: ``environment`` and ``change`` are what they said on the command line, if anything.

    ``purpose`` is what more than a drill is done to the endpoints, '' for a drill; ``trials`` is how often each of them
    is rebuilt for it besides, and ``within`` the time after which no further trial is begun.
    """

    fleet: Fleet
    endpoints: tuple[Endpoint, ...]
    mode: Mode
    environment: str | None = None
    change: str | None = None
    purpose: str = ""
    trials: int = 0
    within: timedelta | None = None

    @property
    def outage(self) -> Outage:
        """How long each endpoint may be down."""
        return Outage(self.mode, self.trials, self.within)


class Target(Value):
    """One endpoint that would be wiped; ``identity`` is the digest of who it is, ``address`` where it answers.

    ``landing`` says what would become of its new host, '' when it gets none.
    """

    endpoint: str
    role: str
    address: str
    identity: str
    image: str
    digest: str
    backup: str
    is_made_here: bool
    landing: str = ""


class Plan(Value):
    """Everything that is confirmed with a plan's id, and what the guards said when it was made."""

    made: datetime
    fleet: str
    fleet_digest: str
    mode: Mode
    environment: str
    valid_for: Duration
    backup_valid: Duration
    targets: tuple[Target, ...]
    waves: tuple[tuple[str, ...], ...]
    guards: tuple[GuardState, ...]
    needs_confirmation: bool
    silent: tuple[str, ...] = ()
    purpose: str = ""

    @property
    def id(self) -> str:
        """The time that the plan was made and the hash over that and all that must not change."""
        return self.id_at(self.made.strftime(STAMP))

    def id_at(self, stamp: str) -> str:
        """Return the id that this plan would have if it had been made at another time."""
        text = json.dumps([stamp, self.facts], sort_keys=True, separators=(",", ":"))
        return f"{stamp}-{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    @property
    def facts(self) -> dict[str, object]:
        """What must be the same when the plan is carried out, by the name that a message gives it."""
        return {
            "the fleet file": f"{self.fleet} {self.fleet_digest}",
            "the mode": self.mode.value,
            **({"the purpose": self.purpose} if self.purpose else {}),
            "the environment": self.environment,
            WAVES: [list(wave) for wave in self.waves],
            **{f"the address of '{t.endpoint}'": t.address for t in self.targets},
            **{f"the identity of '{t.endpoint}'": t.identity for t in self.targets},
            **{f"the new host of '{t.endpoint}'": t.landing for t in self.targets if t.landing},
            **{f"the image of '{t.endpoint}'": f"{t.image} {t.digest}" for t in self.targets},
        }

    @property
    def against(self) -> tuple[GuardState, ...]:
        """The guards that forbid it; what a silent endpoint leaves unknown forbids to wipe that endpoint only."""
        return tuple(state for state in self.guards if state.forbids and state.endpoint not in self.silent)


def make_plan(request: Request, now: datetime) -> tuple[Plan, dict[str, Survey]]:
    """Return the plan with what was found out about each endpoint; connects to all of them at once, read-only.

    FleetError when an endpoint is to move where it cannot.
    """
    fleet, controller = request.fleet, know_controller()
    if request.mode is Mode.RELOCATE:
        require_new_hosts(fleet, request.endpoints)
    with ThreadPoolExecutor(min(_MOST_AT_ONCE, len(request.endpoints) or 1), thread_name_prefix="plan") as pool:
        found = dict(
            zip(
                [endpoint.name for endpoint in request.endpoints],
                pool.map(lambda endpoint: survey(fleet, endpoint, controller), request.endpoints),
                strict=True,
            )
        )
        backups = list(pool.map(lambda endpoint: describe_backup(fleet, endpoint, now), request.endpoints))
    surveys = list(found.values())
    waves = form_waves(list(found), fleet.guards, needed_endpoints(request.endpoints))
    is_lab = fleet.disposable and all(each.is_made_here for each in surveys if not each.is_silent)
    plan = Plan(
        made=now.astimezone(UTC).replace(microsecond=0),
        fleet=fleet.name,
        fleet_digest=fleet.digest,
        mode=request.mode,
        environment=request.environment or "",
        valid_for=fleet.guards.plan_valid,
        backup_valid=fleet.guards.backup_valid,
        targets=tuple(_target(each, backup, request.mode) for each, backup in zip(surveys, backups, strict=True)),
        waves=waves,
        guards=tuple(_judge_run(request, surveys, waves, now)) + tuple(_judge_each(fleet, controller, surveys, now)),
        needs_confirmation=not is_lab,
        silent=tuple(name for name, each in found.items() if each.is_silent),
        purpose=request.purpose,
    )
    return plan, found


def _target(found: Survey, backup: str, mode: Mode) -> Target:
    endpoint, image = found.endpoint, found.image
    return Target(
        endpoint=endpoint.name,
        role=endpoint.role or "",
        address=place_of(found),
        identity=found.identity.digest if found.facts else "",
        image=f"{image.name} {image.version}" if image else "",
        digest=image.digest if image else "",
        backup=backup,
        is_made_here=found.is_made_here,
        landing=describe_landing(endpoint) if mode is Mode.RELOCATE else "",
    )


def _judge_each(fleet: Fleet, controller: Controller, surveys: Sequence[Survey], now: datetime) -> Iterator[GuardState]:
    for found in surveys:
        yield from judge_endpoint(fleet, controller, found, now)


def _judge_run(
    request: Request, surveys: Sequence[Survey], waves: Sequence[Sequence[str]], now: datetime
) -> Iterator[GuardState]:
    fleet, endpoints = request.fleet, request.endpoints
    yield judge_environment(fleet, request.environment)
    yield judge_count(fleet, endpoints)
    yield from judge_shares(fleet, endpoints)
    yield _judge_groups(fleet, waves)
    places = {found.endpoint.name: found.places for found in surveys}
    facts = {found.endpoint.name: found.facts for found in surveys if found.facts}
    answering = [found.endpoint for found in surveys if not found.is_silent]
    yield judge_twins(answering, places, facts)
    yield from judge_times(fleet, endpoints, now, request.outage)
    yield from judge_stops(fleet)
    if request.mode is Mode.RELOCATE:
        yield from (judge_landing(fleet, know_controller(), endpoint) for endpoint in answering)
    yield told(CHANGE, lambda: judge_change(fleet, request.change))


def _judge_groups(fleet: Fleet, waves: Sequence[Sequence[str]]) -> GuardState:
    name = "anti-affinity"
    if not fleet.guards.anti_affinity:
        return off(name, "the fleet file declares no group")
    return passes(name, f"no two of a group in one of the {len(waves)} waves")
