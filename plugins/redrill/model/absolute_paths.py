"""Paths of a fleet file made absolute: '~' expanded, relative ones taken from a folder. The only place that does so."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from redrill.model.strict_yaml import DocPath


def with_absolute_paths(
    data: dict[str, Any], model: BaseModel, folder: Path, report: Callable[[DocPath, str], None]
) -> dict[str, Any]:
    """Return ``data`` with what ``model``, made of it, holds as a Path written out in full.

    ``report(path, message)`` is called for what cannot be written out.
    """

    def convert(value: Any, typed: Any, path: DocPath) -> Any:
        if isinstance(typed, Path) and isinstance(value, str):
            return _absolute(value, path)
        if isinstance(value, dict) and isinstance(typed, dict):
            return {key: convert(item, typed.get(key), (*path, key)) for key, item in value.items()}
        if isinstance(value, list) and isinstance(typed, list | tuple) and len(value) == len(typed):
            return [convert(item, typed[index], (*path, index)) for index, item in enumerate(value)]
        return value

    def _absolute(value: str, path: DocPath) -> str:
        if not value.strip():
            report(path, "the path is empty; name a file or a directory, or leave the key out.")
            return value
        try:
            return str(folder / Path(value).expanduser())
        except RuntimeError:
            report(path, f"{value!r} names a user whose home is unknown; write the path in full.")
            return value

    converted: dict[str, Any] = convert(data, model.model_dump(by_alias=True, exclude_unset=True), ())
    return converted
