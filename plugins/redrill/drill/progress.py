"""What a person sees while a drill runs: a live table on a terminal, one line a phase elsewhere."""

import threading
import time
from typing import TextIO

from rich.console import Console
from rich.live import Live
from rich.table import Table

from redrill.model.record import DrillRecord, Outcome, Phase, Step


class LineProgress:
    """Writes one line whenever a phase ends; safe for many threads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def __enter__(self) -> "LineProgress":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave nothing behind."""

    def phase_started(self, endpoint: str, step: Step) -> None:
        """Say nothing: the end of the phase tells more."""

    def phase_ended(self, endpoint: str, phase: Phase) -> None:
        """Write the endpoint, the phase, its seconds and its detail."""
        mark = "" if phase.outcome is Outcome.DONE else "FAILED: "
        self._write(f"{endpoint:<16} {phase.step.value:<15} {phase.seconds:7.2f} s  {mark}{phase.detail}".rstrip())

    def drill_ended(self, record: DrillRecord) -> None:
        """Write how the endpoint's drill ended."""
        seconds = (record.ended - record.started).total_seconds()
        word = f"broke in '{record.failure.step.value}'" if record.failure else "complete"
        self._write(f"{record.endpoint:<16} {'drill':<15} {seconds:7.2f} s  {word}")

    def _write(self, line: str) -> None:
        with self._lock:
            self._stream.write(line + "\n")
            self._stream.flush()


class LiveProgress:
    """One row an endpoint on a terminal: the phase it is in, how long already, and what it is through with."""

    def __init__(self, stream: TextIO, total: int) -> None:
        self._total = total
        self._rows: dict[str, tuple[str, float, float, str]] = {}
        self._lock = threading.Lock()
        self._live = Live(
            console=Console(file=stream), get_renderable=self._render, transient=True, refresh_per_second=8
        )

    def __enter__(self) -> "LiveProgress":
        """Start drawing."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the table off the screen."""
        self._live.stop()

    def phase_started(self, endpoint: str, step: Step) -> None:
        """Show the phase that the endpoint is in now."""
        now = time.monotonic()
        with self._lock:
            first = self._rows.get(endpoint, ("", now, now, ""))[1]
            self._rows[endpoint] = (step.value, first, now, "")

    def phase_ended(self, endpoint: str, phase: Phase) -> None:
        """Show what the phase had to tell."""
        with self._lock:
            step, first, since, _ = self._rows[endpoint]
            self._rows[endpoint] = (step, first, since, phase.detail)

    def drill_ended(self, record: DrillRecord) -> None:
        """Show that the endpoint is through."""
        now = time.monotonic()
        with self._lock:
            first = self._rows.get(record.endpoint, ("", now, now, ""))[1]
            word = "[red]broken[/red]" if record.failure else "[green]complete[/green]"
            self._rows[record.endpoint] = (word, first, now, record.failure.message if record.failure else "")

    def _render(self) -> Table:
        table = Table(box=None, title=f"redrill: {len(self._rows)} of {self._total} endpoints", title_justify="left")
        for heading in ("endpoint", "phase", "in phase", "total", ""):
            table.add_column(heading, no_wrap=heading != "", max_width=60)
        now = time.monotonic()
        with self._lock:
            for endpoint, (step, first, since, detail) in sorted(self._rows.items()):
                table.add_row(
                    endpoint,
                    step,
                    f"{now - since:.1f} s",
                    f"{now - first:.1f} s",
                    detail.splitlines()[0] if detail else "",
                )
        return table
