"""Packaged files that may have more rights, or another owner, than files of packages have otherwise."""

from functools import cache
from pathlib import Path

import yaml
from pydantic import TypeAdapter

from redrill.model.values import Value

_FILE = Path(__file__).with_name("privileged.yml")


class Privileged(Value):
    """One path of ``privileged.yml``, whose head says what each field means."""

    path: str
    modes: tuple[str, ...]
    user: str = "root"
    group: str = "root"
    has_capabilities: bool = False

    def allows(self, mode: int) -> bool:
        """Whether the permission bits are what the package ships."""
        return mode in {int(each, 8) for each in self.modes}


@cache
def privileged_files() -> dict[str, Privileged]:
    """Return the list by path."""
    listed = TypeAdapter(tuple[Privileged, ...]).validate_python(yaml.safe_load(_FILE.read_text("utf-8")))
    return {each.path: each for each in listed}
