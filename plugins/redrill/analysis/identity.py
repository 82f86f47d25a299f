"""Whether an endpoint is still itself, and nobody else: its identities against its own before and those of others."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path

from redrill.analysis.drift import Drift, fact_of
from redrill.analysis.peers import Stamp, latest_observations, stamp_of
from redrill.drill.evidence import read_manifest
from redrill.errors import UnknownFactError
from redrill.model.finding import Finding
from redrill.model.observation import Observation
from redrill.model.values import Mode
from redrill.probes.identity_classes import IDENTITY_CLASSES, IdentityClass, Policy

KEPT = "identity"
OWN = "uniqueness"

Identities = Mapping[str, Mapping[str, tuple[str, ...]]]
"""Hashes by class and path."""


class Situation(StrEnum):
    """How the state came up again: on the endpoint that it is of, or on another host that now stands for it."""

    REPLACE = "replace"
    RELOCATE = "relocate"


def find_lost_identities(drift: Drift) -> list[Finding]:
    """Return every identity that is not what it must be after the endpoint came back, as itself or on a new host."""
    before, after = (_identities(observation) for observation in (drift.earliest, drift.latest))
    situation = Situation.RELOCATE if drift.record.mode is Mode.RELOCATE else Situation.REPLACE
    return judge_identities(before, after, situation, drift.endpoint.name)


def judge_identities(before: Identities, after: Identities, situation: Situation, endpoint: str) -> list[Finding]:
    """Return the findings of a drill: what is to be kept differs, or what is to be renewed is the same."""
    findings = []
    for name, each in IDENTITY_CLASSES.items():
        policy = each.replace if situation is Situation.REPLACE else each.relocate
        old, new = before.get(name, {}), after.get(name, {})
        breaks = ((path, _break_of(policy, old.get(path), new.get(path))) for path in sorted(old.keys() | new.keys()))
        findings += [_finding(endpoint, KEPT, each, path, words) for path, words in breaks if words]
    return findings


def _break_of(policy: Policy, old: tuple[str, ...] | None, new: tuple[str, ...] | None) -> tuple[str, str] | None:
    """Return the kind of a broken policy and the words for it."""
    if policy is Policy.KEEP and old != new:
        if new is None:
            return "gone", "was there before, and is not any more"
        return ("new", "was not there before") if old is None else ("changed", "is another than before")
    if policy is Policy.RENEW and set(old or ()) & set(new or ()):
        return "not renewed", "is the same as before, and must not be used again"
    return None


def find_shared_identities(drift: Drift) -> list[Finding]:
    """Return every identity that must be the endpoint's own and is also another's of this run, or the image's."""
    own, name = _identities(drift.latest), drift.endpoint.name
    owners = _owners(drift.run_dir, stamp_of(drift.run_dir))
    findings = []
    for each, path, values in _unique(own):
        others = sorted({other for value in values for other in owners.get((each.name, value), ()) if other != name})
        if others:
            detail = f"the same as on {', '.join(others)}"
            findings.append(_finding(name, OWN, each, path, ("duplicate", detail)))
    return findings + _from_the_image(drift, own)


@lru_cache(maxsize=2)
def _owners(run_dir: Path, stamp: Stamp) -> dict[tuple[str, str], tuple[str, ...]]:
    """Return the endpoints that have a value, by class and value; those whose identities are unknown have none."""
    owners: dict[tuple[str, str], tuple[str, ...]] = {}
    for name, observation in latest_observations(run_dir, (name for name, _ in stamp)):
        for each, _, values in _unique(observation.identities):
            for value in values:
                known = owners.setdefault((each.name, value), ())
                if name not in known:
                    owners[each.name, value] = (*known, name)
    return owners


def _from_the_image(drift: Drift, own: Identities) -> list[Finding]:
    """Return the identities that the image ships, so that every endpoint which is built from it has them."""
    image = drift.record.image_wanted
    if image is None or image.manifest is None:
        return []
    shipped = read_manifest(drift.run_dir, image.manifest).entries
    findings = []
    for each, path, values in _unique(own):
        entry = shipped.get(path)
        if not each.line and entry and entry.sha256 and entry.sha256.startswith(values):
            detail = f"comes with the image '{image.name}', so every endpoint that is built from it has the same"
            findings.append(_finding(drift.endpoint.name, OWN, each, path, ("from the image", detail)))
    return findings


def _unique(identities: Identities) -> Iterator[tuple[IdentityClass, str, tuple[str, ...]]]:
    for name, paths in identities.items():
        if (each := IDENTITY_CLASSES.get(name)) and each.unique:
            yield from ((each, path, values) for path, values in paths.items())


def _identities(observation: Observation) -> Identities:
    fact_of(observation, "identities")
    if not observation.identities:
        raise UnknownFactError(f"The identities of '{observation.hostname}' were not observed; drill it again.")
    return observation.identities


def _finding(endpoint: str, promise: str, each: IdentityClass, path: str, words: tuple[str, str]) -> Finding:
    kind, detail = words
    return Finding(
        promise=promise,
        kind=kind,
        endpoint=endpoint,
        subject=f"{each.name} {path}".strip(),
        detail=detail,
        severity=each.severity,
        why=each.why,
        group=each.name,
        facts={"class": each.name, "source": each.source},
    )
