"""How the files of an endpoint are not what its vendor says: by what the vendor knows of them, or by what is usual."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from redrill.model.manifest import Entry, EntryKind
from redrill.model.values import STATE_PATHS
from redrill.model.vendor import Deviation, DeviationKind, Expected, VendorFacts
from redrill.probes.observe import VOLATILE_PATHS
from redrill.probes.vendor.privileged import privileged_files

_NOT_JUDGED = tuple(f"{folder}/" for folder in STATE_PATHS + VOLATILE_PATHS)
_PROGRAMS = ("/usr/bin", "/usr/sbin")
_SITE = "/usr/local/"
"""Debian gives directories here to the group staff (policy, 9.1.2)."""

_SETID, _STICKY, _WORLD_WRITABLE, _GROUP_WRITABLE = 0o6000, 0o1000, 0o002, 0o020
_RIGHTS = (DeviationKind.MODE, DeviationKind.OWNER)
_CAPABILITY = "security.capability"


@dataclass(frozen=True, slots=True)
class Accounts:
    """The numbers of users and groups on the endpoint, by name."""

    users: Mapping[str, int]
    groups: Mapping[str, int]


def find_deviations(facts: VendorFacts, files: Mapping[str, Entry], accounts: Accounts) -> list[Deviation]:
    """Return every deviation outside the state paths, in the order of the paths, one for a path and kind.

    What was found out on the endpoint itself counts as well; extra files do not: they are no vendor's.
    """
    found: dict[tuple[str, DeviationKind], Deviation] = {}
    for path, expected in facts.paths.items():
        if not _is_elsewhere(path):
            for deviation in _judge(path, expected, files.get(path), facts, accounts):
                found.setdefault((path, deviation.kind), deviation)
    for deviation in facts.deviations:
        if deviation.kind is not DeviationKind.EXTRA and not _is_elsewhere(deviation.path):
            _add_told(found, deviation, facts.paths.get(deviation.path))
    return [found[key] for key in sorted(found)]


def _is_elsewhere(path: str) -> bool:
    """Whether a path is in the state paths, or made anew at every boot; asked for every file, so it is quick."""
    return f"{path}/".startswith(_NOT_JUDGED)


def _add_told(found: dict[tuple[str, DeviationKind], Deviation], told: Deviation, expected: Expected | None) -> None:
    """Add what the endpoint's own tools found, unless it follows from what is known already.

    A tool that knows modes and owners calls a file modified for these alone, too.
    """
    kinds = {kind for kind in DeviationKind if (told.path, kind) in found}
    knows_rights = expected is not None and expected.mode is not None
    explaining = {DeviationKind.TYPE, DeviationKind.MISSING} | (set(_RIGHTS) if knows_rights else set())
    if not kinds & explaining:
        found.setdefault((told.path, told.kind), told)


def _judge(
    path: str, expected: Expected, entry: Entry | None, facts: VendorFacts, accounts: Accounts
) -> Iterator[Deviation]:
    def deviation(kind: DeviationKind, detail: str) -> Deviation:
        return Deviation(path, kind, detail, expected.owner)

    if entry is None:
        if not expected.is_optional:
            yield deviation(DeviationKind.MISSING, f"in '{expected.owner}', but not here")
        return
    if expected.kind not in (None, entry.kind):
        yield deviation(DeviationKind.TYPE, f"is a {entry.kind}, expected a {expected.kind}")
        return
    is_other = (expected.sha256 or entry.sha256) != entry.sha256 or (expected.target or entry.target) != entry.target
    if is_other and not expected.is_config:
        yield deviation(DeviationKind.MODIFIED, f"not as in '{expected.owner}'")
    if expected.mode is None and expected.user is None:
        yield from _judge_by_custom(path, entry, facts, accounts, deviation)
    else:
        yield from _judge_rights(expected, entry, accounts, deviation)


Make = Callable[[DeviationKind, str], Deviation]


def _judge_rights(expected: Expected, entry: Entry, accounts: Accounts, make: Make) -> Iterator[Deviation]:
    if expected.mode is not None and expected.mode != entry.mode:
        yield make(DeviationKind.MODE, f"is {entry.mode:04o}, expected {expected.mode:04o}")
    wanted = (_number(expected.user, accounts.users), _number(expected.group, accounts.groups))
    if None not in wanted and wanted != (entry.uid, entry.gid):
        yield make(DeviationKind.OWNER, f"is {entry.uid}:{entry.gid}, expected {expected.user}:{expected.group}")


def _number(name: str | None, numbers: Mapping[str, int]) -> int | None:
    """Return the number behind a name or a number; -1, which nothing has, for a name that does not exist here."""
    if name is None:
        return None
    return int(name) if name.isdecimal() else numbers.get(name, -1)


def _judge_by_custom(
    path: str, entry: Entry, facts: VendorFacts, accounts: Accounts, make: Make
) -> Iterator[Deviation]:
    """Judge the rights of a packaged file whose package database knows none: what is unusual is told."""
    if entry.kind is EntryKind.SYMLINK or f"{path}/".startswith(_SITE):
        return
    known = privileged_files().get(path)
    user, group, mode = facts.overrides.get(path, (known.user, known.group, None) if known else ("root", "root", None))
    wanted = (_number(user, accounts.users), _number(group, accounts.groups))
    # A group of the list need not exist where the package was configured without it.
    if (entry.uid, entry.gid) not in (wanted, (0, 0)) or (path in facts.overrides and (entry.uid, entry.gid) != wanted):
        yield make(DeviationKind.OWNER, f"is {entry.uid}:{entry.gid}, expected {user}:{group}")
    if mode is not None:
        if mode != entry.mode:
            yield make(DeviationKind.MODE, f"is {entry.mode:04o}, registered with dpkg-statoverride as {mode:04o}")
    elif known is not None:
        if not known.allows(entry.mode):
            yield make(DeviationKind.MODE, f"is {entry.mode:04o}, expected {' or '.join(known.modes)}")
    elif words := _unusual(path, entry):
        yield make(DeviationKind.MODE, f"is {entry.mode:04o}: {words}")
    if any(name == _CAPABILITY for name, _ in entry.xattrs) and not (known and known.has_capabilities):
        yield make(DeviationKind.MODE, "has capabilities, which no package gives it")


def _unusual(path: str, entry: Entry) -> str:
    """Return what is unusual about the permissions of a packaged file or directory, '' when nothing is."""
    mode, is_file = entry.mode, entry.kind is EntryKind.FILE
    if is_file and mode & _SETID:
        return "runs with the rights of its owner or group, and is no program that is known for it"
    if mode & _WORLD_WRITABLE and not mode & _STICKY:
        return "everybody may change it"
    if mode & _GROUP_WRITABLE:
        return "its group may change it"
    if is_file and mode & 0o444 != 0o444:
        return "not everybody may read it"
    if is_file and path.startswith(_PROGRAMS) and mode & 0o111 != 0o111:
        return "not everybody may run it"
    return ""
