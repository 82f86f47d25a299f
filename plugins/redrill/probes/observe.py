"""One observation: all facts in one round trip, and the manifests of the state paths and of everything else."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from redrill.errors import MachineError, UnknownFactError
from redrill.machine.protocol import Machine, Result
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest
from redrill.model.observation import Observation
from redrill.model.values import STATE_PATHS
from redrill.probes.facts.catalogue import FACTS
from redrill.probes.facts.fact import NOT_APPLICABLE, Fact
from redrill.probes.facts.system import parse_packages
from redrill.probes.files import read_manifest

VOLATILE_PATHS = ("/proc", "/sys", "/dev", "/run", "/tmp")  # noqa: S108 - it is left out, not used
"""What is made anew at every boot and therefore is neither state nor leak."""

ESSENTIAL_FACTS = ("identity", "root")


def observe(machine: Machine, keep: Callable[[str, Manifest], Path], deadline: Deadline) -> Observation:
    """Return all facts of a machine; ``keep`` stores the manifests 'state' and 'system' and returns their names.

    Raises UnknownFactError when not even the identity can be read; any other fact that fails is ``unknown``.
    """

    unknown: dict[str, str] = {}

    def take(name: str, paths: Sequence[str], skip: Sequence[str]) -> Path | None:
        try:
            manifest = read_manifest(machine, paths, skip, deadline)
        except MachineError as error:
            unknown[f"{name}_manifest"] = str(error)
            return None
        unknown.update(_gaps(name, manifest))
        return keep(name, manifest)

    # One manifest after the other: hashing takes the time, so both at once are no faster and hold twice as much.
    with ThreadPoolExecutor(1, thread_name_prefix=f"observe-{machine.name}") as pool:
        facts = pool.submit(read_facts, machine, deadline)
        state = take("state", STATE_PATHS, ())
        system = take("system", ("/",), STATE_PATHS + VOLATILE_PATHS)
        values = facts.result()
    values["unknown"] |= unknown
    return Observation(taken_at=datetime.now(UTC), state_manifest=state, system_manifest=system, **values)


def _gaps(name: str, manifest: Manifest) -> dict[str, str]:
    """Return what a manifest does not know, in the form of ``unknown``."""
    gaps = {}
    if manifest.unreadable:
        gaps[f"files of the {name}"] = f"{len(manifest.unreadable)} unreadable: {', '.join(manifest.unreadable[:5])}"
    if not manifest.has_xattrs:
        gaps[f"extended attributes of the {name}"] = (
            "'getfattr' is missing on the endpoint; install 'attr' in its image"
        )
    return gaps


def read_facts(machine: Machine, deadline: Deadline) -> dict[str, Any]:
    """Return the small facts as fields of Observation, with ``unknown`` and ``absent``; one round trip."""
    absent = {fact.name: "it has no running system" for fact in FACTS if fact.needs_init and not machine.has_init}
    wanted = [fact for fact in FACTS if fact.name not in absent]
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


def read_packages(machine: Machine, deadline: Deadline) -> dict[str, str] | None:
    """Return the versions in the package database, or None when there is no database."""
    command = next(fact.command for fact in FACTS if fact.name == "packages")
    result = machine.run(command, deadline)
    return None if result.exit_status == NOT_APPLICABLE else parse_packages(result.checked().text)
