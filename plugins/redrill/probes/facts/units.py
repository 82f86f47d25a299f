"""Units: which are enabled, active, overridden, and when timers fire.

``systemctl list-unit-files`` compares every unit with every link, which takes a third of a second on a small system;
so the links are read here and resolved by the rules of systemctl(1) and systemd.unit(5).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redrill.model.observation import Unit
from redrill.probes.facts.fact import Fact
from redrill.probes.facts.volatile import settle_items

_FOLDERS = (
    "/etc/systemd/system.control",
    "/run/systemd/system.control",
    "/run/systemd/transient",
    "/run/systemd/generator.early",
    "/etc/systemd/system",
    "/etc/systemd/system.attached",
    "/run/systemd/system",
    "/run/systemd/system.attached",
    "/run/systemd/generator",
    "/usr/local/lib/systemd/system",
    "/usr/lib/systemd/system",
    "/lib/systemd/system",
    "/run/systemd/generator.late",
)
"""Where systemd looks for units, the first place wins (systemd.unit(5))."""

_TYPES = "service,socket,timer,path,mount"
_UNITS = f"""
set --
for folder in {" ".join(_FOLDERS)}; do
  [ -d $folder ] && {{ [ $folder != /lib/systemd/system ] || [ ! -L /lib ]; }} && set -- "$@" $folder
done
find "$@" ! -type d -exec ls -ld {{}} +
printf '\\036\\n'
find "$@" -type f -exec grep -E '^(WantedBy|RequiredBy|UpheldBy|Alias|Also|DefaultInstance)[ 	]*=.' /dev/null {{}} +
printf '\\036\\n'
systemctl list-units --all --no-legend --plain --no-pager --full --type={_TYPES}
"""
_TIMERS = "systemctl show '*.timer' --property=Id,TimersCalendar,TimersMonotonic"

_LISTED = re.compile(r"(?P<type>.)\S* +\d+ +\S+ +\S+ +(?P<size>\d+) .*? (?P<path>/.*?)(?: -> (?P<target>.*))?")
_TIMER = re.compile(r"Timers\w+={ (?P<schedule>.*?) ;")


@dataclass(frozen=True, slots=True)
class UnitFile:
    """A file below one of the folders of units; ``target`` is that of a link, '' for a regular file."""

    path: str
    target: str
    size: int

    @property
    def name(self) -> str:
        """The unit that the file is about, or a drop-in's own name."""
        return _last(self.path)

    @property
    def parent(self) -> str:
        """The folder that it lies in."""
        return self.path.rpartition("/")[0]

    @property
    def is_unit(self) -> bool:
        """Whether it lies in one of the folders itself, and not in one of 'X.wants' or 'X.d'."""
        return self.parent in _RANKS

    @property
    def is_mask(self) -> bool:
        """Whether it says that there is no such unit."""
        return self.target == "/dev/null" or (not self.target and self.size == 0)

    @property
    def is_alias(self) -> bool:
        """Whether it is another name of a unit."""
        return bool(self.target) and _last(self.target) != self.name

    @property
    def rank(self) -> int:
        """The place of its folder in the order in which systemd looks."""
        return _RANKS.get(self.parent) or _RANKS[self.parent.rpartition("/")[0]]


_RANKS = {folder: rank for rank, folder in enumerate(_FOLDERS, start=1)}


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def parse_unit_files(text: str) -> list[UnitFile]:
    """Return what ``ls -ld`` told of the folders of units, in the order in which systemd looks."""
    rows = (match for line in text.splitlines() if (match := _LISTED.fullmatch(line)))
    files = [UnitFile(row["path"], row["target"] or "", int(row["size"])) for row in rows]
    return sorted((file for file in files if file.is_unit or _is_beside_units(file)), key=lambda file: file.rank)


def _is_beside_units(file: UnitFile) -> bool:
    return file.parent.rpartition("/")[0] in _RANKS


def enablement(files: list[UnitFile], installs: set[str]) -> dict[str, str]:
    """Return the state of every unit file by unit, in the words of ``systemctl list-unit-files``.

    ``installs`` are the paths of files that say how they would be enabled.
    """
    first: dict[str, UnitFile] = {}
    for file in files:
        if file.is_unit:
            first.setdefault(file.name, file)
    links = _links(files)
    states = {name: _state(file, links.get(name, ""), file.path in installs) for name, file in first.items()}
    return links | states


def _links(files: list[UnitFile]) -> dict[str, str]:
    """Return by which sort of link ('enabled', 'enabled-runtime', 'generated') units are wanted, if by any.

    A link in 'X.wants' is about the unit of its own name, and its template; one beside the units is about its target.
    """
    found: dict[str, str] = {}
    for file in files:
        word = _place_word(file.path)
        if word and file.target and not file.is_mask and (file.is_alias or not file.is_unit):
            for name in [_last(file.target)] if file.is_unit else [file.name, _template(file.name)]:
                found[name] = min(found.get(name, word), word, key=_STRENGTH.index)
    return found


_STRENGTH = ("enabled", "enabled-runtime", "generated")


def _place_word(path: str) -> str:
    if path.startswith("/etc/"):
        return "enabled"
    if path.startswith("/run/systemd/generator"):
        return "generated"
    return "enabled-runtime" if path.startswith("/run/") else ""


def _state(file: UnitFile, link: str, has_install: bool) -> str:
    runtime = "-runtime" if file.path.startswith("/run/") else ""
    is_generated = file.path.startswith("/run/systemd/generator")
    states = (
        (file.is_mask and is_generated, "masked"),
        (file.is_mask, f"masked{runtime}"),
        (file.is_alias, "alias"),
        (file.path.startswith("/run/systemd/transient"), "transient"),
        (is_generated, "generated"),
        (link, link),
        (file.target, f"linked{runtime}"),
        (has_install, "disabled"),
    )
    return next((word for applies, word in states if applies), "static")


def _template(name: str) -> str:
    """Return the template of an instance: 'getty@.service' of 'getty@tty1.service', else the name itself."""
    return re.sub(r"@.*(\.\w+)", r"@\1", name)


def overrides(files: list[UnitFile]) -> Iterator[tuple[str, str]]:
    """Yield what in /etc and /run says otherwise than /usr: the path, and what it is."""
    vendor = {file.name for file in files if file.is_unit and not file.path.startswith(("/etc/", "/run/"))}
    for file in files:
        path = file.path
        if not path.startswith(("/etc/", "/run/")) or path.startswith("/run/systemd/generator"):
            continue
        if file.parent.endswith(".d") and file.name.endswith(".conf"):
            yield path, f"drop-in of {_last(file.parent).removesuffix('.d')}"
        elif file.is_unit and not file.is_mask and path.startswith("/run/systemd/system"):
            yield path, f"the unit {file.name} itself"
        elif file.is_unit and not file.target and file.size and file.name in vendor:
            yield path, f"instead of the vendor's {file.name}"


def _parse_units(text: str) -> dict[str, Any]:
    listed, installs, states = text.split("\x1e\n")
    files = parse_unit_files(listed)
    enabled = enablement(files, {line.partition(":")[0] for line in installs.splitlines()})
    rows = [line.split() for line in states.splitlines()]
    active = {row[0]: f"{row[2]} ({row[3]})" for row in rows if len(row) >= 4}
    names = settle_items("units", dict.fromkeys(enabled.keys() | active.keys(), ""))
    return {
        "units": {
            name: Unit(
                enabled=enabled.get(name) or enabled.get(_template(name), "none"),
                active=active.get(name, "inactive (dead)"),
            )
            for name in names
        },
        "runtime": {"overrides": settle_items("overrides", dict(overrides(files)))},
    }


def _parse_timers(text: str) -> dict[str, Any]:
    timers = {}
    for block in text.split("\n\n"):
        name = next((line[3:] for line in block.splitlines() if line.startswith("Id=")), "")
        if name:
            timers[name] = ", ".join(sorted(match["schedule"] for match in _TIMER.finditer(block)))
    return {"runtime": {"timers": settle_items("timers", timers)}}


UNIT_FACTS = (
    Fact("units", _UNITS, _parse_units, needs_init=True),
    Fact("timers", _TIMERS, _parse_timers, needs_init=True),
)
"""What runs, and what will run after the next boot."""
