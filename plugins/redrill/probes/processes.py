"""The processes of a machine: their names, and the system units that they belong to."""

import re
from collections.abc import Iterable

GROUPS = "grep -sHE '^([0-9]+:name=systemd|0:):' /proc/[0-9]*/cgroup; true"
"""Prints what ``parse_units`` reads."""

NAMES = "grep -sH '' /proc/[0-9]*/comm; true"
"""Prints what ``parse_names`` reads."""

_UNIT = re.compile(r".+\.(service|scope|socket|mount|swap)")


def parse_units(groups: str) -> dict[int, str]:
    """Return the system unit of each process, '' for none."""
    paths = _group_paths(groups)
    # Where containers have no namespace for control groups, all paths start with that of the container itself.
    above = paths.get(1, "").removesuffix("init.scope").rstrip("/")
    return {pid: _unit_in(path.removeprefix(above)) for pid, path in paths.items()}


def parse_names(names: str) -> dict[int, str]:
    """Return the name of each process."""
    return dict(_numbered(names, "comm"))


def _group_paths(groups: str) -> dict[int, str]:
    """Return the control group of each process, from the hierarchy that systemd manages (in v2 the only one)."""
    lines = sorted(_numbered(groups, "cgroup"), key=lambda line: "name=systemd" in line[1])
    return {pid: line.split(":", 2)[2] for pid, line in lines}


def _unit_in(path: str) -> str:
    # The first: what follows below 'user@1000.service' are units of another manager.
    return next((part for part in path.split("/") if _UNIT.fullmatch(part)), "")


def _numbered(lines: str, file: str) -> Iterable[tuple[int, str]]:
    """Yield process and line of what ``grep -H`` printed of such files in /proc."""
    for line in lines.splitlines():
        if found := re.fullmatch(rf"/proc/(\d+)/{file}:(.*)", line):
            yield int(found[1]), found[2]
