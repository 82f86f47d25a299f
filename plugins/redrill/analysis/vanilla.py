"""What an image makes of an endpoint by itself: nothing but itself, under an identity that nobody has had."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

from redrill.analysis.drift import Drift, fact_of
from redrill.analysis.files import VANILLA, grade
from redrill.drill.evidence import read_differing, read_manifest
from redrill.errors import UnknownFactError
from redrill.model.churn import churn_rules
from redrill.model.data_file import read_data
from redrill.model.finding import Finding
from redrill.model.globs import compile_glob
from redrill.model.manifest import CONTENT_ATTRIBUTES, ChurnRule, Difference, EntryKind, Manifest, compare, unexplained
from redrill.model.record import VanillaFacts
from redrill.model.values import Value, is_inside
from redrill.probes.identity_classes import IDENTITY_CLASSES, IdentityClass, Policy

FRESH = "fresh identity"

_GIVEN = ("hostname", "own-hosts-line")
"""Identities that an endpoint is given again when it is rebuilt under its name."""


class FirstBoot(Value):
    """Paths that a first boot makes or changes, and why."""

    paths: tuple[str, ...]
    reason: str


def find_other_state(drift: Drift) -> list[Finding]:
    """Return what the state paths of an endpoint that got nothing back hold otherwise than its image."""
    return list(grade(VANILLA, drift.endpoint.name, _differences(drift)))


def find_used_identities(drift: Drift) -> list[Finding]:
    """Return every identity that was the endpoint's before its redeploy, or is the image's, and came up without it."""
    before, own = drift.earliest, _vanilla(drift).observation
    for observation in (before, own):
        fact_of(observation, "identities")
    shipped = _image(drift)
    findings = []
    for each, path, values in _renewed(own.identities):
        entry = shipped.entries.get(path)
        if set(values) & set(before.identities.get(each.name, {}).get(path, ())):
            detail = "is that of before the redeploy, though nothing was restored"
            findings.append(_finding(drift, each, path, ("not fresh", detail)))
        elif not each.line and entry and (entry.sha256 or "").startswith(values):
            findings.append(_finding(drift, each, path, ("from the image", "comes with the image, so others have it")))
    return findings


def _differences(drift: Drift) -> list[Difference]:
    vanilla, wanted = _vanilla(drift), drift.record.image_wanted
    state = vanilla.observation.state_manifest
    if state is None or wanted is None or wanted.manifest is None:
        raise UnknownFactError(f"The state paths of '{drift.endpoint.name}' without its state were not observed.")
    image, found = read_differing(drift.run_dir, wanted.manifest, state)
    inside = {path: entry for path, entry in image.entries.items() if is_inside(path)}
    rules = [*churn_rules(()), *_first_boot(), *(ChurnRule(compile_glob(path), frozenset()) for path in vanilla.made)]
    differences = unexplained(compare(replace(image, entries=inside), found, CONTENT_ATTRIBUTES), rules)
    return [each for each in differences if EntryKind.SOCKET.value not in (each.expected, each.found)]


def _vanilla(drift: Drift) -> VanillaFacts:
    if drift.record.vanilla is None:
        raise UnknownFactError(f"'{drift.endpoint.name}' was not seen without its state; drill it in mode 'vanilla'.")
    return drift.record.vanilla


def _image(drift: Drift) -> Manifest:
    wanted = drift.record.image_wanted
    if wanted is None or wanted.manifest is None:
        raise UnknownFactError(f"What the image of '{drift.endpoint.name}' holds is not known.")
    return read_manifest(drift.run_dir, wanted.manifest)


def _renewed(identities: dict[str, dict[str, tuple[str, ...]]]) -> Iterator[tuple[IdentityClass, str, tuple[str, ...]]]:
    for name, paths in identities.items():
        each = IDENTITY_CLASSES.get(name)
        if each and each.unique and each.relocate is Policy.RENEW and name not in _GIVEN:
            yield from ((each, path, values) for path, values in paths.items())


@cache
def _first_boot() -> tuple[ChurnRule, ...]:
    entries = read_data(__file__, "first_boot.yml", tuple[FirstBoot, ...])
    return tuple(ChurnRule(compile_glob(path), frozenset()) for entry in entries for path in entry.paths)


def _finding(drift: Drift, each: IdentityClass, path: str, words: tuple[str, str]) -> Finding:
    kind, detail = words
    return Finding(
        promise=FRESH,
        kind=kind,
        endpoint=drift.endpoint.name,
        subject=f"{each.name} {path}".strip(),
        detail=detail,
        severity=each.severity,
        why=each.why,
        group=each.name,
    )
