"""Globs as fleet files have them: ``*`` and ``?`` within one name, ``**`` over any depth; all else is literal."""

import re
from functools import lru_cache

_WILD = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


@lru_cache(maxsize=4096)
def compile_glob(glob: str) -> re.Pattern[str]:
    """Return the pattern whose ``fullmatch`` says whether a text is meant."""
    parts = re.split(r"(\*\*|\*|\?)", glob)
    return re.compile("".join(_WILD.get(part) or re.escape(part) for part in parts), re.DOTALL)
