"""The evidence of a run on disk: records and manifests, written whole and read back."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from redrill.drill.line_file import differing_lines, read_lines, write_lines
from redrill.errors import FleetError, RedrillError
from redrill.model.manifest import Entry, Manifest, ManifestLines, line_prefixes, parse_entry, parse_header
from redrill.model.record import DrillRecord
from redrill.private import write_private

SUFFIX = ".jsonl.zst"
"""What files of manifests end in: sorted JSON lines, compressed."""


def write_manifest(manifest: Manifest | ManifestLines, file: Path) -> Path:
    """Write a manifest as compressed JSON lines and return the file."""
    return write_lines(file, manifest.dump())


def read_manifest(run_dir: Path, relative: Path) -> Manifest:
    """Return a manifest of a run's evidence; RedrillError when it is missing or no manifest."""
    with _explained(run_dir / relative):
        return Manifest.parse(read_lines(run_dir / relative))


def read_entries(run_dir: Path, relative: Path) -> Iterator[Entry]:
    """Yield the entries of a manifest one after another; RedrillError as ``read_manifest``."""
    with _explained(run_dir / relative):
        lines = read_lines(run_dir / relative)
        parse_header(next(lines, "{}"))
        yield from map(parse_entry, lines)


def read_part(run_dir: Path, relative: Path, parents: Sequence[str]) -> dict[str, Entry]:
    """Return the entries of a manifest that lie in the parents, or are one; the others are not even parsed.

    RedrillError as ``read_manifest``.
    """
    with _explained(run_dir / relative):
        lines = read_lines(run_dir / relative)
        parse_header(next(lines, "{}"))
        prefixes = line_prefixes(parents)
        return {entry.path: entry for line in lines if line.startswith(prefixes) for entry in [parse_entry(line)]}


def read_differing(run_dir: Path, one: Path, other: Path) -> tuple[Manifest, Manifest]:
    """Return two manifests of a run without the entries in which they are equal; most of them are, so this is quick.

    RedrillError as ``read_manifest``.
    """
    with _explained(run_dir / one, run_dir / other):
        first, second = differing_lines(run_dir / one, run_dir / other)
        return Manifest.parse(first), Manifest.parse(second)


@contextmanager
def _explained(*files: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError) as error:
        names = " or ".join(f"'{file}'" for file in files)
        raise RedrillError(f"The evidence {names} cannot be read: {error}.") from error


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
