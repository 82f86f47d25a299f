"""How a failed promise is told: endpoint, what is wrong, and what to do next."""

from collections.abc import Sequence

_SHOWN = 20


def tell(endpoint: str, problem: str, findings: Sequence[object], advice: str) -> str:
    """Return the message of a failed assertion: the first findings one a line, the number of the others, the advice."""
    lines = [f"Endpoint '{endpoint}': {problem} ({len(findings)}):"]
    lines += [f"  {finding}" for finding in findings[:_SHOWN]]
    if len(findings) > _SHOWN:
        lines.append(f"  … and {len(findings) - _SHOWN} more; the attachment has them")
    return "\n".join([*lines, f"What to do: {advice}"])
