"""One application, asked again and again in a thread of its own, from before the wipe until it has recovered."""

import threading
import time
from collections.abc import Callable
from enum import Enum

from redrill.drill.health.asking import Asker, Target
from redrill.drill.health.log import HealthLog
from redrill.errors import RedrillError
from redrill.model.application import Application
from redrill.model.deadline import Deadline, wait_until
from redrill.model.recovery import CheckResult


class Moment(Enum):
    """What is going on with the endpoint of an application."""

    STEADY = "in service"
    DOWN = "being redeployed"
    BOOTING = "coming back"
    WATCHED = "not drilled"


_PAUSES = {Moment.STEADY: 0.1, Moment.DOWN: 0.1, Moment.BOOTING: 0.05, Moment.WATCHED: 0.1}
"""Seconds between two questions."""

_KNOCKS = {Moment.STEADY: None, Moment.DOWN: 0.1, Moment.BOOTING: 0.1, Moment.WATCHED: None}
"""The seconds that a connection has at least, where the endpoint may be down."""

_MOST_OF_THE_TIME = 0.05
"""The part of its time that a system in service may be asked; what costs it more is asked less often."""


_LONGEST_PAUSE = 1.0
"""Seconds; else what was healthy when an outage began could be long gone then."""


class Probe:
    """Asks one application; ``log`` tells what became of it. Its methods are for any thread."""

    def __init__(
        self, name: str, application: Application, target: Callable[[], Target], moment: Callable[[], Moment]
    ) -> None:
        self.name = name
        self.application = application
        self.log = HealthLog()
        self.checks: tuple[CheckResult, ...] = ()
        self._asker = Asker(application)
        self._target = target
        self._moment = moment
        self._is_over = False
        self._call = threading.Event()
        self._turn = threading.Lock()
        self._thread = threading.Thread(target=self._work, name=f"probe-{name}", daemon=True)

    def start(self) -> None:
        """Begin to ask; once is enough."""
        if self._thread.ident is None and not self._is_over:
            self._thread.start()

    def stop(self) -> None:
        """Ask no more; returns when the last answer is in."""
        self._is_over = True
        self._call.set()
        if self._thread.is_alive():
            self._thread.join()

    def expect_return(self) -> None:
        """The system that is wanted back is about to be booted."""
        with self._turn:
            self.log.expect_return()

    def confirm_return(self) -> None:
        """The system that is wanted back answers: ask at once."""
        with self._turn:
            self.log.confirm_return()
        self._call.set()

    def wait_until_held(self, deadline: Deadline) -> tuple[float, float] | None:
        """Wait until it was healthy without a break for its hold time; return since when, and for how many seconds.

        None when the time is up before that.
        """
        hold = self.application.hold.total_seconds()

        def look(is_last_try: bool) -> list[tuple[float, float]] | None:
            with self._turn:
                if self.log.streak is not None and self.log.held >= hold:
                    return [(self.log.streak, self.log.held)]
            return [] if is_last_try else None

        return next(iter(wait_until(look, deadline, interval=0.01)), None)

    @property
    def trouble(self) -> str:
        """What was wrong in the last answer that was not healthy, for messages."""
        unhealthy = [f"{check.check}: {check.detail}" for check in self.checks if not check.healthy]
        words = "; ".join(unhealthy) or self.log.last_error or "it does not stay healthy"
        return words.strip().rstrip(".")

    def _work(self) -> None:
        pause = 0.0
        while not self._is_over:
            if self._call.wait(pause):
                self._call.clear()
                pause = 0.0
                continue
            moment, began = self._moment(), time.monotonic()
            try:
                checks = self._asker.ask(self._target(), _KNOCKS[moment])
            except Exception as error:  # noqa: BLE001 - else the last good answer would stand for ever
                told = str(error) if isinstance(error, RedrillError) else repr(error)
                checks = (CheckResult(check=self.name, healthy=False, detail=told),)
            now = time.monotonic()
            healthy = bool(checks) and all(check.healthy for check in checks)
            detail = "; ".join(f"{check.check}: {check.detail}" for check in checks if check.healthy is healthy)
            with self._turn:
                self.checks = checks
                self.log.note(now, healthy=healthy, detail=detail)
            pause = _PAUSES[moment]
            if moment in (Moment.STEADY, Moment.WATCHED) and self.log.held >= self.application.hold.total_seconds():
                pause = max(pause, min((now - began) / _MOST_OF_THE_TIME, _LONGEST_PAUSE))
