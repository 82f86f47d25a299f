"""Who owns what, by name and by number: numbers are restored, and must mean whom they meant before and in the image."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from redrill.analysis.drift import Drift
from redrill.drill.evidence import read_entries
from redrill.errors import UnknownFactError
from redrill.model.finding import Finding, Severity
from redrill.model.manifest import Entry, EntryKind
from redrill.model.observation import Observation

OWNERSHIP = "ownership"
"""The promise of this module."""

_SETUID, _SETGID = 0o4000, 0o2000
_SHOWN = 3
_FIRST_PERSON = 1000
_DYNAMIC = range(61184, 65536)
"""Numbers that systemd gives to units while they run, and 'nobody' (systemd: users, groups, UIDs and GIDs)."""

_SORTS = {"user": "/etc/passwd", "group": "/etc/group"}


@dataclass(slots=True)
class Owned:
    """What one number owns: how many entries, the first few, and the programs that run with its rights."""

    entries: int = 0
    examples: list[str] = field(default_factory=list)
    privileged: list[str] = field(default_factory=list)

    def add(self, entry: Entry, *, is_privileged: bool) -> None:
        """Count an entry in."""
        self.entries += 1
        chosen = self.privileged if is_privileged else self.examples
        if len(chosen) < _SHOWN:
            chosen.append(entry.path)

    def __str__(self) -> str:
        return f"{self.entries} entries, such as {', '.join((self.privileged + self.examples)[:_SHOWN])}"


Holdings = dict[str, dict[int, Owned]]
"""What each number owns, for 'user' and 'group'."""


def find_ownership(drift: Drift) -> list[Finding]:
    """Return numbers that mean somebody else than before or than in the image, and numbers that mean nobody."""
    seen = drift.latest
    for name in ("users", "groups"):
        if name in seen.unknown:
            raise UnknownFactError(f"The {name} of '{drift.endpoint.name}' are unknown: {seen.unknown[name]}")
    system, state = (_holdings(drift, manifest) for manifest in (seen.system_manifest, seen.state_manifest))
    return [*_strangers(drift, system), *_renamed(drift, state), *_nobodies(drift, system, state)]


def _holdings(drift: Drift, manifest: Path | None) -> Holdings:
    if manifest is None:
        raise UnknownFactError(
            f"The files of '{drift.endpoint.name}' are unknown; nothing can be said of their owners."
        )
    holdings: Holdings = {"user": {}, "group": {}}
    for entry in read_entries(drift.run_dir, manifest):
        runs = entry.mode if entry.kind is EntryKind.FILE else 0
        holdings["user"].setdefault(entry.uid, Owned()).add(entry, is_privileged=bool(runs & _SETUID))
        # A setuid program that only a group may start (4750) is guarded by that group.
        guarded = runs & _SETGID or (runs & _SETUID and not runs & 0o001)
        holdings["group"].setdefault(entry.gid, Owned()).add(entry, is_privileged=bool(guarded))
    return holdings


def _names(seen: Observation) -> dict[str, dict[str, int]]:
    return {"user": {name: account.uid for name, account in seen.users.items()}, "group": seen.groups}


def _strangers(drift: Drift, system: Holdings) -> Iterator[Finding]:
    """Yield what the image gave to one name and the restored accounts give to another."""
    image = {"user": drift.record.image_users, "group": drift.record.image_groups}
    for sort, now in _names(drift.latest).items():
        for name, number in (image[sort] or {}).items():
            owned = system[sort].get(number)
            if owned is None or now.get(name) == number:
                continue
            other = _name_of(number, now)
            meant = f"the image gave it number {number}, which {_SORTS[sort]} gives to {other or 'nobody'}"
            yield _finding(
                drift,
                kind=f"{sort} of another",
                subject=f"{sort} {name}",
                detail=f"{meant}: {owned}",
                grade=(Severity.CRITICAL, "programs now run with the rights of somebody else")
                if owned.privileged
                else (Severity.MAJOR, "files of the system now belong to somebody else"),
            )


def _renamed(drift: Drift, state: Holdings) -> Iterator[Finding]:
    """Yield numbers of restored files that meant another name before the wipe."""
    if drift.record.before is None:
        return
    before, after = _names(drift.record.before), _names(drift.latest)
    for sort, holdings in state.items():
        for number, owned in sorted(holdings.items()):
            old, new = _name_of(number, before[sort]), _name_of(number, after[sort])
            # A second name for a number takes nothing away from the first: the accounts tell of it.
            if set(old.split(", ")) - set(new.split(", ")) - {""}:
                yield _finding(
                    drift,
                    kind=f"{sort} renamed",
                    subject=f"{sort} {old}",
                    detail=f"number {number} is now {new or 'nobody'}: {owned}",
                    grade=(
                        Severity.CRITICAL,
                        "restored data is now readable by another daemon, and no longer by its own",
                    ),
                )


def _nobodies(drift: Drift, *places: Holdings) -> Iterator[Finding]:
    """Yield numbers that own files and have no name."""
    for sort, now in _names(drift.latest).items():
        known = set(now.values())
        numbers = {number for place in places for number in place[sort]} - known - set(_DYNAMIC)
        for number in sorted(numbers):
            owned = [place[sort][number] for place in places if number in place[sort]]
            is_person = number >= _FIRST_PERSON
            yield _finding(
                drift,
                kind=f"{sort} without a name",
                subject=f"{sort} {number}",
                detail=f"{_SORTS[sort]} has no such number: {'; '.join(map(str, owned))}",
                grade=(Severity.NOTE, "a directory service may know it; else whoever gets the number gets the files")
                if is_person
                else (Severity.MINOR, "the next system account may get the number, and these files with it"),
            )


def _name_of(number: int, names: Mapping[str, int]) -> str:
    return ", ".join(sorted(name for name, own in names.items() if own == number))


def _finding(drift: Drift, kind: str, subject: str, detail: str, grade: tuple[Severity, str]) -> Finding:
    severity, why = grade
    return Finding(
        promise=OWNERSHIP,
        kind=kind,
        endpoint=drift.endpoint.name,
        subject=subject,
        detail=detail,
        severity=severity,
        why=why,
        group=kind,
    )
