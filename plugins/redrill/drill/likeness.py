"""Whether a verified backup holds what it should: what was planted, what was observed, what was given to a tool."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import PurePosixPath

from redrill.drill.bench import Bench
from redrill.drill.evidence import read_manifest
from redrill.errors import BackupError, MachineError
from redrill.model.churn import churn_rules
from redrill.model.manifest import ChurnRule, Difference, EntryKind, Manifest, compare, unexplained
from redrill.model.values import STATE_PATHS, is_inside, printable

_QUIET = ("/etc", "/home")
_BROKEN = frozenset({"missing", "unexpected", "kind", "size", "sha256"})
"""Differences that no tool's limits explain: such a backup is not of what was given to it."""

_NAMES: Mapping[str, str] = {
    "link_group": "hard links",
    "xattrs": "extended attributes",
    "mtime_ns": "times",
    "flags": "flags of chattr",
    "target": "targets of links",
    "mode": "permissions",
    "uid": "owners",
    "gid": "groups",
}


_SINCE = {"missing": "new", "unexpected": "gone"}


def require_survivors(bench: Bench, manifest: Manifest) -> None:
    """Raise BackupError unless the backup has all that was planted in the state paths."""
    missing = [m.path for m in bench.evidence.markers if m.is_survivor and m.path not in manifest.entries]
    if missing:
        raise BackupError(
            f"The backup of '{bench.endpoint.name}' lacks what was planted just before: {', '.join(missing)}. "
            "It is of another run or of another host. Nothing was wiped; look after the repository, then drill again."
        )


def require_likeness(bench: Bench, observed: Manifest, manifest: Manifest) -> None:
    """Raise BackupError unless what was backed up is what was observed just before in /etc and /home, but for churn."""
    differences = _unlike_observed(bench, observed, manifest)
    if differences:
        shown = "; ".join(map(str, differences[:5]))
        raise BackupError(
            f"The backup of '{bench.endpoint.name}' is not what was observed just before ({len(differences)} "
            f"differences): {shown}. Stop what changes these paths, or declare them as 'churn'."
        )


def require_true_links(endpoint: str, observed: Manifest, manifest: Manifest) -> None:
    """Raise BackupError when the backup holds as one file what was several when it was observed just before.

    tar and its like know hard links by the number of the inode, and a file that is replaced while they read gives its
    number to the next new one: a restore would put the content of the one into the other.
    """
    groups: dict[str, list[str]] = {}
    for path, entry in manifest.entries.items():
        was = observed.entries.get(path)
        if entry.link_group is not None and was is not None and was.link_group is None:
            groups.setdefault(entry.link_group, []).append(path)
    joined = [group for group in groups.values() if len(group) > 1]
    if joined:
        raise BackupError(
            f"The backup of '{endpoint}' holds as one file what were several just before: "
            f"{', '.join(joined[0])}. They were replaced while it was made. Nothing was wiped; drill again, or stop "
            "what replaces them before the backup."
        )


def tell_changes(bench: Bench, observed: Manifest, manifest: Manifest) -> tuple[str, ...]:
    """Return in one warning what has changed in /etc and /home since an owner's snapshot was made, if anything."""
    differences = [d for d in _unlike_observed(bench, observed, manifest) if not _is_planting(d)]
    if not differences:
        return ()
    # What was observed is what is expected: a path that is missing in the snapshot is new.
    counts = Counter(_SINCE.get(difference.attribute, "changed") for difference in differences)
    told = ", ".join(f"{count} {sort}" for sort, count in sorted(counts.items()))
    return (f"since the snapshot /etc and /home have changed: {told}; one of them: {differences[0]}",)


def tell_excluded(
    observed: Manifest, manifest: Manifest, taken: datetime, rules: Sequence[ChurnRule]
) -> tuple[str, ...]:
    """Return in one warning which files an owner's snapshot lacks that are older than it, if there are any.

    They may have been moved or unpacked there since; or else whoever makes the snapshots leaves them out.
    """
    when = int(taken.timestamp()) * 10**9
    older = [path for path, entry in observed.entries.items() if entry.kind is EntryKind.FILE and entry.mtime_ns < when]
    lacking = [Difference(path, "missing") for path in older if path not in manifest.entries]
    paths = [each.path for each in unexplained(lacking, rules) if not _is_planting(each)]
    if not paths:
        return ()
    tops = Counter(_topmost_missing(path, manifest) for path in paths)
    shown = ", ".join(f"'{printable(top)}'" for top, _ in tops.most_common(3))
    return (
        f"the snapshot lacks {len(paths)} files that are older than it, most of them at {shown}: if its maker leaves "
        "them out, no restore brings them back",
    )


def _topmost_missing(path: str, manifest: Manifest) -> str:
    while (parent := path.rpartition("/")[0]) and parent not in manifest.entries:
        path = parent
    return path


def tell_losses(source: Manifest, manifest: Manifest) -> tuple[str, ...]:
    """Return a warning for each sort of attribute that a backup has not kept; BackupError when it lost more."""
    losses = compare(source, manifest)
    broken = [loss for loss in losses if loss.attribute in _BROKEN]
    if broken:
        shown = "; ".join(map(str, broken[:5]))
        raise BackupError(
            f"The backup does not hold what was given to it ({len(broken)} differences): {shown}. Nothing was wiped. "
            "Look after the repository, then drill again."
        )
    sorts: dict[str, list[Difference]] = {}
    for loss in losses:
        sorts.setdefault(loss.attribute, []).append(loss)
    return tuple(
        f"the backup does not keep {_NAMES.get(attribute, attribute)}: {len(found)} paths, such as {found[0]}"
        for attribute, found in sorts.items()
    )


def _unlike_observed(bench: Bench, observed: Manifest, manifest: Manifest) -> list[Difference]:
    """Return how /etc and /home differ from what was observed before, but for churn and sockets."""
    differences = compare(_only(observed, _QUIET), _only(manifest, _QUIET))
    return [d for d in unexplained(differences, churn_rules(bench.endpoint.churn)) if d.expected != "socket"]


def read_observed(bench: Bench) -> Manifest:
    """Return the state paths as they were observed before the backup; MachineError when they could not be."""
    before = bench.evidence.before
    if before is None or before.state_manifest is None:
        raise MachineError(
            f"The state paths of '{bench.endpoint.name}' could not be observed; the backup has no witness."
        )
    return read_manifest(bench.run_dir, before.state_manifest)


def _is_planting(difference: Difference) -> bool:
    """Whether it comes from what the drill itself writes into the state paths."""
    is_top = difference.path in STATE_PATHS and difference.attribute == "mtime_ns"
    return is_top or any(part.startswith(".redrill-") for part in PurePosixPath(difference.path).parts)


def _only(manifest: Manifest, parents: tuple[str, ...]) -> Manifest:
    entries = {path: entry for path, entry in manifest.entries.items() if is_inside(path, parents)}
    return replace(manifest, entries=entries)
