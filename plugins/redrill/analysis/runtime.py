"""What runs and is set after a drill against what ran and was set before the wipe."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from redrill.analysis.drift import Drift
from redrill.analysis.grading import Change, grade
from redrill.analysis.relocation import as_on_the_new_host, cause_of
from redrill.errors import UnknownFactError
from redrill.model.finding import Finding, Severity
from redrill.model.observation import Observation

Items = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Kind:
    """One sort of items: the promise that it is part of ('' when it only explains others), the fact that tells of it,
    and how that is read."""

    name: str
    promise: str
    fact: str
    read: Callable[[Observation], Items]


def find_changes(drift: Drift, promise: str) -> list[Finding]:
    """Return what of a promise is not as before the wipe; UnknownFactError when a side was not observed."""
    findings = []
    for kind in _of(promise):
        before, after = read_items(drift.earliest, kind.name), read_items(drift.latest, kind.name)
        if (before is None) != (after is None):
            side = "before the wipe" if before is None else "after the drill"
            raise UnknownFactError(
                f"The {kind.name} of '{drift.endpoint.name}' could not be seen {side}: "
                f"{(drift.earliest if before is None else drift.latest).absent[kind.fact]}."
            )
        if before is not None and after is not None:
            expected = as_on_the_new_host(drift, before, after)
            findings += [_tell(drift, promise, change) for change in compare_items(kind.name, expected, after)]
    return findings


def is_seen(drift: Drift, promise: str) -> bool:
    """Whether the endpoint is of a sort that has anything of what a promise is about; a promise without kinds of its
    own needs a running system, as units do."""
    return any(kind.fact not in drift.latest.absent for kind in _of(promise) or _of("units"))


def _of(promise: str) -> list[Kind]:
    return [kind for kind in KINDS if kind.promise == promise]


def read_items(observation: Observation, name: str) -> Items | None:
    """Return the items of a kind, None where there can be none; UnknownFactError when they could not be observed."""
    kind = next(kind for kind in KINDS if kind.name == name)
    if kind.fact in observation.unknown:
        reason = observation.unknown[kind.fact]
        raise UnknownFactError(f"The {kind.name} of '{observation.hostname}' are unknown: {reason}")
    if kind.fact in observation.absent:
        return None
    try:
        return kind.read(observation)
    except KeyError:
        raise UnknownFactError(
            f"The {kind.name} of '{observation.hostname}' were not observed; an older redrill did it. Drill it again."
        ) from None


def compare_items(kind: str, before: Items, after: Items) -> Iterator[Change]:
    """Yield what is not as it was, by item."""
    for item in sorted(before.keys() | after.keys()):
        change = Change(kind=kind, item=item, before=before.get(item), after=after.get(item))
        if change.before != change.after and not _is_busy(change):
            yield change


def _is_busy(change: Change) -> bool:
    """Whether a unit was just starting or stopping when it was looked at: that is no state to come back to."""
    return change.kind == "activity" and any(
        (state or "").startswith(("activating", "deactivating", "reloading")) for state in (change.before, change.after)
    )


def _tell(drift: Drift, promise: str, change: Change) -> Finding:
    rule, cause = grade(change), cause_of(drift, change)
    return Finding(
        promise=promise,
        kind=f"{change.kind} {change.sort}",
        endpoint=drift.endpoint.name,
        subject=change.item,
        detail=change.detail,
        severity=Severity.NOTE if cause else rule.severity,
        why=f"it is a part of '{cause}', which did not come back: the test of its health tells why"
        if cause
        else rule.why,
        group=change.kind,
    )


def _enablement(observation: Observation) -> Items:
    return {name: unit.enabled for name, unit in observation.units.items() if unit.enabled != "none"}


def _activity(observation: Observation) -> Items:
    """Return the state of what is not at rest; mounts are judged as mounts, and a socket that is in use is as good as
    one that waits."""
    states = {}
    for name, unit in observation.units.items():
        is_waiter = name.endswith((".socket", ".timer", ".path")) and unit.active.startswith("active")
        if not name.endswith(".mount") and not unit.active.startswith("inactive"):
            states[name] = "active" if is_waiter else unit.active
    return states


def _users(observation: Observation) -> Items:
    return {name: f"{a.uid}:{a.gid} {a.home} {a.shell}" for name, a in observation.users.items()}


def _groups(observation: Observation) -> Items:
    return {name: str(number) for name, number in observation.groups.items()}


def _packages(observation: Observation) -> Items:
    return observation.packages


def _certificates(observation: Observation) -> Items:
    return {
        path: f"{certificate.subject}, sha256 {certificate.sha256[:16]}"
        for path, certificate in (observation.certificates or {}).items()
    }


def _runtime(name: str, promise: str, fact: str = "") -> Kind:
    return Kind(name, promise, fact or name, lambda observation: observation.runtime[name])


KINDS = (
    Kind("enablement", "units", "units", _enablement),
    Kind("activity", "units", "units", _activity),
    _runtime("overrides", "units", "units"),
    _runtime("timers", "units"),
    Kind("users", "accounts", "users", _users),
    Kind("groups", "accounts", "groups", _groups),
    _runtime("members", "accounts", "groups"),
    _runtime("sudo rules", "accounts"),
    Kind("packages", "packages", "packages", _packages),
    _runtime("container images", "packages"),
    _runtime("listeners", "network"),
    _runtime("addresses", "network", "routes"),
    _runtime("routes", "network"),
    _runtime("routing rules", "network", "routes"),
    _runtime("name servers", "network"),
    _runtime("firewall", "network"),
    _runtime("sysctls", "kernel"),
    _runtime("modules", "kernel"),
    _runtime("command line", "kernel"),
    _runtime("mounts", "kernel"),
    _runtime("security modules", "kernel"),
    _runtime("efi variables", "kernel"),
    _runtime("time", "environment"),
    _runtime("locale", "environment"),
    _runtime("manager environment", "environment"),
    _runtime("limits", "environment"),
    Kind("certificates", "environment", "certificates", _certificates),
    _runtime("declared sysctls", ""),
    _runtime("declared mounts", "", "mounts"),
    _runtime("configured addresses", ""),
)
"""All sorts; their names are also those of the rules for normalising and for grading."""

PROMISES = tuple(dict.fromkeys(kind.promise for kind in KINDS if kind.promise))
"""What is promised about a drill: each names the kinds that are compared for it."""
