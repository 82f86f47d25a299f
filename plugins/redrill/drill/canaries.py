"""The numbered writes of one endpoint's drill: all of its writers, what they were told is durable, what came back."""

from collections.abc import Collection, Iterable
from datetime import datetime
from pathlib import Path

from redrill.drill.canary_log import FILE, CanaryLog
from redrill.drill.canary_programs import program_of
from redrill.drill.writer import Writer
from redrill.errors import CommandError, MachineError
from redrill.machine.protocol import Machine
from redrill.model.canary import file_canaries
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint
from redrill.model.recovery import CanaryResult
from redrill.model.writes import ReadBack, measure, sort_out

_READ_SECONDS = 60.0

_SILENT_SECONDS = 30.0
"""How long before the outage a state class may have acknowledged nothing, or ten intervals of its canary."""


class Canaries:
    """Writers of the state classes of an endpoint, from ``start`` until they are stopped or the endpoint is gone."""

    def __init__(self, endpoint: Endpoint, run: str, folder: Path) -> None:
        """Know what the file in ``folder`` tells of the writes of this drill so far."""
        self.log = CanaryLog(folder / FILE)
        self._endpoint = endpoint
        self._run = run
        self._writers: dict[str, Writer] = {}
        self._begun: set[str] = set()

    def start(self, machine: Machine, deadline: Deadline) -> None:
        """Begin to write everywhere; MachineError when a first write is refused."""
        self.log.clear()
        classes = self._endpoint.state_classes
        files = list(file_canaries(self._endpoint.file_canaries))  # they share a channel
        for group in filter(None, [files, *([name] for name in classes if name not in files)]):
            self._begun.update(group)
            writer = Writer(machine, self._run, {name: classes[name].canary for name in group}, self.log)
            writer.prepare(deadline)
            self._writers |= dict.fromkeys(group, writer)
        for writer in self._all:
            writer.start()
        for writer in self._all:
            writer.require_first(deadline)

    def hold(self, names: Iterable[str]) -> None:
        """Write to these state classes no more for now; the last write to each is answered when this returns."""
        for name in self._writers.keys() & set(names):
            self._writers[name].hold()

    def go_on(self, names: Iterable[str]) -> None:
        """Write to these state classes again."""
        for name in self._writers.keys() & set(names):
            self._writers[name].go_on()

    def end(self) -> None:
        """Have all writers end; for one that hangs, the connection has to be dropped then."""
        for writer in self._all:
            writer.end()

    def join(self) -> None:
        """Wait until all writers have ended."""
        for writer in self._all:
            writer.join()
        self._writers = {}

    @property
    def _all(self) -> list[Writer]:
        return list(dict.fromkeys(self._writers.values()))

    def read_back(
        self, machine: Machine, taken: datetime | None, outage: datetime, until_outage: Collection[str]
    ) -> dict[str, CanaryResult]:
        """Return what became of the writes by state class.

        ``taken`` is the moment whose data the backup holds, ``until_outage`` the classes that were written to until the
        outage. Whatever cannot be read is unknown, and says why.
        """
        results = {name: self._read(machine, name, taken, outage) for name in self._endpoint.state_classes}
        return {name: _doubt(result, outage, is_silence_odd=name in until_outage) for name, result in results.items()}

    def _read(self, machine: Machine, name: str, taken: datetime | None, outage: datetime) -> CanaryResult:
        each = self._endpoint.state_classes[name]
        written = self.log.written(name)
        try:
            read = machine.run(program_of(each.canary).read, Deadline.after(_READ_SECONDS)).checked()
        except MachineError as error:
            nothing = measure(each, [], ReadBack(frozenset()), taken, outage)
            return nothing.model_copy(update={"loss": None, "unknown": f"what is stored cannot be read: {error}"})
        found = sort_out(self._run, each.canary, read.stdout.decode("utf-8", "backslashreplace"), written, taken)
        return measure(each, written, found, taken, outage)

    def clear(self, machine: Machine, deadline: Deadline) -> dict[str, str]:
        """Remove every canary of this drill from the endpoint; return what could not be, by state class, in words."""
        left = {}
        for name, each in self._endpoint.state_classes.items():
            is_of_redrill = each.canary.kind != "command"
            command = program_of(each.canary).clear
            if command is None or not (is_of_redrill or name in self._begun or self.log.written(name)):
                continue
            try:
                machine.run(command, deadline).checked()
            except CommandError as error:
                left[name] = f"the canaries of '{name}' ({error})"
        return left


def _doubt(result: CanaryResult, outage: datetime, *, is_silence_odd: bool) -> CanaryResult:
    """Return the result, unknown when too little was written to say anything: a writer that hung loses nothing."""
    if result.unknown:
        return result
    if result.last_written is None:
        return result.model_copy(update={"loss": None, "unknown": "no write was acknowledged"})
    silence = (outage - result.last_written).total_seconds()
    if is_silence_odd and silence > max(_SILENT_SECONDS, 10 * result.interval):
        words = f"no write was acknowledged in the last {silence:.0f} s before the outage"
        return result.model_copy(update={"unknown": words})
    return result
