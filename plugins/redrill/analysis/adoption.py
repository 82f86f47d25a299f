"""The findings of today as waivers to start from: one for each finding, in an order in which they can be reviewed."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import count, groupby
from pathlib import Path

from redrill.analysis.weighing import waiver_finder
from redrill.errors import FleetError
from redrill.model.finding import Finding, Severity
from redrill.model.strict_yaml import Document, parse_yaml
from redrill.model.waivers import Waiver, Waivers
from redrill.model.waivers_file import parse_waivers
from redrill.redaction import redact

_GRAVEST_FIRST = tuple(Severity)
_HEADER = """\
# What is accepted for now. Each waiver has an owner, a reason and a ticket, and counts until the end (UTC) of its day
# 'expires'; after it the finding fails again. Who puts that day off counts it: 'extended: 1'. Remove what is mended.
max_extensions: {max_extensions}
waivers:
"""


@dataclass(frozen=True, slots=True)
class Terms:
    """What all adopted waivers say."""

    owner: str
    ticket: str
    reason: str
    expires: date


@dataclass(frozen=True, slots=True)
class Draft:
    """A waiver to be, and the finding that it is for: the gravest, where it is that of several endpoints."""

    name: str
    finding: Finding
    waiver: Waiver


def draft_waivers(findings: Iterable[Finding], known: Waivers, terms: Terms) -> list[Draft]:
    """Return a waiver for each finding that no ``known`` one is about, be that expired or not.

    What several endpoints have in common is one waiver. They are sorted by promise, severity, group and subject.
    """
    find_waiver = waiver_finder(known)
    rest = [finding for finding in findings if find_waiver(finding) is None]
    by_id: dict[str, list[Finding]] = {}
    for finding in sorted(rest, key=_rank):
        by_id.setdefault(finding.id, []).append(finding)
    return [Draft(_free_name(key, known.waivers), group[0], _waive(group, terms)) for key, group in by_id.items()]


def _rank(finding: Finding) -> tuple[object, ...]:
    severity = _GRAVEST_FIRST.index(finding.severity)
    return finding.promise, severity, finding.group, finding.subject, finding.kind, finding.endpoint


def _waive(group: Sequence[Finding], terms: Terms) -> Waiver:
    return Waiver(
        finding=group[0].id,
        endpoints=tuple(sorted({finding.endpoint for finding in group})),
        owner=terms.owner,
        reason=terms.reason,
        ticket=terms.ticket,
        expires=terms.expires,
    )


def _free_name(wanted: str, taken: Mapping[str, Waiver]) -> str:
    names = (wanted if number == 1 else f"{wanted}-{number}" for number in count(1))
    return next(name for name in names if name not in taken)


def write_drafts(text: str | None, drafts: Sequence[Draft], source: Path) -> str:
    """Return the text of a waivers file, new or with the drafts after all that ``text`` holds.

    FleetError when nothing can be added to the text, or when the file would be larger than one that can be read.
    """
    text = _HEADER.format(max_extensions=Waivers().max_extensions) if text is None else text
    before, document = parse_waivers(text.encode(), source), parse_yaml(text.encode(), str(source))
    whole = _begin(text, document) + "".join(_render(drafts, _indent_of(document)))
    wanted = {**before.waivers, **{draft.name: draft.waiver for draft in drafts}}
    if parse_waivers(whole.encode(), source).waivers != wanted:
        raise FleetError(
            f"Nothing can be added to '{source}': let 'waivers:' be its last key, an entry a block of lines."
        )
    return whole


def _begin(text: str, document: Document) -> str:
    begun = text if text.endswith("\n") else f"{text}\n"
    return begun if "waivers" in document.data else f"{begun}waivers:\n"


def _indent_of(document: Document) -> int:
    marks = (mark for path, mark in document.keys.items() if len(path) == 2 and path[0] == "waivers")
    return next((mark.column - 1 for mark in marks), 2)


def _render(drafts: Sequence[Draft], indent: int) -> Iterable[str]:
    for (promise, severity), group in groupby(drafts, lambda draft: (draft.finding.promise, draft.finding.severity)):
        yield f"\n{' ' * indent}# ---- {promise}: {severity} ----\n"
        for draft in group:
            yield "".join(f"{' ' * indent}{line}\n" for line in _lines(draft))


def _lines(draft: Draft) -> Iterable[str]:
    finding, waiver = draft.finding, draft.waiver
    yield f"# {finding.kind}: {_as_comment(finding)}"
    yield f"#   {_as_comment(finding.why)}"
    yield f"{draft.name}:"
    yield f"  finding: {waiver.finding}"
    yield f"  endpoints: [{', '.join(waiver.endpoints)}]"
    yield from (f"  {key}: {_quote(getattr(waiver, key))}" for key in ("owner", "ticket", "reason"))
    yield f"  expires: {waiver.expires}"


def _as_comment(words: object) -> str:
    return redact(" ".join(str(words).split()))


def _quote(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
