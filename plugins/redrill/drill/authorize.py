"""The gate before a destructive run: every guard passes and the plan was confirmed, or nothing is touched."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pydantic import ValidationError

from redrill.drill.guards.endpoint import Survey
from redrill.drill.guards.schedule import ONCE, Outage, state_folder
from redrill.drill.guards.state import require_all
from redrill.drill.planning import STAMP, WAVES, Plan, Request, make_plan
from redrill.errors import GuardError
from redrill.model.fleet import Endpoint
from redrill.private import write_private

_SLACK = timedelta(minutes=1)
_FORGOTTEN_AFTER = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Permit:
    """The right to wipe one endpoint, if it still is what was found when the plan was made, and can be back in time."""

    plan: str
    found: Survey
    outage: Outage = ONCE


@dataclass(frozen=True, slots=True)
class Authorized:
    """What a run may do: the endpoints in their waves, and for each that may be wiped its permit."""

    waves: tuple[tuple[Endpoint, ...], ...]
    permits: Mapping[str, Permit] = field(default_factory=dict)
    plan: Plan | None = None


def authorize(
    request: Request,
    confirmed: str | None = None,
    run_dir: Path | None = None,
    now: datetime | None = None,
    *,
    part_of: Plan | None = None,
) -> Authorized:
    """Return what a run may do; GuardError, with everything that is against it, when it must not wipe.

    ``confirmed`` is the id of the plan that somebody has read; the plan as it is now becomes ``plan.json`` of the run.
    What is ``part_of`` an authorized plan, and as that says, is confirmed with it. A mode that wipes nothing needs no
    guard and no connection.
    """
    if not request.mode.is_destructive:
        return Authorized((request.endpoints,))
    now = now or datetime.now(UTC)
    plan, found = make_plan(request, now)
    if run_dir is not None:
        write_private(run_dir / "plan.json", plan.model_dump_json(indent=1) + "\n")
    require_all(plan.against, "Nothing was touched. The drill is refused:")
    if part_of is not None:
        require_part(plan, part_of)
    elif plan.needs_confirmation or confirmed is not None:
        check_confirmation(plan, confirmed, now)
    by_name = {endpoint.name: endpoint for endpoint in request.endpoints}
    waves = tuple(tuple(by_name[name] for name in wave) for wave in plan.waves)
    may_wipe = {name: each for name, each in found.items() if name not in plan.silent}
    permits = {name: Permit(confirmed or plan.id, each, request.outage) for name, each in may_wipe.items()}
    return Authorized(waves, permits, plan)


def check_confirmation(plan: Plan, confirmed: str | None, now: datetime) -> None:
    """Raise GuardError unless ``confirmed`` is the id of this very plan, made no longer ago than it is valid."""
    advice = "Nothing was touched. Run 'redrill plan' again, read it, and confirm that."
    if not confirmed:
        which = f" It has to be a plan to {plan.purpose}." if plan.purpose else ""
        raise GuardError(
            f"Nothing was touched. This drill wipes: run 'redrill plan', read it, and confirm its id.{which}"
        )
    if not re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{16}", confirmed):
        raise GuardError(f"'{confirmed}' is not the id of a plan. {advice}")
    stamp = confirmed.partition("-")[0]
    try:
        made = datetime.strptime(stamp, STAMP).replace(tzinfo=UTC)
    except ValueError:
        raise GuardError(f"'{confirmed}' is not the id of a plan: '{stamp}' is no time. {advice}") from None
    if made > now + _SLACK:
        raise GuardError(f"The plan '{confirmed}' was made in the future. {advice}")
    if now - made > plan.valid_for:
        raise GuardError(f"The plan '{confirmed}' expired at {made + plan.valid_for:%Y-%m-%d %H:%M:%S} UTC. {advice}")
    if plan.id_at(stamp) != confirmed:
        raise GuardError(
            f"The plan '{confirmed}' is not what would be done now: {_differences(plan, confirmed)} {advice}"
        )


def require_part(plan: Plan, whole: Plan) -> None:
    """Raise GuardError unless all that a plan says of its endpoints is what an authorized plan has said of them."""
    allowed = whole.facts
    changed = [name for name, value in plan.facts.items() if name != WAVES and allowed.get(name) != value]
    if plan.needs_confirmation and not whole.needs_confirmation:
        changed.append("who has made the endpoints")
    if changed:
        raise GuardError(
            f"The rest of the plan to {plan.purpose} is not what plan '{whole.id}' was about: {', '.join(changed)} "
            "changed. Nothing more was touched; make a plan of all of it anew."
        )


def _differences(plan: Plan, confirmed: str) -> str:
    known = recall_plan(confirmed)
    if known is None:
        return "this controller knows no such plan; its id was altered, or it was made elsewhere for something else."
    then, now = known.facts, plan.facts
    names = [name for name in dict.fromkeys([*then, *now]) if then.get(name) != now.get(name)]
    return f"{', '.join(names)} changed."


def remember_plan(plan: Plan) -> Path:
    """Keep a plan, so that a run can say in what it differs; plans of last month are forgotten."""
    folder = state_folder() / "plans"
    file = write_private(folder / f"{plan.id}.json", plan.model_dump_json(indent=1) + "\n")
    oldest = (datetime.now(UTC) - _FORGOTTEN_AFTER).timestamp()
    for other in folder.glob("*Z-*.json"):
        if other.stat().st_mtime < oldest:
            other.unlink(missing_ok=True)
    return file


def recall_plan(plan_id: str) -> Plan | None:
    """Return a plan that was kept, None when there is none or it is not the one that the id stands for."""
    try:
        known = Plan.model_validate_json((state_folder() / "plans" / f"{plan_id}.json").read_bytes())
    except (OSError, ValidationError):
        return None
    return known if known.id == plan_id else None
