"""What redrill promises about an endpoint, by name, and how the findings against each promise are computed."""

from collections.abc import Callable, Mapping
from functools import partial

from redrill.analysis import (
    borrowed,
    certificates,
    desired_state,
    etc,
    files,
    identity,
    leaks,
    outliers,
    ownership,
    references,
    runtime,
    vendor,
    version,
)
from redrill.analysis.drift import Drift
from redrill.model.finding import Finding

Analysis = Callable[[Drift], list[Finding]]

PROMISES: Mapping[str, Analysis] = {
    files.RESTORED: files.find_restored,
    files.SETTLED: files.find_settled,
    files.SYSTEM: files.find_system,
    files.BY_HAND: files.find_by_hand,
    leaks.LEAKS: leaks.find_leaks,
    ownership.OWNERSHIP: ownership.find_ownership,
    "os release": version.find_other_release,
    "shown release": version.find_hidden_release,
    "wanted packages": version.find_unwanted_packages,
    "package database": version.find_package_lies,
    desired_state.DESIRED_STATE: desired_state.find_undone_tasks,
    identity.KEPT: identity.find_lost_identities,
    identity.OWN: identity.find_shared_identities,
    references.REFERENCES: references.find_host_references,
    outliers.OUTLIERS: outliers.find_outliers,
    **{name: partial(runtime.find_changes, promise=name) for name in runtime.PROMISES},
    borrowed.PROMISE: borrowed.find_borrowed,
    certificates.PROMISE: certificates.find_ending,
    vendor.VENDOR: vendor.find_vendor_deviations,
    etc.ETC: etc.find_stale_copies,
}
"""Each analysis raises UnknownFactError when the evidence does not know what it needs."""


def is_about(promise: str, drift: Drift) -> bool:
    """Whether a promise can be judged at all of this record: some need a drill, one what the fleet file declares."""
    if promise in (files.RESTORED, files.SETTLED):
        return drift.record.mode.is_destructive
    return promise != desired_state.DESIRED_STATE or drift.endpoint.desired_state is not None
