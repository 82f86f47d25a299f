"""When an endpoint may be wiped: where its whole outage fits into the change windows, and not again too soon."""

import hashlib
import json
import os
import pwd
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from redrill.drill.guards.live import Identity
from redrill.drill.guards.state import GuardState, off, passes, refuses, unknown
from redrill.errors import GuardError
from redrill.model.calendar import open_until
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.values import Mode, spell_duration
from redrill.private import write_private

_RECOVERIES = {Mode.VANILLA: 2, Mode.RELOCATE: 2}
"""Modes in which an endpoint comes up more than once: without its state, or on its new host and then on the old one."""


@dataclass(frozen=True, slots=True)
class Outage:
    """How long a drill takes an endpoint out of service: each time that it has to come up counts its whole outage.

    It comes up as its ``mode`` has it, and ``trials`` times more; ``within`` is the time after which none is begun.
    """

    mode: Mode = Mode.REPLACE
    trials: int = 0
    within: timedelta | None = None

    def of(self, endpoint: Endpoint) -> timedelta:
        """Return how long that may be for an endpoint in all."""
        tried = self.trials * endpoint.outage
        if self.within is not None:
            tried = min(tried, self.within + endpoint.outage)
        return _RECOVERIES.get(self.mode, 1) * endpoint.outage + tried


ONCE = Outage()


def judge_times(fleet: Fleet, endpoints: Sequence[Endpoint], now: datetime, drill: Outage = ONCE) -> list[GuardState]:
    """Judge whether these endpoints may be wiped now, and can be back before anything forbids it."""
    return [judge_windows(fleet, endpoints, now, drill), judge_blackouts(fleet, endpoints, now, drill)]


def judge_windows(fleet: Fleet, endpoints: Sequence[Endpoint], now: datetime, drill: Outage = ONCE) -> GuardState:
    """Judge whether change windows are open, without a break, for as long as the slowest endpoint may be down."""
    name, windows = "change window", fleet.guards.windows
    if not windows:
        return off(name, "the fleet file declares none")
    declared = "; ".join(map(str, windows))
    if not any(window.is_open(now) for window in windows):
        return refuses(name, f"none is open now ({now:%Y-%m-%d %H:%M} UTC): {declared}")
    outage, words = _longest_outage(endpoints, drill)
    closes = open_until(windows, now, now + outage)
    if closes < now + outage:
        return refuses(name, f"it closes at {closes:%Y-%m-%d %H:%M} UTC, but {words}: {declared}")
    return passes(name, f"open for long enough, {words}: {declared}")


def judge_blackouts(fleet: Fleet, endpoints: Sequence[Endpoint], now: datetime, drill: Outage = ONCE) -> GuardState:
    """Judge whether today is a day without drills, or one begins while the slowest endpoint may still be down."""
    name, blackouts = "blackout", fleet.guards.blackouts
    if not blackouts:
        return off(name, "the fleet file declares none")
    outage, words = _longest_outage(endpoints, drill)
    for blackout in blackouts:
        if blackout.is_on(now):
            return refuses(name, f"no drills from {blackout.start} to {blackout.end}: {blackout.reason}")
        if blackout.touches(now, now + outage):
            return refuses(name, f"no drills from {blackout.start} ({blackout.zone}), but {words}: {blackout.reason}")
    return passes(name, f"none of {len(blackouts)} is on or begins meanwhile, {words}")


def _longest_outage(endpoints: Sequence[Endpoint], drill: Outage) -> tuple[timedelta, str]:
    """Return how long the slowest of the endpoints may be down, and that in words."""
    slowest = max(endpoints, key=drill.of, default=None)
    if slowest is None:
        return timedelta(), "there is no endpoint to wipe"
    longest = drill.of(slowest)
    times = f", {spell_duration(slowest.outage)} each time that it has to come up" if longest > slowest.outage else ""
    return longest, f"'{slowest.name}' may be down for {spell_duration(longest)}{times}"


def judge_interval(fleet: Fleet, endpoint: Endpoint, identity: Identity, now: datetime) -> GuardState:
    """Judge how long ago this controller has wiped the endpoint last."""
    name, least = "interval", fleet.guards.min_interval
    if least is None:
        return off(name, "the fleet file asks for none", endpoint.name)
    if not identity.best:
        return unknown(name, "the endpoint says nothing of who it is", endpoint.name)
    try:
        last = read_last_wipe(identity)
    except (OSError, ValueError, LookupError, TypeError) as error:
        return unknown(name, f"'{last_wipe_file(identity)}' cannot be read: {error}", endpoint.name)
    if last is not None and now - last < least:
        again = (last + least).strftime("%Y-%m-%d %H:%M UTC")
        return refuses(name, f"it was wiped at {last:%Y-%m-%d %H:%M} UTC; not again before {again}", endpoint.name)
    return passes(name, "never wiped by this controller" if last is None else f"last wiped at {last}", endpoint.name)


def state_folder() -> Path:
    """Return where this controller remembers drills and plans: /var/lib/redrill for root, else below the home."""
    if os.geteuid() == 0:
        return Path("/var/lib/redrill")
    try:
        return Path(pwd.getpwuid(os.geteuid()).pw_dir) / ".local/state/redrill"
    except KeyError:
        raise GuardError(f"User {os.geteuid()} has no home, so nobody can remember its plans and drills.") from None


def last_wipe_file(identity: Identity) -> Path:
    """Return the file that remembers when an endpoint was wiped last."""
    return state_folder() / "wiped" / f"{hashlib.sha256(identity.best.encode()).hexdigest()[:32]}.json"


def read_last_wipe(identity: Identity) -> datetime | None:
    """Return when an endpoint was wiped last, None when this controller never did; ValueError when it is unreadable."""
    try:
        known = json.loads(last_wipe_file(identity).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    when = datetime.fromisoformat(known["at"])
    if when.tzinfo is None:
        raise ValueError("the time in it has no zone")
    return when


def remember_wipe(identity: Identity, endpoint: str, run: str, now: datetime) -> None:
    """Write down that an endpoint is about to be wiped."""
    known = {"at": now.isoformat(), "endpoint": endpoint, "run": run}
    write_private(last_wipe_file(identity), json.dumps(known) + "\n")
