"""Figures and their table: every figure of a row comes from the same run, its sides measured in turns."""

import json
import operator
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. ``ratio`` is judged against ``target`` ('<= 1.5', '>= 20'); no target is information."""

    what: str
    ours: str
    other: str
    ratio: float | None
    target: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether the ratio keeps to the target; None where there is none."""
        if not self.target or self.ratio is None:
            return None
        sign, _, number = self.target.partition(" ")
        limit = float(number)
        signs = {"<=": operator.le, "<": operator.lt, ">": operator.gt, ">=": operator.ge}
        return bool(signs[sign](self.ratio, limit))


class BrokenBenchmarkError(Exception):
    """A side could not be measured, so its row cannot be printed."""


def take_turns(rounds: int, sides: Mapping[str, Callable[[], float]], say: Say) -> dict[str, float]:
    """Call every side once a round, in turns, and return the median of what each returned."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for number in range(rounds):
        for name, measure in sides.items():
            found[name].append(measure())
            say(f"  {number + 1}/{rounds}  {name:<28} {found[name][-1]:9.3f}")
    return {name: statistics.median(values) for name, values in found.items()}


def seconds_of(work: Callable[[], object]) -> float:
    """Return how long a call takes."""
    began = time.monotonic()
    work()
    return time.monotonic() - began


def render_table(rows: list[Row]) -> str:
    """Return the rows as one aligned table in Markdown."""
    heads = ("what", "ours", "floor or peer", "ratio", "target", "ok")
    lines = [heads, *(_cells(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    rule = "|".join("-" * (width + 2) for width in widths)
    shown = ["| " + " | ".join(map(str.ljust, line, widths)) + " |" for line in lines]
    return "\n".join([shown[0], f"|{rule}|", *shown[1:]])


def _cells(row: Row) -> tuple[str, ...]:
    verdict = {True: "yes", False: "NO", None: ""}[row.is_met]
    ratio = "" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio < 10 else f"{row.ratio:.0f}"
    return (row.what, row.ours, row.other, ratio, row.target, verdict)


def write_json(rows: list[Row], file: Path) -> None:
    """Write the rows with the moment of their measurement."""
    told = [{**asdict(row), "ok": row.is_met} for row in rows]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"measured": datetime.now(UTC).isoformat(), "rows": told}, indent=1) + "\n")
