"""What a redeploy would lose: everything that neither the vendor, nor the backup, nor a declaration accounts for."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

from redrill.analysis.drift import Drift
from redrill.analysis.ledger import Leak, Ledger, classify, read_path_rules, tell_size, users_of
from redrill.drill.evidence import read_entries
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
    leaks = make_ledger(drift).leaks
    if not leaks:
        return []
    vendor, survived = _read_vendor(drift.run_dir, drift.earliest.vendor), _surviving(drift)
    packages: dict[str, list[Leak]] = {}
    findings = []
    for leak in leaks:
        owner = vendor.owner_of(leak.path) if vendor else None
        if owner:
            packages.setdefault(owner, []).append(leak)
        else:
            findings.append(_leak(drift, leak, survived))
    return findings + [_package(drift, name, own, survived) for name, own in sorted(packages.items())]


@dataclass(frozen=True, slots=True)
class _Sources:
    """What a ledger is made of: files of the run, the markers of the drill, and what the fleet file declares."""

    run_dir: Path
    endpoint: str
    system: Path
    state: Path | None
    image: Path | None
    vendor: Path | None
    markers: frozenset[str]
    ephemeral: tuple[str, ...]


def make_ledger(drift: Drift) -> Ledger:
    """Return the ledger of the endpoint as it was before the wipe, or is; UnknownFactError when nobody tells."""
    seen, image, name = drift.earliest, drift.record.image_wanted, drift.endpoint.name
    if seen.system_manifest is None:
        raise UnknownFactError(f"The files of '{name}' are unknown: {seen.unknown.get('system_manifest')}")
    sources = _Sources(
        run_dir=drift.run_dir,
        endpoint=name,
        system=seen.system_manifest,
        state=seen.state_manifest,
        image=image.manifest if image else None,
        vendor=seen.vendor,
        markers=frozenset(marker.path for marker in drift.record.markers),
        ephemeral=drift.endpoint.ephemeral,
    )
    return _make_ledger(sources)


@lru_cache(maxsize=1)  # one test shows it and judges by it
def _make_ledger(sources: _Sources) -> Ledger:
    system = (each for each in read_entries(sources.run_dir, sources.system) if each.path not in sources.markers)
    state = read_entries(sources.run_dir, sources.state) if sources.state else ()
    return classify(system, state, _vendors(sources), sources.ephemeral)


def _vendors(sources: _Sources) -> Callable[[Entry], bool]:
    """Return what says whether a path is the vendor's: the image where it is known, else the packaging systems."""
    if sources.image:
        paths = frozenset(entry.path for entry in read_entries(sources.run_dir, sources.image))
        return lambda entry: entry.path in paths
    vendor = _read_vendor(sources.run_dir, sources.vendor)
    if vendor is None or not vendor.is_known:
        why = vendor.why_unknown if vendor else "no packaging system was asked"
        raise UnknownFactError(f"Nobody knows what the vendor of '{sources.endpoint}' ships: {why}.")
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


def _read_vendor(run_dir: Path, file: Path | None) -> VendorFacts | None:
    return read_vendor(run_dir, file) if file else None


def _surviving(drift: Drift) -> frozenset[str] | None:
    """Return the paths that there were after the drill, None when there was none."""
    after = drift.record.after
    if drift.record.wiped_at is None or after is None or after.system_manifest is None:
        return None
    return frozenset(entry.path for entry in read_entries(drift.run_dir, after.system_manifest))


def _leak(drift: Drift, leak: Leak, survived: Collection[str] | None) -> Finding:
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


def _package(drift: Drift, name: str, leaks: list[Leak], survived: Collection[str] | None) -> Finding:
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
