"""A thread that has an endpoint store one numbered write after another, over one channel, until it is told to end."""

import secrets
import threading
import time
from collections.abc import Iterable, Iterator, Mapping

from redrill.drill.canary_log import CanaryLog
from redrill.drill.canary_programs import WRITE_SECONDS, loop_of, program_of
from redrill.drill.outage import clock_now
from redrill.errors import MachineError
from redrill.machine.protocol import Machine
from redrill.model.canary import Canary, CommandCanary
from redrill.model.deadline import Deadline
from redrill.model.writes import Write, make_line

_LONGEST = 86_400.0
"""Seconds after which a writer that nobody has ended stops by itself."""

_AGAIN_SECONDS = 0.5
"""How long a writer whose channel broke waits before it tries again."""

_END_SECONDS = WRITE_SECONDS + 5.0


class Writer:
    """Writes to several state classes of one interval at once: they share a loop on the endpoint and its numbers.

    A write is made when the one before it was answered. One that is refused is followed by the next; a channel that
    breaks is opened anew, for a writer ends only when it is told to.
    """

    def __init__(self, machine: Machine, run: str, canaries: Mapping[str, Canary], log: CanaryLog) -> None:
        self.refused = ""
        self._machine = machine
        self._run = run
        self._names = list(canaries)
        self._canaries = list(canaries.values())
        self._interval = self._canaries[0].interval.total_seconds()
        self._log = log
        # What commands of the owner keep may still hold the numbers of an earlier drill.
        are_commands = isinstance(self._canaries[0], CommandCanary)
        self._last = int(time.time() * 1000) if are_commands else 0
        self._answered = self._last
        self._turn = 0
        self._is_over = self._is_held = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name=f"canaries-{machine.name}", daemon=True)

    def prepare(self, deadline: Deadline) -> None:
        """Make room for the writes of this drill, and drop what an earlier one has left; MachineError."""
        commands = [program_of(canary).prepare for canary in self._canaries]
        for result in self._machine.batch(commands, deadline):
            result.checked()

    def start(self) -> None:
        """Write in the background from now on."""
        self._thread.start()

    def require_first(self, deadline: Deadline) -> None:
        """Wait until the first write is durable everywhere; MachineError when it is not."""

        def lacking() -> list[str]:
            return [name for name in self._names if not self._log.written(name)]

        with self._changed:
            self._changed.wait_for(lambda: self.refused or not lacking(), deadline.within(_END_SECONDS).remaining)
        if lacking():
            why = self.refused or "it got no answer"
            raise MachineError(f"On '{self._machine.name}' the first canary write to '{lacking()[0]}' failed: {why}")

    def hold(self) -> None:
        """Write nothing from now on, once the last write is answered."""
        with self._changed:
            self._is_held = True
            self._changed.wait_for(lambda: self._is_over or self._answered == self._last, _END_SECONDS)

    def go_on(self) -> None:
        """Write again."""
        with self._changed:
            self._is_held = False
            self._changed.notify_all()

    def end(self) -> None:
        """Tell it to end; nothing is waited for."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait until it has ended; what hangs on the endpoint ends with the connection."""
        if self._thread.ident is not None:
            self._thread.join(_END_SECONDS)

    def _work(self) -> None:
        while not self._is_over:
            try:
                lines = self._lines(self._turn)
                with self._machine.receive(loop_of(self._canaries), Deadline.after(_LONGEST), lines) as chunks:
                    for answer in _split(chunks):
                        self._hear(answer)
            except MachineError as error:
                self.refused = str(error)
            with self._changed:
                self._turn += 1
                self._answered = self._last  # nobody will answer that any more
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._is_over, _AGAIN_SECONDS)

    def _lines(self, turn: int) -> Iterator[bytes]:
        """Yield what is written into one channel: a line when the last was answered and the interval is over."""

        def has_ended() -> bool:
            return self._is_over or self._turn != turn

        due = time.monotonic()
        while True:
            with self._changed:
                self._changed.wait_for(lambda: has_ended() or self._answered == self._last)
                self._changed.wait_for(has_ended, max(0.0, due - time.monotonic()))
                self._changed.wait_for(lambda: has_ended() or not self._is_held)
                if has_ended():
                    return
                self._last += 1
            due = time.monotonic() + self._interval
            yield f"{make_line(self._run, self._last, clock_now(), secrets.token_hex(16))}\n".encode()

    def _hear(self, line: str) -> None:
        now = clock_now()
        head, _, why = line.partition(";")
        number, *durable = map(int, head.split())
        self.refused = "" if len(durable) == len(self._names) else why or "it ended with an error and said nothing"
        if durable:
            self._log.add([self._names[index] for index in durable], Write(number, now))
        with self._changed:
            self._answered = number
            self._changed.notify_all()


def _split(chunks: Iterable[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.decode("utf-8", "backslashreplace") for line in lines)
