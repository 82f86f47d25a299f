"""What a system that has just booted was to start, and what became of each of these units."""

import shlex
from collections.abc import Iterable

UP, DONE, NOT_HERE = "up", "done", "not for this host"
WELL = frozenset({UP, DONE, NOT_HERE})
"""The states of units about which nothing is wrong."""

_PROPERTIES = (
    "Id,LoadState,ActiveState,SubState,Result,ConditionResult,ConditionTimestampMonotonic,"
    "ExecMainStartTimestampMonotonic,Requires,Wants,Upholds"
)
_PULLS = ("Requires", "Wants", "Upholds")
_SORTS = (".service", ".socket", ".timer", ".path", ".target")
_PROGRAM = r"""
first=$(systemctl show --no-pager --property=Id --value default.target) || exit
units=$(systemctl list-dependencies --plain --no-pager default.target) || exit
printf '%s\n\n' "$first"
systemctl show --no-pager --property=@PROPERTIES@ -- $(printf '%s\n' "$units" | sed 's/^[^a-zA-Z0-9_-]*//') @MORE@
"""


def started_program(more: Iterable[str]) -> str:
    """Return the shell program that prints the properties of everything that is to run, and of ``more`` units."""
    words = " ".join(map(shlex.quote, more))
    return _PROGRAM.replace("@PROPERTIES@", _PROPERTIES).replace("@MORE@", words)


def parse_started(text: str, more: Iterable[str]) -> dict[str, str]:
    """Return by unit what became of it: one of ``WELL``, or its state in words.

    What is to run is what the default target pulls in, however deep, be it by links, presets or the vendor. A unit that
    is masked or not installed pulls in nothing, and is wanted in vain; ``more`` are wanted whatever they are.
    """
    first, _, rest = text.partition("\n\n")
    blocks = (dict(line.partition("=")[::2] for line in block.splitlines()) for block in rest.split("\n\n"))
    units = {block["Id"]: block for block in blocks if "Id" in block}
    wanted, seen = [first.strip()], set[str]()
    while wanted:
        name = wanted.pop()
        if name not in seen and units.get(name, {}).get("LoadState") == "loaded":
            seen.add(name)
            wanted += [pulled for how in _PULLS for pulled in units[name].get(how, "").split()]
    chosen = {name for name in seen if name.endswith(_SORTS)} | set(more)
    return {name: _state(units.get(name, {})) for name in sorted(chosen)}


def _state(values: dict[str, str]) -> str:
    load, active, result = values.get("LoadState"), values.get("ActiveState"), values.get("Result", "")
    if load != "loaded":
        return load or "not found"
    if active in ("active", "reloading"):
        return UP
    was_tried = values.get("ConditionTimestampMonotonic", "0") not in ("", "0")
    if active == "inactive" and was_tried and values.get("ConditionResult") == "no":
        return NOT_HERE
    has_run = values.get("ExecMainStartTimestampMonotonic", "0") not in ("", "0")
    if active == "inactive" and has_run and result == "success":
        return DONE
    return f"{active} ({values.get('SubState', '')})" + (f", result '{result}'" if result else "")
