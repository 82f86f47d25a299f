"""What stands in the place of a secret."""

import re

REDACTED = "[redacted]"
_LINE_END = re.compile(r"(\r?\n|\\+r\\+n|\\+n)")


def blot(text: str) -> str:
    """Return as many lines as ``text`` has, real or escaped ones, with a placeholder for each that is not blank."""
    parts = _LINE_END.split(text)
    return "".join(part if index % 2 or not part.strip() else REDACTED for index, part in enumerate(parts))
