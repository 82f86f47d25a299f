"""Texts of configuration files, as a file of a run."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from redrill.errors import RedrillError
from redrill.private import write_private


@dataclass(frozen=True, slots=True)
class Texts:
    """Texts by path, without secrets: of the endpoint and of the image; ``md5`` are digests of the image's files."""

    endpoint: Mapping[str, str] = field(default_factory=dict)
    image: Mapping[str, str] = field(default_factory=dict)
    md5: Mapping[str, str] = field(default_factory=dict)


def write_texts(texts: Texts, file: Path) -> Path:
    """Write texts as JSON and return the file."""
    value = {"endpoint": dict(texts.endpoint), "image": dict(texts.image), "md5": dict(texts.md5)}
    return write_private(file, json.dumps(value, indent=1) + "\n")


def read_stored_texts(run_dir: Path, relative: Path | None) -> Texts:
    """Return the texts of a run's evidence, none when it has none; RedrillError when they cannot be understood."""
    if relative is None:
        return Texts()
    try:
        return Texts(**json.loads((run_dir / relative).read_text("utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise RedrillError(f"The evidence '{run_dir / relative}' cannot be read: {error}.") from error
