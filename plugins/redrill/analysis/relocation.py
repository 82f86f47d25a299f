"""What a new host changes about an endpoint rightly, and what of the old host the endpoint turned out to need."""

import re
from collections.abc import Mapping

from redrill.analysis.drift import Drift
from redrill.analysis.grading import Change
from redrill.model.finding import Finding, Severity
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
    """Return the name and the address of the new host by those of the old one."""
    relocation = drift.record.relocation
    if relocation is None:
        return {}
    pairs = {
        relocation.old.address: relocation.new.address,
        drift.earliest.hostname: drift.latest.hostname,
        drift.earliest.machine_id: drift.latest.machine_id,
    }
    return {old: new for old, new in pairs.items() if old and new and old != new}


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
