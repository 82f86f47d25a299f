"""The evidence of a run on disk: records and manifests, written whole and read back."""

from pathlib import Path

from pydantic import ValidationError

from redrill.errors import FleetError, RedrillError
from redrill.model.manifest import Manifest
from redrill.model.record import DrillRecord
from redrill.private import write_private


def write_manifest(manifest: Manifest, file: Path) -> Path:
    """Write a manifest as JSON lines and return the file."""
    return write_private(file, "".join(line + "\n" for line in manifest.dump()))


def read_manifest(run_dir: Path, relative: Path) -> Manifest:
    """Return a manifest of a run's evidence; RedrillError when it is missing or no manifest."""
    try:
        with (run_dir / relative).open(encoding="utf-8") as lines:
            return Manifest.parse(lines)
    except (OSError, ValueError, KeyError) as error:
        raise RedrillError(f"The evidence '{run_dir / relative}' cannot be read: {error}.") from error


def read_differing(run_dir: Path, one: Path, other: Path) -> tuple[Manifest, Manifest]:
    """Return two manifests of a run without the entries in which they are equal; most of them are, so this is quick.

    RedrillError as ``read_manifest``.
    """
    first, second = (_read_lines(run_dir / relative) for relative in (one, other))
    common = set(first[1:]) & set(second[1:])
    return _parse_without(first, common, one), _parse_without(second, common, other)


def _read_lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise RedrillError(f"The evidence '{file}' cannot be read: {error}.") from error


def _parse_without(lines: list[str], common: set[str], relative: Path) -> Manifest:
    try:
        return Manifest.parse([*lines[:1], *(line for line in lines[1:] if line not in common)])
    except (ValueError, KeyError) as error:
        raise RedrillError(f"The evidence '{relative}' is no manifest: {error}.") from error


def record_file(run_dir: Path, endpoint: str) -> Path:
    """Return where the record of an endpoint is kept."""
    return run_dir / "records" / f"{endpoint}.json"


def write_record(run_dir: Path, record: DrillRecord) -> Path:
    """Write a record and return its file."""
    return write_private(record_file(run_dir, record.endpoint), record.model_dump_json(indent=1) + "\n")


def read_record(run_dir: Path, endpoint: str) -> DrillRecord:
    """Return the record of an endpoint; FleetError when the run has none or it cannot be understood."""
    file = record_file(run_dir, endpoint)
    try:
        return DrillRecord.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        raise FleetError(f"{file}: there is no record of endpoint '{endpoint}' in this run.") from None
    except ValidationError as error:
        raise FleetError(f"{file}: this is no record of a drill: {error.errors()[0]['msg']}.") from None


def recorded_endpoints(run_dir: Path) -> tuple[str, ...]:
    """Return the names of all endpoints that a run has records of."""
    return tuple(sorted(file.stem for file in (run_dir / "records").glob("*.json")))
