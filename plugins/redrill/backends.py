"""The backends that are installed, by entry-point group and kind; imported only when a fleet names them."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from pydantic import BaseModel

from redrill.errors import FleetError

GROUPS = ("provisioners", "repositories", "collectors", "locks", "ledgers")
"""What there are backends for; the entry-point group of each is ``redrill.<group>``."""


def known_backends(group: str) -> tuple[str, ...]:
    """Return the kinds that are installed for a group, sorted."""
    return tuple(sorted({entry.name for entry in entry_points(group=f"redrill.{group}")}))


def load_backend(group: str, kind: str) -> Callable[..., Any]:
    """Import and return the backend class of a kind.

    FleetError when the kind is not installed (with those that are), ambiguous or cannot be imported.
    """
    entry = _find_entry(group, kind)
    try:
        backend = entry.load()
    except Exception as error:
        raise FleetError(
            f"The backend '{kind}' of redrill.{group} ({entry.value}) cannot be imported: "
            f"{type(error).__name__}: {error}; repair or remove the package that provides it."
        ) from error
    if not isinstance(backend, type):
        raise FleetError(f"The backend '{kind}' of redrill.{group} ({entry.value}) is {backend!r}, not a class.")
    return backend


def settings_of(group: str, kind: str) -> type[BaseModel]:
    """Return the pydantic model of what a fleet file may say to a backend; FleetError like ``load_backend``."""
    settings = getattr(load_backend(group, kind), "Settings", None)
    if not (isinstance(settings, type) and issubclass(settings, BaseModel)):
        raise FleetError(f"The backend '{kind}' of redrill.{group} has no pydantic model called 'Settings'.")
    return settings


def _find_entry(group: str, kind: str) -> EntryPoint:
    entries = {entry.value: entry for entry in entry_points(group=f"redrill.{group}", name=kind)}
    if not entries:
        known = ", ".join(f"'{name}'" for name in known_backends(group)) or "none"
        raise FleetError(f"There is no backend '{kind}' in redrill.{group}; installed are: {known}.")
    if len(entries) > 1:
        raise FleetError(
            f"Several packages provide the backend '{kind}' of redrill.{group}: {', '.join(sorted(entries))}; "
            "uninstall all but one."
        )
    return next(iter(entries.values()))
