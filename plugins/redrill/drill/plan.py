"""What a run would do, before it does anything: which endpoints are wiped, and which are refused and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from redrill.errors import GuardError
from redrill.model.fleet import Endpoint
from redrill.model.values import Mode


@dataclass(frozen=True, slots=True)
class Intention:
    """What a run would do to one endpoint; ``refusal`` says why it must not, '' when it may."""

    endpoint: Endpoint
    action: str
    refusal: str = ""


def plan_run(endpoints: Sequence[Endpoint], mode: Mode) -> tuple[Intention, ...]:
    """Return the intention for each endpoint, in the order of the fleet."""
    if not mode.is_destructive:
        return tuple(Intention(endpoint, "observe, change nothing") for endpoint in endpoints)
    return tuple(Intention(each, _ACTIONS[mode], _refusal(each, mode)) for each in endpoints)


_ACTIONS = {
    Mode.REPLACE: "wipe, redeploy, restore",
    Mode.VANILLA: "wipe, redeploy, boot without a restore, redeploy, restore",
    Mode.RELOCATE: "stop, deploy a new host, restore there",
}


def describe_landing(endpoint: Endpoint) -> str:
    """Return what mode 'relocate' would do with the new host of an endpoint; '' when it declares none."""
    new, host = endpoint.relocate, endpoint.relocated
    if new is None:
        return ""
    maker = host.provisioner.kind if host.provisioner else "nobody"
    at = f" at {host.address}" if host.address else ""
    last = "start it again" if new.keep == "old" else f"remove it for good when '{new.name}' has recovered"
    end = f", remove '{new.name}'" if new.keep == "old" else ""
    return f"stop it, deploy '{new.name}'{at} ({maker}), restore there, judge{end}, {last}"


def _refusal(endpoint: Endpoint, mode: Mode) -> str:
    if not endpoint.expendable:
        return "it is not 'expendable: true' in the fleet file"
    if mode is Mode.RELOCATE and endpoint.relocate is None:
        return "it declares no 'relocate:', so nobody knows its new host"
    missing = [name for name in ("provisioner", "repository") if getattr(endpoint, name) is None]
    return f"it declares no {' and no '.join(missing)}" if missing else ""


def choose_targets(endpoints: Sequence[Endpoint], mode: Mode, *, is_explicit: bool) -> tuple[Endpoint, ...]:
    """Return the endpoints that a run acts on.

    Endpoints that must not be wiped are left out when the whole fleet was meant, and refused (GuardError) when they
    were asked for by name, role or tag; so is a run that would have no target at all.
    """
    intentions = plan_run(endpoints, mode)
    refused = [intention for intention in intentions if intention.refusal]
    if refused and (is_explicit or len(refused) == len(intentions)):
        reasons = "; ".join(f"'{i.endpoint.name}': {i.refusal}" for i in refused)
        raise GuardError(f"Nothing was touched. Mode '{mode.value}' must not wipe {reasons}.")
    return tuple(intention.endpoint for intention in intentions if not intention.refusal)
