"""How a failed promise is told: endpoint, what is wrong, and what to do next."""

from collections import Counter
from collections.abc import Sequence

from redrill.model.finding import Finding, Severity
from redrill.model.weighed import State, Weighed

_SHOWN = 20
_GROUPS_SHOWN = 7
_EXPIRED_SHOWN = 2
_LONGEST = 300
_GRAVEST_FIRST = tuple(Severity)


def tell(endpoint: str, problem: str, findings: Sequence[object], advice: str) -> str:
    """Return the message of a failed assertion: the first findings one a line, the number of the others, the advice."""
    lines = [f"Endpoint '{endpoint}': {problem} ({len(findings)}):"]
    lines += [f"  {finding}" for finding in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        lines.append(f"  … and {len(findings) - _SHOWN} more; the attachment has them")
    return "\n".join([*lines, f"What to do: {advice}"])


def tell_findings(endpoint: str, problem: str, weighed: Sequence[Weighed], advice: str) -> str:
    """Return the message about open findings: groups, gravest first, each with its first finding; then the advice.

    ``weighed`` is in the order of ``weigh``.
    """
    states = Counter(one.state for one in weighed)
    broken = [one.finding for one in weighed if one.state is State.OPEN]
    groups = _group(broken)
    expired = Counter(one.told for one in weighed if one.state is State.OPEN and one.waiver)
    count = f"{len(broken)}, {expired.total()} of them no longer waived" if expired else f"{len(broken)}"
    others = [f"{states[state]} {state}" for state in State if state is not State.OPEN and states[state]]
    return "\n".join(
        [
            f"Endpoint '{endpoint}': {problem} ({count}):",
            *(f"  counts again: {told}" for told in list(expired)[:_EXPIRED_SHOWN]),
            *(line for group in groups[:_GROUPS_SHOWN] for line in _tell_group(group)),
            *_tell_hidden(groups[_GROUPS_SHOWN:]),
            *([f"Not counted: {', '.join(others)}."] if others else []),
            f"What to do: {advice}",
        ]
    )


def _group(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Return findings of one severity, kind and group together: the gravest first, then the largest groups."""
    groups: dict[tuple[Severity, str, str], list[Finding]] = {}
    for finding in findings:
        groups.setdefault((finding.severity, finding.kind, finding.group), []).append(finding)
    return sorted(groups.values(), key=lambda group: (_GRAVEST_FIRST.index(group[0].severity), -len(group)))


def _tell_group(group: Sequence[Finding]) -> list[str]:
    first = group[0]
    where = f" in {first.group}" if first.group else ""
    words = f"{first}".partition("\n")[0][:_LONGEST]
    return [f"  {first.severity}: {first.kind} ({len(group)}{where}): {first.why}", f"    {words} [{first.id}]"]


def _tell_hidden(groups: Sequence[Sequence[Finding]]) -> list[str]:
    number = sum(map(len, groups))
    return [f"  … and {number} more of {len(groups)} other kinds; the attached table has all"] if number else []
