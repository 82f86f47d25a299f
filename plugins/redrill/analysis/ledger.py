"""The ledger of a live file system: every path is the vendor's, kept by the backup, ephemeral, or leaks."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache

from redrill.model.data_file import read_data
from redrill.model.globs import compile_glob
from redrill.model.manifest import Entry, EntryKind
from redrill.model.values import Value, printable


class PathClass(StrEnum):
    """Where a path comes back from after a redeploy; a leak comes back from nowhere."""

    VENDOR = "vendor"
    KEPT = "kept"
    EPHEMERAL = "ephemeral"
    LEAK = "leak"


class PathRule(Value):
    """Paths that a glob matches, of one kind of entry if ``only`` says so, and why they are what they are."""

    path: str
    only: EntryKind | None = None
    reason: str

    def covers(self, entry: Entry) -> bool:
        """Whether an entry is meant."""
        return self.only in (None, entry.kind) and compile_glob(self.path).fullmatch(entry.path) is not None


@cache
def read_path_rules(name: str) -> tuple[PathRule, ...]:
    """Return the rules of the data file 'ephemeral' or 'generated' beside this module."""
    return read_data(__file__, f"{name}.yml", tuple[PathRule, ...])


@dataclass(slots=True)
class Leak:
    """A path that leaks, with everything below it; ``newest_ns`` is the latest change of content in it."""

    path: str
    is_tree: bool
    entries: int = 0
    files: int = 0
    size: int = 0
    newest_ns: int = 0
    executables: int = 0

    def add(self, entry: Entry) -> None:
        """Count an entry in."""
        self.entries += 1
        self.newest_ns = max(self.newest_ns, entry.mtime_ns)
        if entry.kind is not EntryKind.DIRECTORY:
            self.files += 1
            self.size += entry.size
        if entry.kind is EntryKind.FILE and entry.mode & 0o111:
            self.executables += 1


@dataclass(slots=True)
class Ledger:
    """Totals (entries, bytes) by top directory and class, and the topmost paths that leak."""

    totals: dict[str, dict[PathClass, tuple[int, int]]] = field(default_factory=dict)
    leaks: list[Leak] = field(default_factory=list)

    def book(self, entry: Entry, sort: PathClass) -> None:
        """Count an entry in."""
        top = "/" + entry.path[1:].partition("/")[0]
        counts = self.totals.setdefault(printable(top), {})
        entries, size = counts.get(sort, (0, 0))
        counts[sort] = entries + 1, size + entry.size

    def table(self) -> str:
        """Return the totals as lines of text, one for each top directory."""
        lines = [f"{'':<16}" + "".join(f"{sort:>24}" for sort in PathClass)]
        for top, counts in sorted(self.totals.items()):
            cells = (counts.get(sort, (0, 0)) for sort in PathClass)
            lines.append(f"{top:<16}" + "".join(f"{f'{number}, {tell_size(size)}':>24}" for number, size in cells))
        return "\n".join(lines) + "\n"


def classify(
    system: Iterable[Entry], state: Iterable[Entry], is_vendors: Callable[[Entry], bool], ephemeral: Sequence[str]
) -> Ledger:
    """Return the ledger of all entries; ``ephemeral`` are the globs of the fleet file, besides those built in."""
    ledger = Ledger()
    declared = [compile_glob(glob) for glob in ephemeral]
    built_in = read_path_rules("ephemeral")
    leaking = []
    for entry in system:
        if is_vendors(entry):
            sort = PathClass.VENDOR
        elif any(glob.fullmatch(entry.path) for glob in declared) or any(rule.covers(entry) for rule in built_in):
            sort = PathClass.EPHEMERAL
        else:
            sort = PathClass.LEAK
            leaking.append(entry)
        ledger.book(entry, sort)
    for entry in state:
        ledger.book(entry, PathClass.KEPT)
    ledger.leaks = _topmost(leaking)
    return ledger


def _topmost(entries: Iterable[Entry]) -> list[Leak]:
    """Return a leak for each entry that lies in no other one, with everything below it."""
    leaks: list[Leak] = []
    for entry in sorted(entries, key=_by_names):
        if not (leaks and leaks[-1].is_tree and entry.path.startswith(leaks[-1].path + "/")):
            leaks.append(Leak(entry.path, entry.kind is EntryKind.DIRECTORY))
        leaks[-1].add(entry)
    return leaks


def _by_names(entry: Entry) -> tuple[str, ...]:
    # By whole names: as text, '/opt/a-b' would stand between '/opt/a' and what is below it.
    return tuple(entry.path.split("/"))


def users_of(leak: Leak, open_files: Mapping[str, str]) -> str:
    """Return the processes that use a leak or something in it."""
    path = printable(leak.path)
    return ", ".join(sorted({who for file, who in open_files.items() if file == path or file.startswith(path + "/")}))


def tell_size(size: int) -> str:
    """Return a number of bytes for people."""
    amount, unit = float(size), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if amount < 1000:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
