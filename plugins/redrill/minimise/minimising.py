"""Delta debugging: of many pieces, find a set that suffices and from which no single piece can be left out.

The algorithm is ddmin (A. Zeller, R. Hildebrandt: "Simplifying and Isolating Failure-Inducing Input", IEEE TSE 28(2),
2002), gone down a tree level by level as in HDD (G. Misherghi, Z. Su, ICSE 2006). Nothing is assumed of the question
that is asked: more pieces may be worse than fewer.
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)

Suffices = Callable[[frozenset[T]], bool]
"""Asks whether a set of pieces suffices."""


class ExhaustedError(Exception):
    """Raised by a question that is not answered any more: the budget is used up."""


@dataclass(frozen=True, slots=True)
class Minimum(Generic[T]):
    """The smallest set that was found to suffice, in the order of the pieces.

    ``is_minimal``: without any one of them it does not. Else the budget was used up before that was known.
    """

    pieces: tuple[T, ...]
    is_minimal: bool


def minimise(
    pieces: Sequence[T], suffices: Suffices[T], expand: Callable[[T], Sequence[T]] = lambda _piece: ()
) -> Minimum[T]:
    """Return a set of pieces that suffices and from which none can be left out; ``pieces`` together must suffice.

    What is needed is taken apart (``expand`` returns the parts of a piece that together do what it does, none when it
    has none) and looked at again, until nothing can be taken apart. When the question raises ExhaustedError, the best
    that was found until then is returned. No question is asked twice.
    """
    search = _Search(tuple(pieces), suffices, expand)
    try:
        search.run()
    except ExhaustedError:
        return Minimum(search.best, is_minimal=False)
    return Minimum(search.best, is_minimal=True)


class _Search(Generic[T]):
    """A search that may end at any question; ``best`` always suffices."""

    def __init__(self, best: tuple[T, ...], suffices: Suffices[T], expand: Callable[[T], Sequence[T]]) -> None:
        self.best = best
        self._suffices = suffices
        self._expand = expand
        self._known: dict[frozenset[T], bool] = {}

    def run(self) -> None:
        """Make ``best`` minimal."""
        if self._is_enough(()):
            return
        self._reduce(self.best, ())
        while any(self._take_apart(piece) for piece in self.best):
            pass
        while any(self._is_enough(_without(self.best, (piece,))) for piece in self.best):
            pass

    def _is_enough(self, pieces: tuple[T, ...]) -> bool:
        """Whether pieces suffice; then they are the best so far. No question is asked twice."""
        chosen = frozenset(pieces)
        if chosen not in self._known:
            self._known[chosen] = self._suffices(chosen)
        if self._known[chosen]:
            self.best = pieces
        return self._known[chosen]

    def _take_apart(self, piece: T) -> bool:
        """Replace a piece by what is needed of its parts; False when it has none, or they do not do what it does."""
        parts = tuple(self._expand(piece)) if piece in self.best else ()
        others = _without(self.best, (piece,))
        if not parts or not self._is_enough((*others, *parts)):
            return False
        self._reduce(parts, others)
        return True

    def _reduce(self, current: tuple[T, ...], others: tuple[T, ...]) -> None:
        """Leave out what can be left out of ``current``, in ever smaller runs; all suffice together with ``others``.

        ddmin also asks whether a small part is enough by itself. That is rarely so, and no part of what it promises;
        here it is asked of the halves only.
        """
        parts = 2
        while len(current) > 1:
            rests = (_without(current, chunk) for chunk in _split(current, parts))
            smaller = next((rest for rest in rests if self._is_enough((*others, *rest))), None)
            if smaller is not None:
                current, parts = smaller, max(parts - 1, 2)
            elif parts < len(current):
                parts = min(2 * parts, len(current))
            else:
                return


def _without(pieces: tuple[T, ...], left_out: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(piece for piece in pieces if piece not in left_out)


def _split(pieces: tuple[T, ...], parts: int) -> list[tuple[T, ...]]:
    """Return the pieces in so many runs of nearly the same length; none is empty."""
    bounds = [len(pieces) * index // parts for index in range(parts + 1)]
    return [pieces[start:end] for start, end in pairwise(bounds)]
