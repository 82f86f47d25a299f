"""Which endpoint of a role differs in what from the majority: a census of the run's records, read one after another."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path

from redrill.analysis.drift import Drift
from redrill.analysis.peers import MAJORITY_NEEDS, Stamp, latest_observations, peers_of, stamp_of
from redrill.drill.evidence import read_part
from redrill.errors import UnknownFactError
from redrill.model.data_file import read_data
from redrill.model.finding import Finding, Severity
from redrill.model.globs import compile_glob
from redrill.model.manifest import Entry, EntryKind
from redrill.model.observation import Observation
from redrill.model.values import Value

OUTLIERS = "outliers"

_ABSENT = "absent"
_EPHEMERAL = re.compile(r"udp6? .*:(3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[45]\d{4}|6\d{4})")
"""Ports that the kernel gives to whoever asks for any (ip_local_port_range in ip-sysctl.rst), and what lies above."""

Facets = dict[str, dict[str, str]]
"""Values by facet and item."""


class Facet(Value):
    """Something that endpoints of a role have in common, and how bad it is when one differs."""

    name: str
    severity: Severity
    why: str


class HostSpecific(Value):
    """Items of a facet that are each host's own, by glob."""

    facet: str
    items: tuple[str, ...]
    reason: str


class FleetView(Value):
    """What is compared, and what of it is not."""

    facets: tuple[Facet, ...]
    host_specific: tuple[HostSpecific, ...]

    def is_compared(self, facet: str, item: str) -> bool:
        """Whether an item is no host's own."""
        return not any(
            rule.facet == facet and any(compile_glob(glob).fullmatch(item) for glob in rule.items)
            for rule in self.host_specific
        )


@dataclass(slots=True)
class Census:
    """How many endpoints know each facet, and how often each value occurs, by facet and item; names are not kept."""

    known: Counter[str] = field(default_factory=Counter)
    values: dict[str, dict[str, Counter[str]]] = field(default_factory=dict)

    def count(self, facets: Facets) -> None:
        """Add one endpoint."""
        for facet, items in facets.items():
            self.known[facet] += 1
            counts = self.values.setdefault(facet, {})
            for item, value in items.items():
                counts.setdefault(item, Counter())[value] += 1

    def ranking(self, facet: str, item: str) -> list[tuple[str, int]]:
        """Return the values of an item with their numbers, the most frequent first; absence is a value."""
        counts = Counter(self.values[facet].get(item, Counter()))
        counts[_ABSENT] = self.known[facet] - counts.total()
        return [(value, number) for value, number in counts.most_common() if number]


def find_outliers(drift: Drift) -> list[Finding]:
    """Return what is otherwise at this endpoint than at most endpoints of its role that this run has observed."""
    peers = peers_of(drift.fleet, drift.endpoint.name)
    census = _take_census(drift.run_dir, stamp_of(drift.run_dir, peers))
    _require_known(drift.latest)
    own = _facets_of(drift.run_dir, drift.latest)
    known = [facet for facet in _view().facets if facet.name in own]
    few = [facet.name for facet in known if census.known[facet.name] < MAJORITY_NEEDS]
    findings = [_too_few(few, drift)] if few else []
    for facet in known:
        if facet.name not in few:
            findings += _compare(facet, own[facet.name], census, drift)
    return findings


def _compare(facet: Facet, own: Mapping[str, str], census: Census, drift: Drift) -> Iterator[Finding]:
    for item in sorted(own.keys() | census.values[facet.name].keys()):
        if words := _tell(own.get(item, _ABSENT), census.ranking(facet.name, item)):
            yield _finding(facet, item, *words, drift)


def _tell(own: str, ranking: list[tuple[str, int]]) -> tuple[str, str] | None:
    """Return the kind and the words of a difference from the majority; None when there is nothing to tell."""
    (usual, number), total = ranking[0], sum(number for _, number in ranking)
    if number * 2 > total:
        if own == usual:
            return None
        return "outlier", f"{_show(own)} here, {_show(usual)} on {number} of {total}"
    # Where everybody has a value of his own it is the host's; where some share one, there are two camps.
    if number == 1:
        return None
    return "no majority", f"{_show(own)} here; at most {number} of {total} agree ({_show(usual)})"


def _show(value: str) -> str:
    return value if len(value) <= 120 else f"{value[:117]}…"


@lru_cache(maxsize=8)
def _take_census(run_dir: Path, stamp: Stamp) -> Census:
    census = Census()
    for _, observation in latest_observations(run_dir, (name for name, _ in stamp)):
        census.count(_facets_of(run_dir, observation))
    return census


def _facets_of(run_dir: Path, observation: Observation) -> Facets:
    """Return what can be compared of one endpoint; what is unknown or does not apply to it is left out."""
    facets: Facets = {
        "vendor release": dict(observation.vendor_release),
        "packages": dict(observation.packages),
        "users": {name: f"uid {a.uid}, gid {a.gid}, {a.home}, {a.shell}" for name, a in observation.users.items()},
        "groups": {name: f"gid {gid}" for name, gid in observation.groups.items()},
        "units": {name: _activity(unit.enabled, unit.active) for name, unit in observation.units.items()},
        **observation.runtime,
    }
    if observation.state_manifest:
        facets["files"] = dict(_files_of(run_dir, observation.state_manifest))
    hide = _own_words(observation)
    missing = {name.replace("_", " ") for name in observation.unknown.keys() | observation.absent.keys()}
    return {
        facet.name: _comparable(facet.name, facets[facet.name], hide)
        for facet in _view().facets
        if facet.name in facets and facet.name not in missing
    }


def _comparable(facet: str, items: Mapping[str, str], hide: re.Pattern[str] | None) -> dict[str, str]:
    view = _view()
    if hide and facet not in ("files", "sysctls", "packages"):
        items = {hide.sub("<own>", item): hide.sub("<own>", value) for item, value in items.items()}
    return {
        item: value
        for item, value in items.items()
        if view.is_compared(facet, item) and not (facet == "listeners" and _EPHEMERAL.fullmatch(item))
    }


def _own_words(observation: Observation) -> re.Pattern[str] | None:
    """Return what an endpoint's own name and addresses look like, so that they differ from nobody's."""
    words = [observation.hostname, *observation.runtime.get("addresses", {})]
    words = sorted((re.escape(word) for word in words if len(word) > 2), key=len, reverse=True)
    return re.compile(rf"(?<![\w.-])({'|'.join(words)})(?![\w-])") if words else None


def _activity(enabled: str, active: str) -> str:
    """Return the state of a unit; whether a static one is active at the moment depends on who needs it."""
    return enabled if enabled == "static" else f"{enabled}, {active.partition(' ')[0]}"


def _files_of(run_dir: Path, manifest: Path) -> Iterator[tuple[str, str]]:
    for path, entry in read_part(run_dir, manifest, ("/etc",)).items():
        if entry.kind in (EntryKind.FILE, EntryKind.SYMLINK):
            yield path, _describe(entry)


def _describe(entry: Entry) -> str:
    if entry.kind is EntryKind.SYMLINK:
        return f"link to {entry.target}"
    return f"mode {entry.mode:04o}, owner {entry.uid}:{entry.gid}, sha256 {(entry.sha256 or '')[:16]}"


@cache
def _view() -> FleetView:
    return read_data(__file__, "fleet_view.yml", FleetView)


def _require_known(observation: Observation) -> None:
    """Raise UnknownFactError when something to be compared could not be seen at this endpoint."""
    for facet in _view().facets:
        for name in {facet.name, facet.name.replace(" ", "_")} & observation.unknown.keys():
            raise UnknownFactError(
                f"The {facet.name} of '{observation.hostname}' are unknown: {observation.unknown[name]}"
            )
    if observation.state_manifest is None:
        why = observation.unknown.get("state_manifest", "there is no manifest")
        raise UnknownFactError(f"The files of '{observation.hostname}' are unknown: {why}")


def _too_few(facets: list[str], drift: Drift) -> Finding:
    return Finding(
        promise=OUTLIERS,
        kind="too few",
        endpoint=drift.endpoint.name,
        subject=f"role {drift.endpoint.role}",
        detail=f"no {MAJORITY_NEEDS} endpoints of it were observed, so these were not compared: {', '.join(facets)}",
        severity=Severity.NOTE,
        why="of two that differ, either may be right",
    )


def _finding(facet: Facet, item: str, kind: str, detail: str, drift: Drift) -> Finding:
    is_outlier = kind == "outlier"
    return Finding(
        promise=OUTLIERS,
        kind=f"{kind}: {facet.name}",
        endpoint=drift.endpoint.name,
        subject=item,
        detail=detail,
        severity=facet.severity if is_outlier else Severity.NOTE,
        why=facet.why if is_outlier else "the role has no majority to be like",
        group=facet.name,
        facts={"facet": facet.name, "role": str(drift.endpoint.role)},
    )
