"""The laws, judged: each returns in words what breaks it, nothing when it holds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from redrill.analysis import borrowed, certificates, files
from redrill.analysis.drift import Drift
from redrill.analysis.promises import PROMISES, why_not
from redrill.analysis.runtime import PROMISES as RUNTIME
from redrill.drill.evidence import read_manifest, read_part, read_record
from redrill.drill.hard_cases import hard_folder
from redrill.errors import UnknownFactError
from redrill.laws.again import again_dir, read_subset
from redrill.model.manifest import CONTENT_ATTRIBUTES, Difference, EntryKind, Manifest, compare
from redrill.model.observation import Observation

_OWN = "/.redrill-"
"""What the names begin with of all that a drill plants."""

_OF_THE_RESTORE = (files.RESTORED, files.SYSTEM)
"""Promises that no drill changes for the next: both drills must keep them, or both break them alike.

What others find, the first drill may have found because of what the endpoint was before; but the second must not find
more.
"""


def find_further_drift(first: Drift, second: Drift) -> list[str]:
    """Law: a drill of what a drill has left changes nothing. Return what the second changed all the same.

    The state is compared with the second backup, for between the drills the endpoint has been at work.
    """
    one, other = _after(first), _after(second)
    found = [str(each) for each in second.settled() if not _is_own(each)]
    outside = compare(_system(first, one), _system(second, other), CONTENT_ATTRIBUTES)
    found += [str(each) for each in outside if not _is_own(each)]
    between = replace(second, record=second.record.model_copy(update={"before": one}))
    for promise in RUNTIME:
        if not why_not(promise, between):
            found += [f"{promise}: {finding}" for finding in PROMISES[promise](between)]
    return found


def find_other_judgements(first: Drift, second: Drift) -> list[str]:
    """Law: the order of endpoints does not matter. Return what was judged otherwise when they came last to first."""
    found = []
    for name, result in first.record.applications.items():
        again = second.record.applications.get(name)
        if again is None or again.healthy is not result.healthy:
            words = {True: "healthy", False: "not healthy"}
            then = "not asked" if again is None else words[again.healthy]
            found.append(f"application '{name}': {words[result.healthy]} at first, {then} in the other order")
    for promise in (*_OF_THE_RESTORE, files.SETTLED, certificates.PROMISE, *RUNTIME, borrowed.PROMISE):
        one, other = _findings(first, promise), _findings(second, promise)
        found += [f"{promise}: only in the other order: {other[subject]}" for subject in other.keys() - one.keys()]
        if promise in _OF_THE_RESTORE:
            found += [f"{promise}: only in the first order: {one[subject]}" for subject in one.keys() - other.keys()]
    return sorted(found)


def _findings(drift: Drift, promise: str) -> Mapping[str, str]:
    """Return what breaks a promise, by what it is about."""
    found = [] if why_not(promise, drift) else PROMISES[promise](drift)
    return {finding.subject: str(finding) for finding in found if _OWN not in finding.subject}


def find_altered_cases(second: Drift) -> list[str]:
    """Law: what is restored is what was backed up. Return how hard cases differ right after the restore, and later."""
    record, folder = second.record, hard_folder(second.record.run)
    before, after = record.before, record.after
    if before is None or before.state_manifest is None or record.restored_manifest is None:
        raise UnknownFactError(f"The hard cases of '{record.endpoint}' were not observed.")
    planted = Manifest(read_part(second.run_dir, before.state_manifest, [folder]))
    if len(planted.entries) < 2:
        raise UnknownFactError(f"There were no hard cases on '{record.endpoint}'.")
    restored = Manifest(read_part(second.run_dir, record.restored_manifest, [folder]))
    found = [f"after the restore: {each}" for each in _unlike(planted, restored)]
    if after is not None and after.state_manifest is not None and not found:
        settled = Manifest(read_part(second.run_dir, after.state_manifest, [folder]))
        found = [f"after settling: {each}" for each in _unlike(planted, settled)]
    return found


def _unlike(planted: Manifest, found: Manifest) -> Sequence[Difference]:
    return [each for each in compare(planted, found) if each.expected != EntryKind.SOCKET.value]


def find_healthier(second: Drift) -> list[str]:
    """Law: less state is never healthier. Return the applications that only recovered without some of their state."""
    subset = read_subset(second.run_dir, second.endpoint.name)
    if subset.unknown:
        raise UnknownFactError(f"A part of the backup of '{second.endpoint.name}' could not be tried: {subset.unknown}")
    better = set(subset.part) - set(subset.whole)
    return [f"'{name}' is healthy without {', '.join(subset.left_out)}, and not with it" for name in sorted(better)]


def _after(drift: Drift) -> Observation:
    if drift.record.after is None:
        raise UnknownFactError(f"What '{drift.endpoint.name}' was after its drill is not known.")
    return drift.record.after


def _system(drift: Drift, seen: Observation) -> Manifest:
    if seen.system_manifest is None:
        raise UnknownFactError(f"The files of '{drift.endpoint.name}' are unknown: {seen.unknown['system_manifest']}")
    return read_manifest(drift.run_dir, seen.system_manifest)


def _is_own(difference: Difference) -> bool:
    return _OWN in difference.path


def drift_again(first: Drift) -> Drift:
    """Return the drift of the second drill of an endpoint; FleetError when there was none."""
    folder = again_dir(first.run_dir)
    return replace(first, run_dir=folder, record=read_record(folder, first.endpoint.name))
