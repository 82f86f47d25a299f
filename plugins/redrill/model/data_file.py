"""Rules and catalogues as data: YAML beside the module that reads it, part of the package."""

from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import TypeAdapter

T = TypeVar("T")

# Some are read in every session, and the loader in C, where PyYAML has it, takes a tenth of the time.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_data(module: str, name: str, kind: type[T]) -> T:
    """Return the data file ``name`` beside the module whose ``__file__`` is given, checked.

    ValueError when it does not hold what ``kind`` says.
    """
    document = yaml.load(Path(module).with_name(name).read_bytes(), Loader=_LOADER)  # noqa: S506 - both are safe
    return TypeAdapter(kind).validate_python(document)
