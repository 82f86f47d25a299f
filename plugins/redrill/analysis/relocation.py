"""What a new host changes about an endpoint rightly, and what of the old host the endpoint turned out to need."""

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network

from redrill.analysis.drift import Drift
from redrill.analysis.grading import Change
from redrill.model.finding import Finding, Severity
from redrill.model.observation import Observation
from redrill.probes.identity_classes import IDENTITY_CLASSES

_BY_PROVISIONER = "the provisioner writes it anew for every host"


def find_regenerated(drift: Drift, promise: str) -> list[Finding]:
    """Return a note for each path that is the new host's own, and so not as in the backup."""
    relocation = drift.record.relocation
    regenerated = relocation.regenerated if relocation else {}
    return [
        Finding(
            promise=promise,
            kind="regenerated",
            endpoint=drift.endpoint.name,
            subject=path,
            detail=f"not restored but the new host's own: {name.replace('-', ' ')}",
            severity=Severity.NOTE,
            why=IDENTITY_CLASSES[name].why if name in IDENTITY_CLASSES else _BY_PROVISIONER,
            group=name,
        )
        for path, name in sorted(regenerated.items())
    ]


def as_on_the_new_host(drift: Drift, before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, str]:
    """Return the items of before as they are to be now: what names the old host may name the new one instead."""
    names = _names(drift)
    if not names:
        return dict(before)
    pattern = re.compile("|".join(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)" for name in names))

    def renamed(text: str) -> str:
        return pattern.sub(lambda match: names[match[0]], text)

    is_same = {item for item, value in before.items() if after.get(item) == value}
    return {
        item if item in is_same else renamed(item): value if item in is_same else renamed(value)
        for item, value in before.items()
    }


def _names(drift: Drift) -> dict[str, str]:
    """Return the name, the address and the network of the new host by those of the old one."""
    relocation = drift.record.relocation
    if relocation is None:
        return {}
    old = _ways_out(drift.earliest, relocation.old.address)
    new = _ways_out(drift.latest, relocation.new.address)
    pairs = {
        relocation.old.address: relocation.new.address,
        drift.earliest.hostname: drift.latest.hostname,
        drift.earliest.machine_id: drift.latest.machine_id,
        **{old[sort]: new[sort] for sort in old},
    }
    return {one: other for one, other in pairs.items() if one and other and one != other}


def _ways_out(seen: Observation, address: str) -> dict[str, str]:
    """Return the network that an address is in, and the gateway in it, as the routes of a host tell them.

    The kernel makes the route to the network of each address; a gateway elsewhere is nobody's own.
    """
    routes = seen.runtime.get("routes", {})
    kernels = (item.split()[0] for item, way in routes.items() if "proto kernel" in way)
    network = next((each for each in kernels if _is_in(address, each)), "")
    defaults = (way for item, way in routes.items() if item.split()[0] == "default")
    gateways = (gateway for way in defaults for gateway in re.findall(r"\bvia (\S+)", way))
    return {"network": network, "gateway": next((each for each in gateways if _is_in(each, network)), "")}


def _is_in(address: str, network: str) -> bool:
    """Whether a network holds an address; what is neither (a broadcast route, the name of a host) holds nothing."""
    try:
        return ip_address(address) in ip_network(network)
    except ValueError:
        return False


def ill_applications(drift: Drift) -> dict[str, tuple[str, ...]]:
    """Return the applications that did not come back on a new host, with the units that are theirs; none elsewhere."""
    if drift.record.relocation is None:
        return {}
    results, declared = drift.record.applications, drift.endpoint.applications
    return {name: each.units for name, each in declared.items() if name in results and not results[name].healthy}


def cause_of(drift: Drift, change: Change) -> str:
    """Return the application that did not come back on a new host, for which a unit or a listener is not as before.

    '' when there is none: then the change is one of its own.
    """
    for name, units in ill_applications(drift).items():
        holders = [holder.rpartition(" of ")[2] for holder in (change.before or "").split(", ")]
        is_unit = change.kind == "activity" and change.item in units
        if is_unit or (change.kind == "listeners" and change.after is None and set(holders) <= set(units)):
            return name
    return ""
