"""Which processes have files open, run them or work in their folder: who would miss them after a redeploy."""

from typing import Any

from redrill.model.values import printable
from redrill.probes.facts.fact import Fact
from redrill.probes.processes import GROUPS, NAMES, parse_names, parse_units

_ELSEWHERE = ("/home", "/etc", "/var", "/proc", "/sys", "/dev", "/run", "/tmp")  # noqa: S108 - they are left out
"""What is restored or made anew anyway."""

_LEFT_OUT = " ".join(f"! -lname {path} ! -lname '{path}/*'" for path in _ELSEWHERE)

# Only GNU find knows -lname and -printf; without them nobody can say who has what open.
_OPEN = rf"""
find /proc/self/exe -lname '/*' -printf '' 2>/dev/null || exit 77
find /proc/[0-9]*/fd /proc/[0-9]*/exe /proc/[0-9]*/cwd -lname '/?*' {_LEFT_OUT} -printf '%p\0%l\0' 2>/dev/null
printf '\036'
{GROUPS}
printf '\036'
{NAMES}
"""


def _parse_open(text: str) -> dict[str, Any]:
    places, groups, names = text.split("\x1e")
    words = places.split("\0")
    unit_of, name_of = parse_units(groups), parse_names(names)
    holders: dict[str, set[str]] = {}
    for place, path in zip(words[::2], words[1::2], strict=False):
        pid = int(place.split("/")[2])
        # The shell that asks has ended by the time that names are read.
        if pid in name_of:
            unit = unit_of.get(pid, "")
            holders.setdefault(printable(path), set()).add(f"{name_of[pid]} ({unit})" if unit else name_of[pid])
    return {"open_files": {path: ", ".join(sorted(who)) for path, who in sorted(holders.items())}}


OPEN_FILE_FACTS = (Fact("open files", _OPEN, _parse_open, needs_init=True),)
"""Outside of the state paths and of what is made anew at every boot."""
