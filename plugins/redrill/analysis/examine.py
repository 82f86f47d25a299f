"""Every promise about every endpoint of a stored run, computed from its evidence alone."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from redrill.analysis.drift import Drift
from redrill.analysis.promises import PROMISES, why_not
from redrill.analysis.weighing import weigh
from redrill.drill.evidence import read_record, recorded_endpoints
from redrill.drill.resume import endpoints_of
from redrill.drill.waivers import read_waivers
from redrill.errors import UnknownFactError
from redrill.model.fleet import Fleet
from redrill.model.weighed import Weighed


@dataclass(slots=True)
class Examined:
    """All findings, in the order of the endpoints and promises; ``unknown`` are the endpoints by promise and reason."""

    weighed: list[Weighed] = field(default_factory=list)
    unknown: dict[tuple[str, str], list[str]] = field(default_factory=dict)


def examine(run_dir: Path, fleet: Fleet, endpoints: Collection[str] = (), promises: Collection[str] = ()) -> Examined:
    """Return the findings of a run, weighed by its rules and the waivers that it was judged by; no choice means all.

    FleetError for a record that cannot be understood, RedrillError for evidence that cannot be read.
    """
    examined = Examined()
    known = recorded_endpoints(run_dir)
    for name in endpoints_of(run_dir):
        if name not in (endpoints or (name,)):
            continue
        record = read_record(run_dir, name) if name in known else None
        if record is None or (record.failure and not record.failure.is_of_clean_up):
            why = record.failure.message if record and record.failure else "There is no record of its drill."
            examined.unknown.setdefault(("every promise", why), []).append(name)
        else:
            chosen = [promise for promise in PROMISES if promise in (promises or (promise,))]
            _examine_endpoint(Drift(run_dir, fleet, record, fleet.endpoint(name)), chosen, examined)
    return examined


def _examine_endpoint(drift: Drift, promises: Sequence[str], examined: Examined) -> None:
    waivers, day = read_waivers(drift.run_dir), drift.record.ended.astimezone(UTC).date()
    for promise in promises:
        if why_not(promise, drift):
            continue
        try:
            findings = PROMISES[promise](drift)
        except UnknownFactError as error:
            examined.unknown.setdefault((promise, str(error)), []).append(drift.endpoint.name)
        else:
            examined.weighed += weigh(findings, drift.endpoint.ignore, waivers, day)
