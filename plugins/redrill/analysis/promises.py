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
    vanilla,
    vendor,
    version,
)
from redrill.analysis.drift import Drift
from redrill.model.finding import Finding
from redrill.model.values import Mode

Analysis = Callable[[Drift], list[Finding]]

PROMISES: Mapping[str, Analysis] = {
    files.LOST: files.find_lost,
    files.RESTORED: files.find_restored,
    files.SETTLED: files.find_settled,
    files.SYSTEM: files.find_system,
    files.BY_HAND: files.find_by_hand,
    files.VANILLA: vanilla.find_other_state,
    vanilla.FRESH: vanilla.find_used_identities,
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


def why_not(promise: str, drift: Drift) -> str:
    """Return why a promise says nothing about the endpoint of this record, '' when it does."""
    condition = _CONDITIONS.get(promise)
    return condition(drift) if condition else ""


def _of_a_drill(drift: Drift) -> str:
    return "" if drift.record.mode.is_destructive else "nothing was redeployed"


def _of_mode_vanilla(drift: Drift) -> str:
    return "" if drift.record.mode is Mode.VANILLA else "it was not seen without its state"


def _of_a_vendor(drift: Drift) -> str:
    return "the image says what every file should be" if drift.record.image_wanted else ""


def _of_an_image(drift: Drift) -> str:
    return "" if drift.endpoint.image else "the fleet file names no image"


def _of_wanted_packages(drift: Drift) -> str:
    image = drift.endpoint.image
    return "" if image and image.packages else f"the image of '{drift.endpoint.name}' declares no wanted packages"


def _of_a_package_database(drift: Drift) -> str:
    return "the image has no package database" if drift.record.image_packages is None else ""


def _of_a_playbook(drift: Drift) -> str:
    return "" if drift.endpoint.desired_state else "the fleet file declares no desired state"


def _of_a_running_system(drift: Drift, promise: str) -> str:
    return "" if runtime.is_seen(drift, promise) else "there is no running system"


_CONDITIONS: Mapping[str, Callable[[Drift], str]] = {
    files.LOST: _of_a_drill,
    files.RESTORED: _of_a_drill,
    files.SETTLED: _of_a_drill,
    files.VANILLA: _of_mode_vanilla,
    vanilla.FRESH: _of_mode_vanilla,
    vendor.VENDOR: _of_a_vendor,
    "os release": _of_an_image,
    "wanted packages": _of_wanted_packages,
    "package database": _of_a_package_database,
    desired_state.DESIRED_STATE: _of_a_playbook,
    **{name: partial(_of_a_running_system, promise=name) for name in (*runtime.PROMISES, borrowed.PROMISE)},
}
"""The promises that not every record can be judged by."""
