"""What was tried and what came of it: one line of evidence a trial, and the limits of a search."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from redrill.drill.bench import Bench
from redrill.drill.guards.stops import require_go
from redrill.errors import StoppedError
from redrill.minimise.minimising import ExhaustedError
from redrill.minimise.pieces import Piece, told
from redrill.minimise.trials import Answer
from redrill.model.deadline import Deadline
from redrill.model.values import Value, printable
from redrill.private import write_private

EVIDENCE = "trials.jsonl"


@dataclass(frozen=True, slots=True)
class Limits:
    """How far a search goes: trials, seconds, names of a path whose directory is taken apart, bytes of leaks saved."""

    trials: int = 200
    seconds: float = 7200.0
    depth: int = 4
    leaked: int = 100_000_000


@dataclass(frozen=True, slots=True)
class Choice:
    """What an endpoint gets back in a trial; ``state`` is None for the whole backup, restored as a drill does it."""

    state: frozenset[Piece] | None
    leaked: frozenset[Piece] = frozenset()

    def without(self, piece: Piece) -> "Choice":
        """Return the choice that lacks one piece."""
        return Choice(None if self.state is None else self.state - {piece}, self.leaked - {piece})

    def __str__(self) -> str:
        """Return it for people."""
        state = "the whole backup" if self.state is None else told(sorted(self.state))
        return f"{state}; leaked: {told(sorted(self.leaked))}" if self.leaked else state


class Trial(Value):
    """The evidence of one trial; ``restored`` and ``leaked`` are what the endpoint got, None for the whole backup."""

    number: int
    restored: tuple[str, ...] | None
    leaked: tuple[str, ...]
    recovered: bool
    why: str
    seconds: float


class Logbook:
    """The trials of one endpoint, in the folder of its drill; ``tell`` hears a line about each."""

    def __init__(self, bench: Bench, limits: Limits, tell: Callable[[str], None]) -> None:
        self._bench = bench
        self._limits = limits
        self._tell = tell
        self._deadline = Deadline.after(limits.seconds)
        self._trials: list[Trial] = []
        self._of: dict[Choice, Trial] = {}

    @property
    def number(self) -> int:
        """How many trials there were."""
        return len(self._trials)

    def find(self, choice: Choice) -> Trial | None:
        """Return the trial of a choice that is believed, None when it was never tried."""
        return self._of.get(choice)

    def begin(self, choice: Choice, *, is_last: bool = False) -> int:
        """Write down that a choice is about to be tried and return the number of the trial.

        ExhaustedError when a limit is reached, but for the last one, and when somebody wants it to stop.
        """
        if not is_last and self.number >= self._limits.trials:
            raise ExhaustedError(f"the limit of {self._limits.trials} trials was reached")
        if not is_last and self._deadline.is_over:
            raise ExhaustedError(f"the limit of {self._limits.seconds:g} s was reached")
        if self._bench.halt.reason:
            raise ExhaustedError(f"it was stopped: {self._bench.halt.reason}")
        try:
            require_go(self._bench.fleet)
        except StoppedError as error:
            raise ExhaustedError(str(error)) from error
        if self._bench.journal:
            self._bench.journal.write("trial", self._bench.endpoint.name, number=self.number + 1, choice=str(choice))
        return self.number + 1

    def end(self, choice: Choice, answer: Answer) -> Trial:
        """Write down what came of the choice that was begun last."""
        trial = Trial(
            number=self.number + 1,
            restored=None if choice.state is None else _paths(choice.state),
            leaked=_paths(choice.leaked),
            recovered=answer.recovered,
            why=printable(answer.why),
            seconds=round(answer.seconds, 3),
        )
        self._trials.append(trial)
        lines = "".join(f"{each.model_dump_json()}\n" for each in self._trials)
        write_private(self._bench.folder / EVIDENCE, lines)
        word = "recovered" if trial.recovered else "does not recover"
        self._tell(printable(f"trial {trial.number:>3}  {word:<16}  {trial.seconds:6.2f} s  {choice}"))
        return trial

    def believe(self, choice: Choice, trial: Trial) -> Trial:
        """Remember a trial as the answer to its choice, and return it."""
        self._of[choice] = trial
        return trial


def _paths(pieces: Iterable[Piece]) -> tuple[str, ...]:
    return tuple(printable(str(piece)) for piece in sorted(pieces))
