"""What tests say of numbered writes that did not come back."""

from collections.abc import Mapping

from redrill.errors import UnknownFactError
from redrill.model.fleet import Endpoint
from redrill.model.record import DrillRecord
from redrill.model.recovery import CanaryResult
from redrill_suites.messages import tell


def result_of(record: DrillRecord, name: str) -> CanaryResult:
    """Return what came back of a state class; UnknownFactError when nobody has looked."""
    if name not in record.canaries:
        raise UnknownFactError(f"Nobody has looked what came back of the writes to '{name}' of '{record.endpoint}'.")
    return record.canaries[name]


def tell_lost(name: str, result: CanaryResult) -> list[str]:
    """Return which writes that were acknowledged before the backup are gone, as one line; none when all are there."""
    if not result.lost_before_backup:
        return []
    return [f"{name}: {tell_numbers(result.lost_before_backup)}, of {result.written} writes"]


def require_nothing_lost(endpoint: Endpoint, results: Mapping[str, CanaryResult], problem: str, advice: str) -> None:
    """Fail when such a write is gone; UnknownFactError when that cannot be told."""
    lost = [line for name, each in results.items() for line in tell_lost(name, each)]
    assert not lost, tell(endpoint.name, problem, lost, f"{advice}.")
    unknown = [f"'{name}': {each.unknown}" for name, each in results.items() if each.unknown]
    if unknown:
        raise UnknownFactError(f"Nobody knows what '{endpoint.name}' has lost of {'; '.join(unknown)}")


def tell_numbers(numbers: tuple[int, ...]) -> str:
    """Return the first of many numbers and how many others there are."""
    shown = ", ".join(map(str, numbers[:5]))
    return f"{shown} and {len(numbers) - 5} more" if len(numbers) > 5 else shown
