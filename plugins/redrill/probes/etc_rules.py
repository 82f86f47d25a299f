"""What is known of files in /etc in general: whose they are, what they hide, and what is left over beside them."""

from collections.abc import Mapping
from functools import cache

from redrill.model.data_file import read_data
from redrill.model.globs import compile_glob
from redrill.model.values import Value


class Instance(Value):
    """Globs of files that belong to one host, with the reason."""

    paths: tuple[str, ...]
    why: str


class Shadow(Value):
    """A folder in which a file hides the vendor's file of the same name; with ``is_tree`` at any depth."""

    over: str
    vendor: tuple[str, ...]
    source: str
    is_tree: bool = False

    def hidden_by(self, path: str) -> list[str]:
        """Return the paths of the vendor that a file at ``path`` would hide."""
        name = path.removeprefix(f"{self.over}/")
        if name == path or ("/" in name and not self.is_tree):
            return []
        return [f"{folder}/{name}" for folder in self.vendor]


class EtcRules(Value):
    """The rules of ``etc_rules.yml``."""

    instance: tuple[Instance, ...]
    shadows: tuple[Shadow, ...]
    leftovers: Mapping[str, tuple[str, ...]]
    volatile: tuple[str, ...]

    def is_instance(self, path: str) -> bool:
        """Whether a file belongs to one host, so that no vendor has a default of it."""
        return any(compile_glob(glob).fullmatch(path) for each in self.instance for glob in each.paths)

    def hidden_by(self, path: str) -> list[str]:
        """Return the paths of the vendor that a file of /etc would hide if they are there."""
        return [hidden for shadow in self.shadows for hidden in shadow.hidden_by(path)]

    def unmerged_for(self, path: str) -> str | None:
        """Return the file for which ``path`` is a newer default that nobody has merged; None when it is none."""
        return next((path.removesuffix(end) for end in self.leftovers["new"] if path.endswith(end)), None)

    def is_kept_old(self, path: str) -> bool:
        """Whether ``path`` is an older text that a package manager has kept."""
        return path.endswith(self.leftovers["old"])


@cache
def etc_rules() -> EtcRules:
    """Return the rules that come with redrill."""
    return read_data(__file__, "etc_rules.yml", EtcRules)
