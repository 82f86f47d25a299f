"""What vendors say, as a file of a run."""

from pathlib import Path

from redrill.drill.line_file import read_lines, write_lines
from redrill.errors import RedrillError
from redrill.model.vendor import VendorFacts


def write_vendor(facts: VendorFacts, file: Path) -> Path:
    """Write vendor facts as compressed JSON lines and return the file."""
    return write_lines(file, facts.dump())


def read_vendor(run_dir: Path, relative: Path) -> VendorFacts:
    """Return the vendor facts of a run's evidence; RedrillError when they are missing or none."""
    try:
        return VendorFacts.parse(read_lines(run_dir / relative))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise RedrillError(f"The evidence '{run_dir / relative}' cannot be read: {error}.") from error
