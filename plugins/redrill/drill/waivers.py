"""The waivers by which a run is judged, kept in its folder: whoever judges it again can do so by the same ones."""

from functools import lru_cache
from pathlib import Path

from pydantic import ValidationError

from redrill.errors import FleetError
from redrill.model.waivers import Waivers
from redrill.private import write_private

_FILE = "waivers.json"


def write_waivers(run_dir: Path, waivers: Waivers) -> Path:
    """Keep the waivers in force; to be called before anything reads them."""
    return write_private(run_dir / _FILE, waivers.model_dump_json(indent=1) + "\n")


@lru_cache(maxsize=4)
def read_waivers(run_dir: Path) -> Waivers:
    """Return the waivers of a run, none when it kept none; FleetError when they cannot be understood."""
    file = run_dir / _FILE
    try:
        return Waivers.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return Waivers()
    except ValidationError as error:
        raise FleetError(f"{file}: these are no waivers of a run: {error.errors()[0]['msg']}.") from None
