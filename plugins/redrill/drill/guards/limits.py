"""How much one run may wipe: in all, of a role, of a failure domain; and no two endpoints that are really one."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from redrill.drill.guards.live import Identity, LiveFacts
from redrill.drill.guards.state import GuardState, off, passes, refuses, unknown
from redrill.model.fleet import Endpoint, Fleet


def judge_environment(fleet: Fleet, environment: str | None) -> GuardState:
    """Judge whether who started the run meant the environment that the fleet file is for."""
    name = "environment"
    if fleet.environment == "unnamed":
        return refuses(name, "the fleet file does not say 'environment: …'; declare what these machines are")
    if environment is None:
        return refuses(name, f"say '--redrill-environment={fleet.environment}' if that is where you want to wipe")
    if environment != fleet.environment:
        return refuses(name, f"the fleet file is for '{fleet.environment}', the run for '{environment}'")
    return passes(name, f"'{environment}', as the fleet file says")


def judge_count(fleet: Fleet, targets: Sequence[Endpoint]) -> GuardState:
    """Judge the number of endpoints that the run would wipe."""
    name, most = "most endpoints", fleet.guards.limits.most_endpoints
    if not targets:
        return refuses(name, "there is no endpoint to wipe; choose one")
    if len(targets) > most:
        return refuses(
            name, f"{len(targets)} endpoints are more than {most}; choose fewer, or raise 'limits.most_endpoints'"
        )
    return passes(name, f"{len(targets)} of at most {most}")


def judge_shares(fleet: Fleet, targets: Sequence[Endpoint]) -> Iterator[GuardState]:
    """Judge the share of each role and of each failure domain that the run would wipe."""
    limits = fleet.guards.limits
    yield _judge_share(fleet, targets, "role", lambda each: each.role, limits.most_of_role)
    yield _judge_share(
        fleet, targets, "failure domain", lambda each: each.failure_domain, limits.most_of_failure_domain
    )


def _judge_share(
    fleet: Fleet, targets: Sequence[Endpoint], sort: str, value_of: Callable[[Endpoint], str | None], most: int
) -> GuardState:
    name, setting = f"most of a {sort}", f"most_of_{sort.replace(' ', '_')}"
    wiped = Counter(value for each in targets if (value := value_of(each)))
    if not wiped:
        return off(name, "no endpoint that would be wiped declares one")
    declared = Counter(value_of(each) for each in fleet.endpoints)
    over = [value for value, count in wiped.items() if count * 100 > most * declared[value]]
    if over:
        told = f"{wiped[over[0]]} of the {declared[over[0]]} endpoints of '{over[0]}' are more than {most} %"
        return refuses(name, f"{told}; choose fewer, or raise 'limits.{setting}'")
    return passes(name, f"at most {most} % of {', '.join(repr(value) for value in sorted(wiped))}")


def judge_twins(
    targets: Sequence[Endpoint], places: Mapping[str, frozenset[str]], facts: Mapping[str, LiveFacts]
) -> GuardState:
    """Judge whether two endpoints are one: at the same place (address and port, or directory), or of one identity."""
    name = "no duplicates"
    seen: dict[str, str] = {}
    for endpoint in targets:
        identity = facts[endpoint.name].identity if endpoint.name in facts else Identity()
        # The firmware's id may be that of a whole chassis, so it makes no twins.
        keys = {f"machine {identity.machine_id}"} if identity.machine_id else set()
        for key in sorted({*places.get(endpoint.name, ()), *keys}):
            if seen.setdefault(key, endpoint.name) != endpoint.name:
                what = "the same machine-id" if key.startswith("machine ") else f"the place '{key}'"
                return refuses(name, f"'{seen[key]}' and '{endpoint.name}' have {what}: one would be wiped for another")
    if any(endpoint.name not in facts for endpoint in targets):
        return unknown(name, "not every endpoint could be read")
    return passes(name, "every endpoint has a place and an identity of its own")


def judge_clock(fleet: Fleet, endpoint: Endpoint, facts: LiveFacts) -> GuardState:
    """Judge how far the clock of an endpoint is off: tokens, logs and backups would lie."""
    name, most = "clock", fleet.guards.limits.clock_skew.total_seconds()
    if "clock" in facts.unknown:
        return unknown(name, facts.unknown["clock"], endpoint.name)
    if abs(facts.skew) > most:
        return refuses(name, f"it is {facts.skew:+.0f} s off, more than {most:g} s; set it", endpoint.name)
    return passes(name, f"less than {most:g} s off", endpoint.name)
