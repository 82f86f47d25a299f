"""Whether anything that comes back with the backup is bound to this very host: its hardware, its name, its address."""

from collections.abc import Iterable
from functools import cache

from redrill.analysis.drift import Drift, fact_of
from redrill.analysis.identity import Situation
from redrill.analysis.relocation import ill_applications
from redrill.drill.text_evidence import read_stored_texts
from redrill.errors import UnknownFactError
from redrill.model.data_file import read_data
from redrill.model.finding import Finding, Severity
from redrill.model.globs import compile_glob
from redrill.model.host_reference import HostReference, TokenKind
from redrill.model.observation import Observation
from redrill.model.values import Value

REFERENCES = "references"

_LONGEST = 120

_NEW_WITH_THE_HOST = "another host has another one, and what names the old one then fails or reaches nobody"
_SEVERITIES = {
    TokenKind.MAC: (Severity.MAJOR, "the hardware address is the card's: a redeploy onto other hardware changes it"),
    TokenKind.DISK: (Severity.MAJOR, "a redeploy makes its file systems anew, or finds other disks"),
    TokenKind.INTERFACE: (Severity.MINOR, "the interface's name follows the slot of the card, or the driver"),
    TokenKind.MACHINE_ID: (Severity.MINOR, "a second copy of the machine id is forgotten when the id is renewed"),
}
_SAME_AFTER_REPLACE = "the endpoint comes back under the same one, so this matters only on another host"


class ExpectedPlace(Value):
    """Paths where an endpoint may name what of itself, and why; ``defines`` says that it has it from there."""

    paths: tuple[str, ...]
    kinds: tuple[TokenKind, ...]
    defines: bool = False
    reason: str

    def covers(self, reference: HostReference) -> bool:
        """Whether the reference is what the place is for."""
        is_here = any(compile_glob(path).fullmatch(reference.path) for path in self.paths)
        return is_here and reference.kind in self.kinds


def find_host_references(drift: Drift) -> list[Finding]:
    """Return every reference of the endpoint to itself: broken by the drill, bound to the hardware, or worth a note."""
    name, latest = drift.endpoint.name, drift.latest
    references = _references(latest)
    if drift.record.relocation is not None and drift.record.before is not None:
        return _find_old_host(drift) + judge_references(references, Situation.REPLACE, name)
    findings = judge_references(references, Situation.REPLACE, name)
    if drift.record.before is not None:
        findings = _find_broken(_references(drift.record.before), latest.own_tokens, name) + findings
    return findings


def find_old_references(drift: Drift) -> list[HostReference]:
    """Return what came up on a new host and still names the old one, where it is not expected, one a file and kind.

    Who is allowed to be wiped is expected to be named, and no place where a host's own name is kept: that is the new
    host's by now, or names the old one wrongly.
    """
    before, relocation = drift.record.before, drift.record.relocation
    if before is None or relocation is None:
        return []
    known = {(kind, token) for kind, tokens in drift.latest.own_tokens.items() for token in tokens}
    stale = [each for each in _references(before) if (each.kind, each.token) not in known]
    places = [place for place in _expected_places() if not place.defines]
    return [
        each
        for each in _by_file(each for each in stale if each.path not in relocation.regenerated)
        if not any(place.covers(each) for place in places)
    ]


def tell_references(drift: Drift) -> list[str]:
    """Return the lines that name the old host as 'file:line: text (names its address …)'; those without a text, too."""
    texts = read_stored_texts(drift.run_dir, drift.latest.texts).endpoint
    told = []
    for each in find_old_references(drift):
        lines = texts.get(each.path, "").splitlines()
        for number in each.lines:
            text = lines[number - 1].strip()[:_LONGEST] if number <= len(lines) else ""
            told.append(f"{each.path}:{number}: {text or '…'} (names the {each.kind.value} of the old host)")
    return told


def _find_old_host(drift: Drift) -> list[Finding]:
    """Return a finding for each reference to the old host; where an application is ill, its own test tells of them."""
    ill = ", ".join(f"'{name}'" for name in ill_applications(drift))
    findings = []
    for each in find_old_references(drift):
        severity, why = _rank(each.kind, Situation.RELOCATE)
        if ill:
            severity, why = Severity.NOTE, f"{ill} did not come back: the test of its health names this line, too"
        findings.append(_finding(each, "reference to the old host", severity, why, drift.endpoint.name))
    return findings


def judge_references(references: tuple[HostReference, ...], situation: Situation, endpoint: str) -> list[Finding]:
    """Return a finding for each reference that is not where one is expected, ranked by what the situation changes."""
    return [
        _finding(each, "reference", *_rank(each.kind, situation), endpoint)
        for each in _by_file(references)
        if not any(place.covers(each) for place in _expected_places())
    ]


def _rank(kind: TokenKind, situation: Situation) -> tuple[Severity, str]:
    if kind in _SEVERITIES:
        return _SEVERITIES[kind]
    if situation is Situation.REPLACE:
        return Severity.NOTE, _SAME_AFTER_REPLACE
    return Severity.MAJOR, _NEW_WITH_THE_HOST


def _find_broken(before: tuple[HostReference, ...], own: dict[str, tuple[str, ...]], endpoint: str) -> list[Finding]:
    """Return the references to what was the endpoint's own before the wipe and is not any more."""
    known = {(kind, token) for kind, tokens in own.items() for token in tokens}
    why = "the drill proved it: the host has another one now, and the restored file still names the old one"
    return [
        _finding(each, "broken reference", Severity.CRITICAL, why, endpoint)
        for each in _by_file(each for each in before if (each.kind, each.token) not in known)
        if not any(place.defines and place.covers(each) for place in _expected_places())
    ]


def _by_file(references: Iterable[HostReference]) -> list[HostReference]:
    """Return one reference for each file and kind, with the lines of all its tokens."""
    found: dict[tuple[str, TokenKind], HostReference] = {}
    for each in references:
        first = found.setdefault((each.path, each.kind), each)
        lines = tuple(sorted({*first.lines, *each.lines}))
        found[each.path, each.kind] = first.model_copy(update={"lines": lines})
    return list(found.values())


@cache
def _expected_places() -> tuple[ExpectedPlace, ...]:
    return read_data(__file__, "expected_places.yml", tuple[ExpectedPlace, ...])


def _references(observation: Observation) -> tuple[HostReference, ...]:
    fact_of(observation, "references")
    if not observation.own_tokens:
        raise UnknownFactError(
            f"On '{observation.hostname}' nothing is known that a reference could name: no name, no machine id."
        )
    return observation.references


def _finding(each: HostReference, kind: str, severity: Severity, why: str, endpoint: str) -> Finding:
    lines = ", ".join(map(str, each.lines))
    detail = f"names the endpoint's own {each.kind.value} in line{'s' * (len(each.lines) > 1)} {lines}"
    return Finding(
        promise=REFERENCES,
        kind=f"{kind}: {each.kind.value}",
        endpoint=endpoint,
        subject=each.path,
        detail=detail,
        severity=severity,
        why=why,
        group=each.kind.value,
        facts={"token": each.kind.value, "lines": lines},
    )
