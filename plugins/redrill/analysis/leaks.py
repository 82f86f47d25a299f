"""What a redeploy would lose: everything that neither the vendor, nor the backup, nor a declaration accounts for."""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime

from redrill.analysis.drift import Drift
from redrill.analysis.ledger import Leak, Ledger, classify, read_path_rules, tell_size, users_of
from redrill.drill.evidence import read_manifest
from redrill.drill.vendor_evidence import read_vendor
from redrill.errors import UnknownFactError
from redrill.model.finding import Finding, Severity
from redrill.model.globs import compile_glob
from redrill.model.manifest import Entry
from redrill.model.values import STATE_PATHS, is_inside, printable
from redrill.model.vendor import VendorFacts

LEAKS = "leaks"
"""The promise of this module."""

_HABITS = tuple(
    compile_glob(f"/root/{name}")
    for name in (".*_history", ".lesshst", ".viminfo", ".wget-hsts", ".ssh/known_hosts", ".local/share/nano")
)
"""Traces of people who were logged in as root."""

_CODE = ("/usr/local/bin", "/usr/local/sbin", "/usr/local/lib/systemd", "/usr/bin", "/usr/sbin", "/usr/lib/systemd")

Grade = tuple[Severity, str]


def find_leaks(drift: Drift) -> list[Finding]:
    """Return a finding for each topmost path that leaks, and one for each package that only the endpoint has.

    After a drill each says whether the path is gone.
    """
    vendor = _read_vendor(drift)
    survived = _surviving(drift)
    packages: dict[str, list[Leak]] = {}
    findings = []
    for leak in make_ledger(drift).leaks:
        owner = vendor.owner_of(leak.path) if vendor else None
        if owner:
            packages.setdefault(owner, []).append(leak)
        else:
            findings.append(_leak(drift, leak, survived))
    return findings + [_package(drift, name, leaks, survived) for name, leaks in sorted(packages.items())]


def make_ledger(drift: Drift) -> Ledger:
    """Return the ledger of the endpoint as it was before the wipe, or is; UnknownFactError when nobody tells."""
    seen = drift.earliest
    if seen.system_manifest is None:
        raise UnknownFactError(
            f"The files of '{drift.endpoint.name}' are unknown: {seen.unknown.get('system_manifest')}"
        )
    markers = {marker.path for marker in drift.record.markers}
    system = read_manifest(drift.run_dir, seen.system_manifest).entries.values()
    state = read_manifest(drift.run_dir, seen.state_manifest).entries.values() if seen.state_manifest else ()
    return classify(
        (entry for entry in system if entry.path not in markers), state, _vendors(drift), drift.endpoint.ephemeral
    )


def _vendors(drift: Drift) -> Callable[[Entry], bool]:
    """Return what says whether a path is the vendor's: the image where it is known, else the packaging systems."""
    image = drift.record.image_wanted
    if image and image.manifest:
        paths = frozenset(read_manifest(drift.run_dir, image.manifest).entries)
        return lambda entry: entry.path in paths
    vendor = _read_vendor(drift)
    if vendor is None or not vendor.is_known:
        why = vendor.why_unknown if vendor else "no packaging system was asked"
        raise UnknownFactError(f"Nobody knows what the vendor of '{drift.endpoint.name}' ships: {why}.")
    generated = read_path_rules("generated")
    known = vendor.paths.keys() | _parents(vendor.paths) | vendor.links.keys() | vendor.aliases.keys()
    return lambda entry: (
        vendor.canonical(entry.path) in known or entry.path in known or any(rule.covers(entry) for rule in generated)
    )


def _parents(paths: Iterable[str]) -> set[str]:
    parents = {"/", *STATE_PATHS}
    for path in paths:
        while (path := path.rpartition("/")[0]) and path not in parents:
            parents.add(path)
    return parents


def _read_vendor(drift: Drift) -> VendorFacts | None:
    file = drift.earliest.vendor
    return read_vendor(drift.run_dir, file) if file else None


def _surviving(drift: Drift) -> Mapping[str, Entry] | None:
    """Return what there was after the drill, None when there was none."""
    after = drift.record.after
    if drift.record.wiped_at is None or after is None or after.system_manifest is None:
        return None
    return read_manifest(drift.run_dir, after.system_manifest).entries


def _leak(drift: Drift, leak: Leak, survived: Mapping[str, Entry] | None) -> Finding:
    seen = drift.earliest
    who = users_of(leak, seen.open_files)
    severity, why = _grade(leak, who)
    facts = {"entries": str(leak.entries), "size": tell_size(leak.size), "changed": _age(leak, seen.taken_at)}
    if who:
        facts["open by"] = who
    if survived is not None:
        facts["after the drill"] = "still there" if leak.path in survived else "gone"
    number = f"{leak.entries} entries, " if leak.entries > 1 else ""
    return Finding(
        promise=LEAKS,
        kind="leak",
        endpoint=drift.endpoint.name,
        subject=leak.path,
        detail=f"{number}{tell_size(leak.size)}" + (f", used by {who}" if who else ""),
        severity=severity,
        why=why,
        group=printable("/".join(leak.path.split("/")[:3])),
        facts=facts,
    )


def _package(drift: Drift, name: str, leaks: list[Leak], survived: Mapping[str, Entry] | None) -> Finding:
    entries, size = sum(leak.entries for leak in leaks), sum(leak.size for leak in leaks)
    facts = {"entries": str(entries), "size": tell_size(size), "first path": leaks[0].path}
    if survived is not None:
        facts["after the drill"] = "still there" if any(leak.path in survived for leak in leaks) else "gone"
    return Finding(
        promise=LEAKS,
        kind="package",
        endpoint=drift.endpoint.name,
        subject=name,
        detail=f"a package that the image does not have: {entries} entries, {tell_size(size)}",
        severity=Severity.MAJOR,
        why="it was installed on the endpoint, and the next redeploy comes without it",
        group="packages",
        facts=facts,
    )


def _grade(leak: Leak, who: str) -> Grade:
    if who:
        return Severity.CRITICAL, "a running process uses it, and a redeploy takes it away"
    if leak.executables or is_inside(leak.path, _CODE):
        return Severity.MAJOR, "it is a program or a part of the system that no image has"
    if any(habit.fullmatch(leak.path) for habit in _HABITS):
        return Severity.MINOR, "it is what a login leaves behind"
    if not leak.files:
        return Severity.NOTE, "folders without a file; nothing is lost in them"
    return Severity.MAJOR, "it is data, and no backup has it"


def _age(leak: Leak, now: datetime) -> str:
    newest = datetime.fromtimestamp(leak.newest_ns / 10**9, UTC)
    days = (now - newest).days
    return f"{newest:%Y-%m-%d}" + (f", {days} days ago" if days > 1 else "")
