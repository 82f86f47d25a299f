"""Whether /etc holds copies that the vendor has left behind: three sides of every path of it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from redrill.analysis.drift import Drift
from redrill.analysis.etc_sides import EtcSides, read_sides
from redrill.analysis.links import Resolver
from redrill.model.finding import Finding, Severity
from redrill.model.manifest import EntryKind
from redrill.model.three_way import NOTHING, EtcKind, Side, judge, same
from redrill.model.vendor import Conffile
from redrill.probes.etc_rules import etc_rules

ETC = "etc"
"""The promise."""

_GRADES: Mapping[EtcKind, tuple[Severity, str]] = {
    EtcKind.MASKED: (
        Severity.MAJOR,
        "the vendor has changed this default, and the old one in /etc keeps it from working",
    ),
    EtcKind.CONFLICT: (
        Severity.MAJOR,
        "the vendor and somebody here have both changed it; only a person can merge them",
    ),
    EtcKind.ORPHAN: (Severity.MINOR, "nothing that is installed reads it any more"),
    EtcKind.DANGLING: (Severity.MINOR, "it leads nowhere, so whoever follows it gets an error"),
    EtcKind.ALTERNATIVE: (
        Severity.MINOR,
        "the database of alternatives says otherwise, and the next upgrade follows it",
    ),
    EtcKind.EDIT: (Severity.NOTE, "it was edited here, which is what /etc is for"),
    EtcKind.DELETED: (Severity.NOTE, "it was deleted here, and the restore keeps it deleted"),
    EtcKind.REDUNDANT: (
        Severity.NOTE,
        "it says what the default says; without it the default would be kept up to date",
    ),
    EtcKind.LEFTOVER: (Severity.NOTE, "a package manager has kept an older text beside the one that counts"),
    EtcKind.UNKNOWN: (Severity.NOTE, "nobody knows the old default, so an edit cannot be told from a stale copy"),
}
_ALTERNATIVES = "/etc/alternatives/"
_UNITS = "/etc/systemd/"
_UNIT_FOLDERS = ("/etc/systemd/system", "/usr/lib/systemd/system", "/usr/local/lib/systemd/system")


@dataclass(frozen=True, slots=True)
class EtcItem:
    """What is to be said of one path; ``default`` is the path of the vendor's text where that is another one."""

    path: str
    kind: EtcKind
    detail: str
    default: str = ""


def find_stale_copies(drift: Drift) -> list[Finding]:
    """Return what the three sides of /etc say, one finding a path; UnknownFactError when nobody knows any default."""
    return [
        Finding(
            promise=ETC,
            kind=item.kind.value,
            endpoint=drift.endpoint.name,
            subject=item.path,
            detail=item.detail,
            severity=_GRADES[item.kind][0],
            why=_GRADES[item.kind][1],
            group=item.path.rpartition("/")[0],
        )
        for item in find_items(read_sides(drift))
    ]


def find_items(sides: EtcSides) -> list[EtcItem]:
    """Return what is to be said of /etc, in the order of the paths: of each path the gravest."""
    resolver = Resolver(sides.here)
    found = (list(_judge(sides, resolver, path)) for path in sides.paths)
    return [min(items, key=_gravity) for items in found if items]


def _gravity(item: EtcItem) -> int:
    return list(Severity).index(_GRADES[item.kind][0])


def _judge(sides: EtcSides, resolver: Resolver, path: str) -> Iterator[EtcItem]:
    """Yield all that can be said of a path."""
    if path.startswith(_ALTERNATIVES):
        yield from _judge_alternative(sides, resolver, path)
        return
    yield from _judge_unmerged(sides, path)
    yield from _judge_default(sides, path)
    yield from _judge_conffile(sides, path)
    yield from _judge_hidden(sides, path)
    yield from _judge_link(sides, resolver, path)
    if path in sides.here and etc_rules().is_kept_old(path):
        yield EtcItem(path, EtcKind.LEFTOVER, "an older text that nothing reads")


def _judge_default(sides: EtcSides, path: str) -> Iterator[EtcItem]:
    base, mine, new = sides.old(path), sides.mine(path), sides.new(path)
    if any(side and side.kind in (EntryKind.DIRECTORY, EntryKind.SOCKET) for side in (base, mine, new)):
        return
    kind = judge(base, mine, new)
    conffile = sides.old_vendor.conffiles.get(path)
    if kind is EtcKind.UNKNOWN and conffile and base and sides.is_same_version(conffile.owner):
        kind = EtcKind.EDIT
    text = Side(EntryKind.FILE, frozenset({conffile.digest})) if conffile else NOTHING
    if kind is EtcKind.EDIT and same(mine, text) and _differing(mine, new or mine) == "content":
        # The package database came back with /etc and remembers: this is the text of an older release, and no edit.
        kind = EtcKind.MASKED
    if kind:
        yield EtcItem(path, kind, _describe(kind, base, mine, new), path)


def _describe(kind: EtcKind, base: Side | None, mine: Side, new: Side | None) -> str:
    if mine.kind is None:
        is_masked = kind is EtcKind.MASKED
        return "the new image brings it, and the /etc that came back lacks it" if is_masked else "the vendor has it"
    words = {
        EtcKind.MASKED: f"still the old default; the new one has another {_differing(mine, new or mine)}",
        EtcKind.CONFLICT: "edited here, and the new image has a new default",
        EtcKind.ORPHAN: "the new image has it no more",
        EtcKind.EDIT: f"not the vendor's: another {_differing(mine, base or mine)}",
        EtcKind.UNKNOWN: "not as in the new image",
    }
    if kind is EtcKind.CONFLICT and base is not None and base.kind is None:
        return "made here, and the new image brings another"
    return words[kind]


def _differing(one: Side, other: Side) -> str:
    if one.kind is not other.kind:
        return "type"
    if one.target != other.target:
        return "target"
    contents = (Side(side.kind, side.digests) for side in (one, other))
    is_mode = same(*contents) is not False and one.mode != other.mode
    return "mode" if is_mode else "content"


def _judge_conffile(sides: EtcSides, path: str) -> Iterator[EtcItem]:
    conffile: Conffile | None = sides.vendor.conffiles.get(path)
    if conffile is None or path not in sides.here:
        return
    if conffile.is_orphan:
        yield EtcItem(path, EtcKind.ORPHAN, f"the package '{conffile.owner}' is not installed any more")
    elif conffile.is_obsolete:
        yield EtcItem(path, EtcKind.ORPHAN, f"the package '{conffile.owner}' has it no more")


def _judge_unmerged(sides: EtcSides, path: str) -> Iterator[EtcItem]:
    merged = etc_rules().unmerged_for(path)
    if merged is None or path not in sides.here:
        return
    if merged in sides.here and same(sides.mine(merged), sides.mine(path)) is False:
        yield EtcItem(path, EtcKind.CONFLICT, f"a newer default of '{merged}' that nobody has merged", merged)
    else:
        yield EtcItem(path, EtcKind.LEFTOVER, "a default that is merged, or that nothing waits for")


def _judge_hidden(sides: EtcSides, path: str) -> Iterator[EtcItem]:
    entry = sides.here.get(path)
    if entry is None or entry.kind is not EntryKind.FILE:
        return
    mine = Side.of(entry, has_mode=False)
    for hidden, old, new in sides.hidden(path):
        kind = EtcKind.REDUNDANT if same(mine, new) else judge(old, mine, new)
        if kind is EtcKind.ORPHAN:
            yield EtcItem(path, kind, f"it hid '{hidden}', which is gone", hidden)
        elif kind:
            words = {
                EtcKind.REDUNDANT: f"the same as '{hidden}'",
                EtcKind.MASKED: f"a copy of what '{hidden}' was before; it hides the new one",
                EtcKind.CONFLICT: f"it hides '{hidden}', which has changed since",
            }
            yield EtcItem(path, kind, words.get(kind, f"in the place of '{hidden}'"), hidden)


def _judge_link(sides: EtcSides, resolver: Resolver, path: str) -> Iterator[EtcItem]:
    entry = sides.here.get(path)
    if entry is None or entry.kind is not EntryKind.SYMLINK or not resolver.leads_nowhere(path):
        return
    if path.startswith(_UNITS):
        name = _unit_name(path, entry.target or "")
        if not any(f"{folder}/{each}" in sides.here for folder in _UNIT_FOLDERS for each in name):
            yield EtcItem(path, EtcKind.ORPHAN, f"the unit '{name[0]}' that it switches on is gone")
        return
    is_vendors = same(sides.mine(path), sides.new(path) or sides.old(path) or Side(None))
    if not is_vendors and sides.vendor.owner_of(path) is None:
        yield EtcItem(path, EtcKind.DANGLING, f"it leads to '{entry.target}', which is not there")


def _unit_name(path: str, target: str) -> list[str]:
    """Return the names under which the unit of a link can be found: itself, and the template that it is made from."""
    name = path.rpartition("/")[2] if ".wants/" in path or ".requires/" in path else target.rpartition("/")[2]
    stem, at, rest = name.partition("@")
    return [name, f"{stem}@.{rest.rpartition('.')[2]}"] if at else [name]


def _judge_alternative(sides: EtcSides, resolver: Resolver, path: str) -> Iterator[EtcItem]:
    entry, allowed = sides.here.get(path), sides.vendor.links.get(path, ())
    if entry is None or entry.kind is not EntryKind.SYMLINK:
        return
    if resolver.leads_nowhere(path):
        is_left_out = (
            known := sides.vendor.paths.get(sides.vendor.canonical(entry.target or ""))
        ) and known.is_optional
        if not is_left_out:
            yield EtcItem(path, EtcKind.DANGLING, f"it leads to '{entry.target}', which is not there")
    elif not allowed:
        if sides.vendor.links:
            yield EtcItem(path, EtcKind.ORPHAN, "the database of alternatives does not know it")
    elif entry.target not in allowed:
        yield EtcItem(path, EtcKind.ALTERNATIVE, f"it leads to '{entry.target}' instead of '{allowed[0] or 'nothing'}'")
