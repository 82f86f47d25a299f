"""Whether the system is what its vendor made, told by its own packaging system: for endpoints without an image."""

import re
from collections import Counter

from redrill.analysis.deviations import Accounts, find_deviations
from redrill.analysis.drift import Drift, fact_of
from redrill.analysis.etc_sides import vendor_of
from redrill.drill.evidence import read_manifest
from redrill.errors import UnknownFactError
from redrill.model.finding import Finding, Severity
from redrill.model.manifest import Entry, EntryKind
from redrill.model.vendor import Deviation, DeviationKind, VendorFacts

VENDOR = "vendor"
"""The promise."""

_CODE = re.compile(r"(/usr)?/(s?bin|lib(32|64|x32|exec)?)/.*|/boot/.*|.*\.so(\.[\d.]+)?")
_PAPER = re.compile(r"/usr/share/(doc|man|info|locale|help|lintian|bug|icons|pixmaps)/.*")
_RELEASE = re.compile(r"/usr/lib/os-release|/etc/os-release")
_GRAVE_RIGHTS = (
    "runs with the rights",
    "everybody may change",
    "capabilities",
    "expected 4",
    "expected 2",
    "expected 6",
)
_RIGHTS = (DeviationKind.MODE, DeviationKind.OWNER)


def find_vendor_deviations(drift: Drift) -> list[Finding]:
    """Return what is not as the vendor says, for endpoints without an image, which 'system files' compares with.

    UnknownFactError when an oracle that should know does not, or contents were not looked at.
    """
    observation, name = drift.latest, drift.endpoint.name
    facts = vendor_of(drift, observation)
    if not facts.is_known:
        raise UnknownFactError(f"Nobody knows what the vendor says of '{name}': {facts.why_unknown}.")
    if not all(state.is_thorough for state in facts.states.values()):
        raise UnknownFactError(
            f"On '{name}' contents were not compared with the vendor's: {observation.vendor_states}."
        )
    if observation.system_manifest is None:
        why = observation.unknown.get("system_manifest", "it was not read")
        raise UnknownFactError(f"The files of '{name}' are unknown: {why}")
    files = read_manifest(drift.run_dir, observation.system_manifest).entries
    deviations = find_deviations(facts, files, _accounts(drift))
    return [_finding(each, name) for each in deviations] + _find_unknown_contents(facts, files, name)


def _accounts(drift: Drift) -> Accounts:
    users, groups = fact_of(drift.latest, "users"), fact_of(drift.latest, "groups")
    if not isinstance(users, dict) or not isinstance(groups, dict):
        raise UnknownFactError(f"The accounts of '{drift.endpoint.name}' are unknown.")
    return Accounts({name: account.uid for name, account in users.items()}, groups)


def _finding(deviation: Deviation, endpoint: str) -> Finding:
    severity, why = grade_deviation(deviation)
    return Finding(
        promise=VENDOR,
        kind=deviation.kind.value,
        endpoint=endpoint,
        subject=deviation.path,
        detail=deviation.detail,
        severity=severity,
        why=why,
        group=deviation.owner,
    )


def grade_deviation(deviation: Deviation) -> tuple[Severity, str]:
    """Return how bad a deviation is, and why."""
    path, kind = deviation.path, deviation.kind
    if kind in _RIGHTS:
        if any(words in deviation.detail for words in _GRAVE_RIGHTS):
            return Severity.CRITICAL, "who may run it with other rights, or change it, owns the system"
        return Severity.MAJOR, "more or fewer may use or change it than its package means"
    grades = (
        (_RELEASE.fullmatch(path), Severity.NOTE, "builders of images write the name of the image into it"),
        (_PAPER.fullmatch(path), Severity.MINOR, "it is read by people only"),
        (kind is DeviationKind.MISSING, Severity.MAJOR, "a part of an installed package is not there"),
        (_CODE.fullmatch(path), Severity.CRITICAL, "it is code that the vendor has not made"),
        (True, Severity.MAJOR, "it is not what the vendor has made, and the next upgrade puts that back"),
    )
    return next((severity, why) for applies, severity, why in grades if applies)


def _find_unknown_contents(facts: VendorFacts, files: dict[str, Entry], endpoint: str) -> list[Finding]:
    """Return a note for each package with files whose content nobody knows: they are not clean, only not judged."""
    counted: Counter[str] = Counter()
    for path, expected in facts.paths.items():
        is_checkable = expected.has_digest or expected.is_config
        entry = files.get(path)
        if not is_checkable and entry is not None and entry.kind is EntryKind.FILE:
            counted[expected.owner] += 1
    return [
        Finding(
            promise=VENDOR,
            kind="unknown content",
            endpoint=endpoint,
            subject=owner,
            detail=f"{number} files of which it knows no digest",
            severity=Severity.NOTE,
            why="nobody can say whether they are what the vendor made",
            group=owner,
        )
        for owner, number in sorted(counted.items())
    ]
