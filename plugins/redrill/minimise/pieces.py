"""What can be restored or left out: the paths in which saved files and a fresh system differ, as a tree."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from redrill.model.manifest import CONTENT_ATTRIBUTES, EntryKind, Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.tar_filter import Extent, ExtentOf

_PLANTED = "/.redrill-"
"""What the names of a drill's markers and canaries begin with."""


@dataclass(frozen=True, slots=True, order=True)
class Piece:
    """A path with all that is below it; without ``is_whole`` only the directory itself."""

    path: str
    is_whole: bool = True

    def is_inside(self, other: "Piece") -> bool:
        """Whether it lies below another one."""
        return self.path.startswith(f"{other.path}/")

    def __str__(self) -> str:
        """Return it for people."""
        return self.path if self.is_whole else f"{self.path} itself"


@dataclass(frozen=True)
class PieceTree:
    """The pieces of ``saved``: a backup of the state paths, or leaked files; ``fresh`` is a system without them.

    A piece that ``saved`` lacks means that the path goes away. ``tops`` are taken apart when the tree is first looked
    at; ``depth`` is how many names a path may have whose directory is taken apart later on. What a drill itself has
    planted is no piece.
    """

    saved: Manifest
    fresh: Manifest
    tops: tuple[str, ...] = STATE_PATHS
    depth: int = 4

    @cached_property
    def _below(self) -> dict[str, list[str]]:
        """The children of each directory in or below which something differs."""
        below: dict[str, set[str]] = defaultdict(set)
        for path in self._differing:
            while (parent := path.rpartition("/")[0]) and path not in below[parent]:
                below[parent].add(path)
                path = parent  # noqa: PLW2901 - up to the top
        return {parent: sorted(children) for parent, children in below.items()}

    @cached_property
    def _differing(self) -> frozenset[str]:
        differences = compare(self.saved, self.fresh, CONTENT_ATTRIBUTES)
        sockets = {each.path for each in differences if each.found == EntryKind.SOCKET.value}
        return frozenset(each.path for each in differences if _PLANTED not in each.path) - sockets

    def roots(self) -> tuple[Piece, ...]:
        """Return the pieces to begin with: what differs in the top directories, or these as far as they are files."""
        return tuple(part for top in self.tops for part in self._parts(top) or self._only(top))

    def expand(self, piece: Piece) -> tuple[Piece, ...]:
        """Return the parts of a piece, none when it is not taken apart; a directory with one part is that part."""
        parts: tuple[Piece, ...] = (piece,)
        while len(parts) == 1 and parts[0].is_whole and parts[0].path.count("/") < self.depth:
            finer = self._parts(parts[0].path)
            if not finer:
                break
            parts = finer
        return parts if parts != (piece,) else ()

    def _parts(self, path: str) -> tuple[Piece, ...]:
        if not self._is_directory(path):
            return ()
        children = self._below.get(path, ())
        own = (Piece(path, is_whole=False),) if path in self._differing and children else ()
        return (*own, *map(Piece, children))

    def _only(self, path: str) -> tuple[Piece, ...]:
        return (Piece(path),) if path in self._differing else ()

    def _is_directory(self, path: str) -> bool:
        saved, fresh = self.saved.entries.get(path), self.fresh.entries.get(path)
        return (
            saved is not None
            and saved.kind is EntryKind.DIRECTORY
            and (fresh is None or fresh.kind is EntryKind.DIRECTORY)
        )

    def stale(self, pieces: Iterable[Piece]) -> list[str]:
        """Return the paths of a fresh system that go away before these pieces are restored."""
        return [piece.path for piece in pieces if piece.is_whole and piece.path in self.fresh.entries]

    def measure(self, pieces: Collection[Piece]) -> tuple[int, int]:
        """Return how many saved entries, and bytes, these pieces have."""
        extent = extents(pieces)
        own = {piece.path for piece in pieces}
        chosen = [e for p, e in self.saved.entries.items() if extent(p) is Extent.WHOLE or p in own]
        return len(chosen), sum(entry.size for entry in chosen)


def extents(pieces: Iterable[Piece]) -> ExtentOf:
    """Return how much of each path these pieces take: theirs, and the directories on the way to them."""
    chosen = list(pieces)
    whole = {piece.path for piece in chosen if piece.is_whole}
    entries = {piece.path for piece in chosen} | {parent for piece in chosen for parent in parents_of(piece.path)}

    def extent_of(path: str) -> Extent:
        if path in whole or not whole.isdisjoint(parents_of(path)):
            return Extent.WHOLE
        return Extent.ENTRY if path in entries else Extent.NOTHING

    return extent_of


def parents_of(path: str) -> Iterator[str]:
    """Yield the directories that a path lies in, the nearest first, without '/'."""
    while path := path.rpartition("/")[0]:
        yield path


def told(pieces: Sequence[Piece], most: int = 4) -> str:
    """Return pieces for people, in one line."""
    names = list(map(str, pieces))
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if names[most:] else "") or "nothing"
