"""One observation: all facts in one round trip, and in another the manifests of the state paths and of all else."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redrill.errors import MachineError, UnknownFactError
from redrill.machine.protocol import Machine, Result
from redrill.model.deadline import Deadline
from redrill.model.manifest import ManifestLines
from redrill.model.observation import Observation
from redrill.model.values import STATE_PATHS
from redrill.model.vendor import VendorFacts
from redrill.probes.facts.catalogue import FACTS
from redrill.probes.facts.fact import NOT_APPLICABLE, Fact
from redrill.probes.files import look_at_files
from redrill.probes.known_files import Memory
from redrill.probes.manifest_program import Area
from redrill.probes.vendor.catalogue import hear_oracles

VOLATILE_PATHS = ("/proc", "/sys", "/dev", "/run", "/tmp")  # noqa: S108 - it is left out, not used
"""What is made anew at every boot and therefore is neither state nor leak."""

AREAS = {"state": Area(STATE_PATHS), "system": Area(("/",), STATE_PATHS + VOLATILE_PATHS)}
"""The manifests of an observation, by name."""

Kept = ManifestLines | VendorFacts
"""What becomes a file of the run."""

ESSENTIAL_FACTS = ("identity", "root")


def observe(
    machine: Machine,
    keep: Callable[[str, Kept], Path],
    deadline: Deadline,
    facts: Sequence[Fact] = FACTS,
    memory: Memory | None = None,
) -> Observation:
    """Return all facts of a machine.

    ``keep`` stores the manifests 'state' and 'system' and what the 'vendor' says, and returns the names of the files.
    Files that have not changed since what ``memory`` has of the same boot are not read again.

    Raises UnknownFactError when not even the identity can be read; any other fact that fails is ``unknown``.
    """
    with ThreadPoolExecutor(1, thread_name_prefix=f"observe-{machine.name}") as pool:
        small = pool.submit(_observe_facts, machine, keep, deadline, facts)
        files, unknown = _observe_files(machine, keep, deadline, memory)
        values = small.result()
    values["unknown"] |= unknown
    return Observation(taken_at=datetime.now(UTC), **files, **values)


def _observe_facts(
    machine: Machine, keep: Callable[[str, Kept], Path], deadline: Deadline, facts: Sequence[Fact]
) -> dict[str, Any]:
    """Return the fields of Observation that the small facts fill, among them what the vendor says."""
    values = read_facts(machine, deadline, facts)
    vendor = hear_oracles(values, Path(machine.root) if machine.root else None)
    return values | {"vendor": keep("vendor", vendor), "vendor_states": vendor.told}


def _observe_files(
    machine: Machine, keep: Callable[[str, Kept], Path], deadline: Deadline, memory: Memory | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the fields of Observation that are about files, and what is ``unknown`` of them."""
    try:
        seen = look_at_files(machine, tuple(AREAS.values()), deadline, memory.recall() if memory else None)
    except MachineError as error:
        return {}, {f"{name}_manifest": str(error) for name in AREAS}
    if memory and seen.known:
        memory.keep(seen.known)
    unknown: dict[str, str] = {}
    values: dict[str, Any] = {"reused_digests": seen.reused}
    for name, manifest in zip(AREAS, seen.manifests, strict=True):
        unknown |= _gaps(name, manifest)
        values[f"{name}_manifest"] = keep(name, manifest)
    return values, unknown


def _gaps(name: str, manifest: ManifestLines) -> dict[str, str]:
    """Return what a manifest does not know, in the form of ``unknown``."""
    gaps = {}
    if manifest.unreadable:
        gaps[f"files of the {name}"] = f"{len(manifest.unreadable)} unreadable: {', '.join(manifest.unreadable[:5])}"
    if not manifest.has_xattrs:
        gaps[f"extended attributes of the {name}"] = (
            "'getfattr' is missing on the endpoint; install 'attr' in its image"
        )
    if not manifest.has_flags:
        gaps[f"flags of the {name}"] = "'lsattr' is missing on the endpoint; install 'e2fsprogs' in its image"
    return gaps


def read_facts(machine: Machine, deadline: Deadline, facts: Sequence[Fact] = FACTS) -> dict[str, Any]:
    """Return the small facts as fields of Observation, with ``unknown`` and ``absent``; one round trip."""
    absent = {fact.name: "it has no running system" for fact in facts if fact.needs_init and not machine.has_init}
    wanted = [fact for fact in facts if fact.name not in absent]
    values: dict[str, Any] = {}
    unknown: dict[str, str] = {}
    for fact, result in zip(wanted, machine.batch([fact.command for fact in wanted], deadline), strict=True):
        if result.exit_status == NOT_APPLICABLE:
            absent[fact.name] = "there is nothing of the kind"
        else:
            _read_fact(fact, result, values, unknown)
    for name in ESSENTIAL_FACTS:
        if name in unknown:
            raise UnknownFactError(f"On '{machine.name}' the {name} cannot be read: {unknown[name]}")
    return values | {"unknown": unknown, "absent": absent}


def _read_fact(fact: Fact, result: Result, values: dict[str, Any], unknown: dict[str, str]) -> None:
    try:
        for name, value in fact.parse(result.checked().text).items():
            values[name] = values.get(name, {}) | value if isinstance(value, dict) else value
    except (MachineError, ValueError, LookupError, TypeError) as error:
        unknown[fact.name] = str(error) or type(error).__name__
