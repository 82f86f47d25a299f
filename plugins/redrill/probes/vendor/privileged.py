"""Packaged files that may have more rights, or another owner, than files of packages have otherwise."""

from functools import cache

from redrill.model.data_file import read_data
from redrill.model.values import Value


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
    return {each.path: each for each in read_data(__file__, "privileged.yml", tuple[Privileged, ...])}
