"""The search itself: which pieces of the backup, and which leaked paths, does an endpoint need to recover?"""

from collections.abc import Collection, Iterable

from redrill.drill.bench import Bench
from redrill.errors import RedrillError
from redrill.minimise.leaked import SavedLeaks
from redrill.minimise.logbook import Choice, Limits, Logbook, Trial
from redrill.minimise.minimising import Minimum, minimise
from redrill.minimise.pieces import Piece, PieceTree
from redrill.minimise.report import Part, Report
from redrill.minimise.trials import Workshop
from redrill.model.deadline import pause
from redrill.model.manifest import Manifest

_PAUSES = (2.0, 5.0, 15.0, 30.0, 60.0)
"""Seconds; labs of others on the same machine come and go within minutes."""


class Search:
    """One search on one endpoint: ``run`` it, then ``report`` tells what is known, also when it broke off."""

    def __init__(self, bench: Bench, shop: Workshop, leaks: SavedLeaks, logbook: Logbook, limits: Limits) -> None:
        self._bench = bench
        self._shop = shop
        self._leaks = leaks
        self._logbook = logbook
        self._depth = limits.depth
        self._backup = bench.snapshot_manifest or Manifest({})
        self._tree = PieceTree(self._backup, self._backup)
        self._leak_tree = leaks.tree(limits.depth)
        self._first: Trial | None = None
        self._with_leaks: Trial | None = None
        self._leaked: Minimum[Piece] = Minimum((), is_minimal=True)
        self._needed: Minimum[Piece] = Minimum((), is_minimal=False)
        self._last: Trial | None = None
        self._good: Choice | None = None

    def run(self) -> None:
        """Search; ExhaustedError when a limit is reached before anything is known, RedrillError when a trial breaks."""
        self._first = self._try(Choice(None))
        if not self._first.recovered and not self._find_leaks():
            return
        roots = self._take_apart()
        self._needed = minimise(roots, lambda pieces: self._suffices(pieces, self._leaked.pieces), self._tree.expand)
        best = Choice(frozenset(self._needed.pieces), frozenset(self._leaked.pieces))
        self._last, _ = self._try_out(best, is_last=True)

    def _find_leaks(self) -> bool:
        """Whether what leaked brings the endpoint back where the whole backup does not; find out which of it."""
        roots = self._leak_tree.roots()
        if not roots:
            return False
        self._with_leaks = self._try(Choice(None, frozenset(roots)))
        if self._with_leaks.recovered:
            self._leaked = minimise(roots, lambda pieces: self._suffices(None, pieces), self._leak_tree.expand)
        return self._with_leaks.recovered

    def _take_apart(self) -> tuple[Piece, ...]:
        """Return the pieces to begin with: what differs from a fresh system, or all when mere times turn out to matter.

        RedrillError when not even all pieces do what the whole backup did.
        """
        for fresh in (self._shop.fresh or Manifest({}), Manifest({})):
            self._tree = PieceTree(self._backup, fresh, depth=self._depth)
            roots = self._tree.roots()
            if self._suffices(roots, self._leaked.pieces):
                return roots
        raise RedrillError("restored as a whole it recovers, but not when the same is restored piece by piece")

    def _suffices(self, state: Collection[Piece] | None, leaked: Iterable[Piece]) -> bool:
        return self._try(Choice(None if state is None else frozenset(state), frozenset(leaked))).recovered

    def _try(self, choice: Choice) -> Trial:
        """Return the trial of a choice, which is made unless there was one.

        A system that does not come up at all may as well be what it runs on that is broken for the moment. So it is
        believed only when it happens twice, and what has recovered before does so again in between.
        """
        known = self._logbook.find(choice)
        if known:
            return known
        trial, is_up = self._try_out(choice)
        if not is_up and self._good is not None:
            self._require_sound_ground(self._good)
            trial, _ = self._try_out(choice)
        if trial.recovered:
            self._good = choice
        return self._logbook.believe(choice, trial)

    def _require_sound_ground(self, good: Choice) -> None:
        """Wait until what has recovered before does so again; RedrillError when it does not."""
        for seconds in (*_PAUSES, None):
            trial, _ = self._try_out(good)
            if trial.recovered:
                return
            if seconds is None:
                raise RedrillError(f"what has recovered before does not any more (trial {trial.number}: {trial.why})")
            pause(seconds)

    def _try_out(self, choice: Choice, *, is_last: bool = False) -> tuple[Trial, bool]:
        number = self._logbook.begin(choice, is_last=is_last)
        tree = None if choice.state is None else self._tree
        answer = self._shop.try_out(number, tree, sorted(choice.state or ()), sorted(choice.leaked))
        return self._logbook.end(choice, answer), answer.is_up

    def report(self, trouble: str = "") -> Report:
        """Return what is known; ``trouble`` is why the search broke off."""
        bench, snapshot, image = self._bench, self._bench.snapshot, self._bench.evidence.image_wanted
        best = Choice(frozenset(self._needed.pieces), frozenset(self._leaked.pieces))
        only_leaks = Choice(None, best.leaked)
        entries, size = len(self._backup.entries), sum(entry.size for entry in self._backup.entries.values())
        return Report(
            endpoint=bench.endpoint.name,
            run=bench.run,
            snapshot=snapshot.id if snapshot else "",
            image=f"{image.name} {image.version}" if image else "",
            applications=tuple(bench.endpoint.applications),
            entries=entries,
            size=size,
            trials=self._logbook.number,
            recovers=self._first is not None and self._first.recovered,
            why_not=self._first.why if self._first else "",
            recovers_with_leaks=self._with_leaks.recovered if self._with_leaks else None,
            needed=tuple(self._part(self._tree, piece, best) for piece in self._needed.pieces),
            leaked=tuple(self._part(self._leak_tree, piece, only_leaks) for piece in self._leaked.pieces),
            unneeded=tuple(self._unneeded()) if self._last else (),
            is_minimal=self._needed.is_minimal and self._leaked.is_minimal,
            is_confirmed=self._last is not None and self._last.recovered,
            notes=tuple(self._notes()),
            trouble=trouble,
        )

    def _part(self, tree: PieceTree, piece: Piece, best: Choice) -> Part:
        trial = self._logbook.find(best.without(piece))
        entries, size = tree.measure([piece])
        return Part(
            path=piece.path,
            is_whole=piece.is_whole,
            is_absent=piece.path not in tree.saved.entries,
            entries=entries,
            size=size,
            trial=trial.number if trial and not trial.recovered else None,
            why=trial.why if trial and not trial.recovered else "",
        )

    def _unneeded(self) -> Iterable[Part]:
        """Yield the pieces that the search began with, each without what is needed of it."""
        for root in self._tree.roots():
            inside = [p for p in self._needed.pieces if p == root or (root.is_whole and p.is_inside(root))]
            entries, size = self._tree.measure([root])
            needed_entries, needed_size = self._tree.measure(inside)
            if root not in inside and (not inside or entries > needed_entries):
                path = f"the rest of {root.path}" if inside else root.path
                is_absent = root.path not in self._backup.entries
                if not is_absent:
                    yield Part(path=path, entries=entries - needed_entries, size=size - needed_size)

    def _notes(self) -> Iterable[str]:
        if self._leaks.unknown:
            yield f"What leaks is not known: {self._leaks.unknown}"
        if self._leaks.too_large:
            yield f"Too large to be saved, so not tried: {', '.join(self._leaks.too_large)}"
        if self._leaks.tops:
            yield f"What leaked is kept in '{self._bench.relative(self._leaks.file)}'."
        if not (self._needed.is_minimal and self._leaked.is_minimal):
            yield "A limit was reached before the set was as small as it can be."
