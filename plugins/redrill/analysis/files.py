"""Files that are not as the backup or the image has them: one finding for a path and each sort of change, graded."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from itertools import groupby
from operator import attrgetter

from redrill.analysis.drift import Drift
from redrill.analysis.relocation import find_regenerated
from redrill.model.attributes import NAMELESS, Names, render_xattrs
from redrill.model.finding import Finding, Severity
from redrill.model.manifest import Difference
from redrill.model.observation import Observation
from redrill.model.values import is_inside
from redrill.redaction import is_sensitive

RESTORED, SETTLED, SYSTEM, BY_HAND = "restored files", "settled files", "system files", "changes by hand"
LOST, VANILLA = "backed up files", "vanilla files"
"""The promises of this module.

Findings against the last one break SYSTEM, too: what is accepted when an endpoint is observed for the first time is
so when it is drilled, which sees it before the wipe.
"""

_KINDS = {
    "kind": "type",
    "mode": "permissions",
    "uid": "owner",
    "gid": "owner",
    "size": "content",
    "sha256": "content",
    "target": "link target",
    "mtime_ns": "time",
    "xattrs": "attributes",
    "link_group": "hard links",
}
"""The sort of change for an attribute; any other attribute is one of its own."""

_CODE = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/boot", "/usr/bin", "/usr/sbin", "/usr/lib"),
    *("/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/local/bin", "/usr/local/sbin", "/usr/local/lib"),
)
_SETID, _WORLD_WRITABLE, _STICKY = 0o6000, 0o002, 0o1000

Grade = tuple[Severity, str]

_GRADES: Mapping[str, Mapping[str, Grade]] = {
    LOST: {
        "link target": (Severity.CRITICAL, "the backup has another one, and so will every restore"),
        "hard links": (Severity.MAJOR, "each name comes back as a file of its own"),
    },
    RESTORED: {
        "missing": (Severity.CRITICAL, "the restore lost it, and nothing else has it"),
        "unexpected": (Severity.MAJOR, "no backup has it, so nobody can say where it is from"),
        "content": (Severity.CRITICAL, "what came back is not what was saved"),
        "type": (Severity.CRITICAL, "what came back is not what was saved"),
        "link target": (Severity.CRITICAL, "what came back is not what was saved"),
    },
    SETTLED: {
        "missing": (Severity.CRITICAL, "what was restored is deleted when the system starts"),
        "unexpected": (Severity.MINOR, "it is made when the system starts, and every later backup has it"),
        "content": (Severity.MAJOR, "what was restored is rewritten when the system starts"),
        "type": (Severity.MAJOR, "what was restored is replaced when the system starts"),
        "link target": (Severity.MAJOR, "what was restored is replaced when the system starts"),
    },
    SYSTEM: {
        "missing": (Severity.MAJOR, "a part of the image is not there"),
        "content": (Severity.MAJOR, "it runs with other content than the image that was tested"),
    },
    VANILLA: {
        "missing": (Severity.MAJOR, "the image has it, and its own first boot removes it"),
        "unexpected": (Severity.MAJOR, "neither the image nor a backup has it, so nobody can say where it is from"),
        "content": (Severity.MAJOR, "it is not what the image holds, though nothing was restored"),
    },
    BY_HAND: {
        "missing": (Severity.MAJOR, "it was deleted on the endpoint, and every redeploy brings it back"),
        "content": (Severity.MAJOR, "somebody needed this change, and every redeploy undoes it"),
    },
}
_COMMON: Mapping[str, Grade] = {
    "time": (Severity.MINOR, "programs that go by the time of a file may act on it"),
    "hard links": (Severity.MINOR, "a change by one name no longer shows by the other"),
    "owner": (Severity.MAJOR, "another user or group may now do what only the right one could"),
    "attributes": (Severity.MAJOR, "access lists and security attributes decide who may do what"),
    "flags": (Severity.MAJOR, "the flags of chattr decide whether updates and restores can replace it"),
}
_OTHER: Grade = (Severity.MAJOR, "it is not what it should be")


def find_lost(drift: Drift) -> list[Finding]:
    """Return what the backup does not hold of what the endpoint had."""
    return list(grade(LOST, drift.endpoint.name, drift.lost(), _names(drift.earliest)))


def find_restored(drift: Drift) -> list[Finding]:
    """Return how the restored trees differ from the backup."""
    findings = grade(RESTORED, drift.endpoint.name, drift.restored(), _names(drift.latest))
    return [*findings, *find_regenerated(drift, RESTORED)]


def find_settled(drift: Drift) -> list[Finding]:
    """Return what has changed in the state paths since the restore, but for churn."""
    return list(grade(SETTLED, drift.endpoint.name, drift.settled(), _names(drift.latest)))


def find_system(drift: Drift) -> list[Finding]:
    """Return how the running system differs from its image outside the state paths."""
    return list(grade(SYSTEM, drift.endpoint.name, drift.changed_from_image(drift.latest), _names(drift.latest)))


def find_by_hand(drift: Drift) -> list[Finding]:
    """Return how the system differed from its image before the wipe; without one ``find_system`` tells it."""
    if drift.record.before is None:
        return []
    return list(grade(BY_HAND, drift.endpoint.name, drift.changed_from_image(drift.earliest), _names(drift.earliest)))


def _names(observation: Observation) -> Names:
    users = {account.uid: name for name, account in observation.users.items()}
    return Names(users, {gid: name for name, gid in observation.groups.items()})


def grade(promise: str, endpoint: str, differences: Iterable[Difference], names: Names = NAMELESS) -> Iterator[Finding]:
    """Yield a finding for each path and sort of change; the differences of a path stand together."""
    for path, own in groupby(differences, attrgetter("path")):
        for kind, changes in _sort(own).items():
            severity, why = _grade(promise, kind, path, changes)
            yield Finding(
                promise=SYSTEM if promise == BY_HAND else promise,
                kind=kind,
                endpoint=endpoint,
                subject=path,
                detail=", ".join(_tell(change, names) for change in changes.values()),
                severity=severity,
                why=why,
                group=_group(path),
            )


def _sort(differences: Iterable[Difference]) -> dict[str, dict[str, Difference]]:
    """Return the differences of one path by sort and attribute, without those that follow from another one."""
    kinds: dict[str, dict[str, Difference]] = {}
    for difference in differences:
        attribute = difference.attribute
        kinds.setdefault(_KINDS.get(attribute, attribute), {})[attribute] = difference
    if "type" in kinds:
        return {"type": kinds["type"]}
    if kinds.keys() & {"content", "link target"}:
        kinds.pop("time", None)
    return kinds


def _grade(promise: str, kind: str, path: str, changes: Mapping[str, Difference]) -> Grade:
    if kind == "permissions":
        return _grade_mode(path, changes["mode"])
    if kind == "owner" and is_sensitive(path):
        return Severity.CRITICAL, "it holds secrets, and others than its owner may now read them"
    if kind == "attributes" and any("security.capability" in str(change) for change in changes.values()):
        return Severity.CRITICAL, "capabilities let a program do what only root may"
    if promise in (SYSTEM, BY_HAND) and kind in ("content", "type", "link target") and is_inside(path, _CODE):
        return Severity.CRITICAL, "it belongs to the code of the system, and the image holds another"
    return _GRADES[promise].get(kind) or _COMMON.get(kind, _OTHER)


def _grade_mode(path: str, change: Difference) -> Grade:
    expected, found = change.expected, change.found
    if (expected ^ found) & _SETID:
        return Severity.CRITICAL, "setuid and setgid decide with whose rights a program runs, whoever starts it"
    if found & ~expected & _WORLD_WRITABLE or (found & _WORLD_WRITABLE and expected & ~found & _STICKY):
        return Severity.CRITICAL, "everybody may now change it"
    if found & ~expected & 0o077 and is_sensitive(path):
        return Severity.CRITICAL, "it holds secrets, and others than its owner may now read them"
    if found & ~expected & 0o777:
        return Severity.MAJOR, "more may be done with it than was meant"
    return Severity.MAJOR, "whoever needs it may no longer get at it"


def _tell(change: Difference, names: Names) -> str:
    if change.attribute == "missing":
        return f"missing, a {change.expected} is expected"
    if change.attribute == "unexpected":
        return f"unexpected {change.found}"
    if change.attribute == "xattrs":
        return render_xattrs(change.expected, change.found, names)
    found, expected = (_show(change.attribute, value, names) for value in (change.found, change.expected))
    return f"{change.attribute.removesuffix('_ns')} is {found}, expected {expected}"


def _show(attribute: str, value: object, names: Names) -> str:
    if attribute in ("uid", "gid") and isinstance(value, int):
        return names.user(value) if attribute == "uid" else names.group(value)
    if attribute == "flags":
        return f"'{value}'" if value else "none"
    if attribute == "mode" and isinstance(value, int):
        return f"{value:04o}"
    if attribute == "mtime_ns" and isinstance(value, int):
        return f"{datetime.fromtimestamp(value // 10**9, UTC):%Y-%m-%dT%H:%M:%S}.{value % 10**9:09d}Z"
    if attribute == "sha256" and value:
        return f"{str(value)[:12]}…"
    return str(value)


def _group(path: str) -> str:
    """Return the directory, of at most three names, under which a path is told together with others."""
    names = path.split("/")[1:-1]
    return "/" + "/".join(names[:3])
