"""From a file on disk and the options of a command to the endpoints that are meant."""

from collections.abc import Callable, Sequence
from pathlib import Path

from redrill.backends import settings_of
from redrill.errors import FleetError, GuardError
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.fleet_file import parse_fleet
from redrill.model.secret import SecretValue
from redrill.model.strict_yaml import MAX_BYTES
from redrill.model.waivers import Waivers
from redrill.model.waivers_file import parse_waivers


def load_fleet(
    path: Path,
    reveal: Callable[[SecretValue], object] | None = None,
    fault_of_key: Callable[[Path], str] | None = None,
) -> Fleet:
    """Read and check a fleet file; FleetError with every mistake in it, or with why it cannot be read.

    ``reveal`` is called with every secret of the file; the FleetError that it raises is a mistake at that place.
    ``fault_of_key`` says of every SSH key that is named in it what is wrong with that file, '' when nothing is.
    """
    return parse_fleet(_read(path, "fleet"), path, settings_of, reveal, fault_of_key)


def load_waivers(path: Path) -> Waivers:
    """Read and check a waivers file; FleetError as for a fleet file."""
    return parse_waivers(_read(path, "waivers"), path)


def select_endpoints(
    fleet: Fleet, names: Sequence[str] = (), roles: Sequence[str] = (), tags: Sequence[str] = ()
) -> tuple[Endpoint, ...]:
    """Return the endpoints that match one of each sort of choice that was made, in the order of the fleet.

    No choice at all means all endpoints. FleetError for an unknown choice; GuardError for an empty one, which never
    means all, and when nothing is left.
    """
    _check_choices("endpoint", names, [endpoint.name for endpoint in fleet.endpoints])
    _check_choices("role", roles, [endpoint.role for endpoint in fleet.endpoints if endpoint.role])
    _check_choices("tag", tags, [tag for endpoint in fleet.endpoints for tag in endpoint.tags])
    selected = tuple(endpoint for endpoint in fleet.endpoints if _is_chosen(endpoint, names, roles, tags))
    if not selected:
        chosen = _list([*names, *roles, *tags])
        raise GuardError(f"No endpoint of the fleet '{fleet.name}' matches {chosen} together; choose less narrowly.")
    return selected


def _is_chosen(endpoint: Endpoint, names: Sequence[str], roles: Sequence[str], tags: Sequence[str]) -> bool:
    is_named = not names or endpoint.name in names
    has_role = not roles or endpoint.role in roles
    return is_named and has_role and (not tags or not set(tags).isdisjoint(endpoint.tags))


def _check_choices(sort: str, choices: Sequence[str], known: Sequence[str]) -> None:
    if not all(choice.strip() for choice in choices):
        raise GuardError(f"An empty {sort} was chosen, which never means all; leave the option out to choose all.")
    has = _list(known) or "none"
    mistakes = [f"The fleet has no {sort} '{choice}'; it has: {has}." for choice in choices if choice not in known]
    if mistakes:
        raise FleetError(*mistakes)


def _list(words: Sequence[str]) -> str:
    return ", ".join(f"'{word}'" for word in dict.fromkeys(words))


def _read(path: Path, sort: str) -> bytes:
    try:
        if path.is_dir():
            raise FleetError(f"The {sort} file '{path}' is a directory; name a YAML file.")
        if path.exists() and not path.is_file():
            raise FleetError(f"The {sort} file '{path}' is not a regular file; name a YAML file.")
        with path.open("rb") as file:
            # One byte more than allowed, so that the parser can refuse it without the whole being read.
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise FleetError(f"The {sort} file '{path}' cannot be read: {why}; check the path.") from error
