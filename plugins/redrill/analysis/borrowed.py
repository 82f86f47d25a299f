"""What runs until the next boot only: set or started by hand, in the kernel or below /run, and kept by nothing."""

import fnmatch
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from redrill.analysis.drift import Drift
from redrill.analysis.runtime import Items, read_items
from redrill.model.data_file import read_data
from redrill.model.finding import Finding, Severity
from redrill.model.values import is_inside
from redrill.probes.observe import VOLATILE_PATHS

PROMISE = "runtime leaks"

Look = Callable[[str], Items]
"""Returns the items of a kind; UnknownFactError when they could not be observed."""

_Row = tuple[str, str, str, str]
"""Kind, subject, detail and why of a finding."""

_UNTIL_BOOT = {
    "enabled-runtime": ("unit enabled until the next boot", "the boot after that does not start it"),
    "linked-runtime": ("unit linked until the next boot", "the boot after that does not know it"),
    "masked-runtime": ("unit masked until the next boot", "the boot after that starts what was kept from starting"),
}
_PORT = re.compile(r"(tcp|udp)6? .*")
_BY_LOGIN = re.compile(r"(?!sshd)(?P<name>.*) of (a log-in session|sshd?(@.*)?\.service)")
_NO_RULE = re.compile(r"policy .*|type .* policy accept;|(flags|type|typeof|size|comment) .*|elements = .*")


def find_borrowed(drift: Drift) -> list[Finding]:
    """Return what a mere reboot takes away, as it was seen before the wipe, or the only time."""

    def look(name: str) -> Items:
        return read_items(drift.earliest, name) or {}

    finders = (_units, _transient_units, _overrides, _mounts, _firewall, _routes, _listeners, _sysctls)
    return [
        Finding(
            promise=PROMISE,
            kind=kind,
            endpoint=drift.endpoint.name,
            subject=subject,
            detail=detail,
            severity=Severity.CRITICAL if kind.startswith("firewall") else Severity.MAJOR,
            why=why,
            group=kind,
        )
        for find in finders
        for kind, subject, detail, why in find(look)
    ]


@cache
def read_restorers() -> dict[str, list[str]]:
    """Return by sort the globs of what restores or owns, at every boot, what else would count as done by hand."""
    return read_data(__file__, "borrowed.yml", dict[str, list[str]])


def _is_known(sort: str, name: str) -> bool:
    return any(fnmatch.fnmatchcase(name, glob) for glob in read_restorers()[sort])


def _units(look: Look) -> Iterator[_Row]:
    for name, state in look("enablement").items():
        if state in _UNTIL_BOOT and not _is_known("units", name):
            kind, why = _UNTIL_BOOT[state]
            yield kind, name, f"its state is '{state}'", why


def _transient_units(look: Look) -> Iterator[_Row]:
    states = look("activity")
    for name, enabled in look("enablement").items():
        if enabled == "transient" and name in states and not name.endswith((".scope", ".slice")):
            why = "no file describes it, so nothing starts it again"
            yield "transient unit", name, f"started by 'systemd-run' and the like, {states[name]}", why


def _overrides(look: Look) -> Iterator[_Row]:
    for path, what in look("overrides").items():
        if path.startswith("/run/") and not _is_known("units", Path(path).name):
            yield "unit file in /run", path, what, "the next boot starts the unit without it"


def _mounts(look: Look) -> Iterator[_Row]:
    declared, units = look("declared mounts"), look("enablement")
    for path, mount in look("mounts").items():
        is_made_at_boot = path == "/" or path in declared or f"{escape_path(path)}.mount" in units
        is_elsewhere = _is_known("mounts", path) or _is_known("mount kinds", mount.split()[0])
        if not (is_made_at_boot or is_elsewhere or is_inside(path, VOLATILE_PATHS)):
            why = "after the next boot, what is written there lands on the disk below it"
            yield "mount outside fstab", path, f"{mount}, in neither /etc/fstab nor a unit", why


def escape_path(path: str) -> str:
    """Return a path as unit names have it (systemd-escape(1))."""
    escaped = "".join(_escape_byte(byte) for byte in path.strip("/").encode("utf-8", "surrogateescape"))
    return f"\\x2e{escaped[1:]}" if escaped.startswith(".") else escaped


def _escape_byte(byte: int) -> str:
    char = chr(byte)
    if char == "/":
        return "-"
    return char if char.isascii() and (char.isalnum() or char in ":_.") else f"\\x{byte:02x}"


def _firewall(look: Look) -> Iterator[_Row]:
    if _has_unit(look, "firewall"):
        return
    rules: Counter[str] = Counter()
    for place, text in look("firewall").items():
        table = " ".join(place.split()[:2])
        rules[table] += sum(not _NO_RULE.fullmatch(line) or "drop" in line.lower() for line in text.splitlines())
    for table, count in rules.items():
        if count and not _is_known("tables", table):
            detail = f"{count} rules, and no enabled unit that would load them"
            yield "firewall that nothing restores", table, detail, "the next boot leaves open what it forbids"


def _has_unit(look: Look, sort: str) -> bool:
    enabled, active = look("enablement"), look("activity")
    names = {name for name, state in enabled.items() if state in ("enabled", "enabled-runtime", "generated")}
    return any(_is_known(sort, name) for name in names | active.keys())


def _routes(look: Look) -> Iterator[_Row]:
    configured = {address.partition("/")[0] for address in look("configured addresses")}
    for item, way in look("routes").items():
        is_by_hand = _after(way, "proto") in ("", "boot", "static") and not _is_known("interfaces", _after(way, "dev"))
        target = _after(way, "via") if item.startswith("default") else _destination(item)
        if is_by_hand and target and target not in configured:
            why = "no network configuration names it, so the next boot does not know it"
            yield "route by hand", item, way, why


def _after(way: str, key: str) -> str:
    words = way.split()
    return words[words.index(key) + 1] if key in words[:-1] else ""


def _destination(item: str) -> str:
    words = item.split()
    return (words[0] if words[0][0].isdigit() or ":" in words[0] else words[1]).partition("/")[0]


def _listeners(look: Look) -> Iterator[_Row]:
    for socket, owner in look("listeners").items():
        if _PORT.fullmatch(socket) and (started := _BY_LOGIN.fullmatch(owner)):
            why = "it belongs to no unit, so nothing starts it again"
            yield "listener of a log-in", socket, f"served by '{started['name']}', which a person started", why


def _sysctls(look: Look) -> Iterator[_Row]:
    if _has_unit(look, "tuners"):
        return
    live = look("sysctls")
    for name, value in look("declared sysctls").items():
        if name in live and not _is_known("parameters", name) and _words(live[name]) != _words(value):
            detail = f"is '{' '.join(live[name].split())}', its file says '{value}'"
            yield "kernel parameter against its file", name, detail, "the next boot puts back what the file says"


def _words(text: str) -> list[int | str]:
    """Return a value in a form in which '0x10' and '16', a tab and a space are equal."""
    return [int(word, 0) if re.fullmatch(r"-?(0x[0-9a-f]+|[1-9]\d*|0)", word) else word for word in text.split()]
