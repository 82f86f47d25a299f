"""The drill of a whole fleet: all endpoints at once, each through its phases, once per session, in one process."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from redrill.drill import finish, relocate
from redrill.drill.authorize import Authorized
from redrill.drill.bench import Bench
from redrill.drill.checkpoint import save_checkpoint
from redrill.drill.crash import crash_here
from redrill.drill.disk import is_of_the_disk, refuse_without_disk
from redrill.drill.evidence import write_record
from redrill.drill.halt import Halt, heed_signals
from redrill.drill.health.asking import require_clients
from redrill.drill.health.site import Site
from redrill.drill.journal import Journal
from redrill.drill.locks import EndpointLock, LockStore, hold, identify, open_locks
from redrill.drill.meeting import Meeting
from redrill.drill.memory import bound_heaps, give_back
from redrill.drill.reach import destination_of
from redrill.drill.resume import find_unfinished
from redrill.drill.stages import STAGES, Stage
from redrill.drill.steady_state import watch_again
from redrill.drill.waves import why_stop
from redrill.errors import Exit, RedrillError, StoppedError, gravest
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.needs import applications_of
from redrill.model.record import DrillRecord, Failure, Outcome, Phase, Step
from redrill.model.values import Mode
from redrill.private import write_private

MOST_AT_ONCE = 64
"""Endpoints that are drilled at the same time; each waits far more than it works."""


class Progress(Protocol):
    """Hears what happens while it happens, from many threads."""

    def phase_started(self, endpoint: str, step: Step) -> None:
        """A phase begins."""

    def phase_ended(self, endpoint: str, phase: Phase) -> None:
        """A phase ended, well or not."""

    def drill_ended(self, record: DrillRecord) -> None:
        """An endpoint is through."""


def run_drill(
    fleet: Fleet,
    endpoints: Sequence[Endpoint],
    mode: Mode,
    run_dir: Path,
    progress: Progress,
    *,
    authorized: Authorized | None = None,
    stages: Mapping[Mode, Sequence[Stage]] = STAGES,
) -> list[DrillRecord]:
    """Drill the endpoints of each wave concurrently; write each record as it completes and return them all.

    An endpoint that breaks does not stop the others of its wave; its record holds the first cause. Endpoints of waves
    that do not start any more have records that say why. Without ``authorized`` nothing is ever wiped. Whatever
    ``stages`` are done, a resume goes on with those that every drill has.
    """
    require_clients(applications_of(fleet.endpoints).items())
    locks = open_locks(fleet)
    bound_heaps()
    try:
        journal = _begin(fleet, endpoints, mode, run_dir)
    except OSError as error:
        raise refuse_without_disk(error, run_dir, mode) from error
    records: list[DrillRecord] = []
    permits = authorized.permits if authorized else {}
    crew = Crew(locks, journal, progress, stages=stages)
    with heed_signals(crew.halt):
        for wave in authorized.waves if authorized else (tuple(endpoints),):
            stop = why_stop(fleet, records) if mode.is_destructive else None
            benches = [Bench(fleet, endpoint, mode, run_dir, permits.get(endpoint.name)) for endpoint in wave]
            records += crew.drill(benches, stop)
    journal.write("run ended", failed=[record.endpoint for record in records if record.failure])
    return records


def _begin(fleet: Fleet, endpoints: Sequence[Endpoint], mode: Mode, run_dir: Path) -> Journal:
    """Write down what a run is about; OSError when its folder takes nothing."""
    write_private(run_dir / "fleet.json", fleet.model_dump_json(indent=1) + "\n")
    (run_dir / "records").mkdir(exist_ok=True, mode=0o700)
    journal = Journal(run_dir / "journal.jsonl")
    journal.write("run started", mode=mode.value, endpoints=[endpoint.name for endpoint in endpoints])
    return journal


def resume_drill(fleet: Fleet, run_dir: Path, progress: Progress, authorized: Authorized) -> list[DrillRecord]:
    """Finish the drills of a run that were interrupted: those that were wiped first, then those that were not.

    A wiped endpoint goes on with its first incomplete phase. One that was not is put back into service and drilled from
    the start in its wave, for a backup made before the interruption may be stale; without a permit it is left at that.
    """
    require_clients(applications_of(fleet.endpoints).items())
    journal = Journal(run_dir / "journal.jsonl")
    wiped, untouched = find_unfinished(fleet, run_dir, authorized.permits)
    journal.write("run resumed", wiped=[b.endpoint.name for b in wiped], untouched=[b.endpoint.name for b in untouched])
    crew = Crew(open_locks(fleet), journal, progress)
    with heed_signals(crew.halt):
        records = crew.drill(wiped)
        for bench in untouched:
            _put_back(bench, crew)
        for wave in authorized.waves:
            permitted = [bench for bench in untouched if bench.permit and bench.endpoint in wave]
            records += crew.drill(permitted, why_stop(fleet, records))
    journal.write("run ended", failed=[record.endpoint for record in records if record.failure])
    return records


@dataclass(frozen=True, slots=True)
class Crew:
    """What all drills of a run share."""

    locks: LockStore
    journal: Journal
    progress: Progress
    halt: Halt = field(default_factory=Halt)
    stages: Mapping[Mode, Sequence[Stage]] = field(default_factory=lambda: STAGES)

    def drill(self, benches: Sequence[Bench], stop: StoppedError | None = None) -> list[DrillRecord]:
        """Drill these endpoints at the same time; with ``stop`` none of them is even begun."""
        if benches:
            site, meeting = Site(benches[0].fleet, benches), Meeting([bench.endpoint for bench in benches])
            for bench in benches:
                bench.site, bench.meeting = site, meeting
        with ThreadPoolExecutor(min(MOST_AT_ONCE, len(benches) or 1), thread_name_prefix="drill") as pool:
            drills = [pool.submit(_drill, bench, self, stop) for bench in benches]
        # What could not be recorded is told by its gravest: an endpoint that was wiped, if there is one.
        broken = [error for drill in drills if isinstance(error := drill.exception(), RedrillError)]
        if broken:
            worst = gravest([error.exit_code for error in broken])
            raise next(error for error in broken if error.exit_code == worst)
        return [drill.result() for drill in drills]


def _drill(bench: Bench, crew: Crew, stop: StoppedError | None) -> DrillRecord:
    bench.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        stack.callback(_close, bench)
        if stop is not None:
            bench.evidence.failure = _failure(bench, Step.PREFLIGHT, stop)
        elif _hold(stack, bench, crew.locks):
            _run_stages(bench, crew)
    record = bench.freeze()
    _keep(bench, record, crew.journal)
    _tell(crew.progress.drill_ended, record)
    return record


def _keep(bench: Bench, record: DrillRecord, journal: Journal) -> None:
    """Write the record, and that the drill is over; RedrillError with its exit status when that cannot be written."""
    failure = record.failure
    try:
        write_record(bench.run_dir, record)
        if bench.is_over:
            save_checkpoint(bench, is_over=True)
        journal.write("endpoint ended", record.endpoint, failure=failure.message if failure else None)
    except OSError as error:
        failure = failure or _failure(bench, Step.RELEASE, error)
        broken = RedrillError(
            f"The drill of '{record.endpoint}' broke in phase '{failure.step.value}': {failure.message}. This could "
            f"not be recorded in '{bench.run_dir}': {error}. Mend that, then resume the run."
        )
        broken.exit_code = failure.exit_code
        raise broken from error


def _run_stages(bench: Bench, crew: Crew) -> None:
    bench.halt, bench.journal = crew.halt, crew.journal
    if bench.outage.began_at is not None and Step.SETTLE not in bench.done:
        watch_again(bench)
    for stage in crew.stages[bench.mode]:
        if stage.step in bench.done:
            continue
        try:
            is_done = _run_stage(bench, stage, crew)
        except OSError as error:  # the run folder takes nothing any more; the endpoint must not suffer from that
            bench.evidence.failure = bench.evidence.failure or _failure(bench, stage.step, error)
            is_done = False
        # An endpoint on which only the clean-up failed has recovered.
        if not is_done and bench.evidence.failure is not None and not bench.evidence.failure.is_of_clean_up:
            _stand_down(bench, crew.journal)
            return
    if bench.lock:
        bench.is_over = _end_recovery(bench, bench.lock, crew.journal)


def _hold(stack: ExitStack, bench: Bench, locks: LockStore) -> bool:
    """Take the endpoint's lock in modes that destroy; a busy endpoint is a failure of its drill."""
    try:
        _lock(stack, bench, locks)
    except RedrillError as error:
        bench.evidence.failure = _failure(bench, Step.PREFLIGHT, error)
        return False
    return True


def _lock(stack: ExitStack, bench: Bench, locks: LockStore) -> None:
    if not bench.mode.is_destructive:
        return
    home = bench.evidence.relocation.old if bench.evidence.relocation else bench.location
    identity = identify(home or bench.locate())
    bench.lock = stack.enter_context(hold(locks, bench.endpoint.name, identity, bench.run))
    if bench.mode is Mode.RELOCATE and bench.builder:
        place = identify(destination_of(bench.endpoint, bench.builder))
        stack.enter_context(hold(locks, bench.endpoint.relocated.name, place, bench.run))


def _end_recovery(bench: Bench, lock: EndpointLock, journal: Journal) -> bool:
    """Let other runs have the endpoint again; when the lock store cannot be told, the drill says so and stays red."""
    try:
        lock.recovered()
    except RedrillError as error:
        bench.evidence.failure = _failure(bench, Step.RELEASE, error)
        with suppress(OSError):
            journal.write("lock not released", bench.endpoint.name, detail=str(error))
        return False
    return True


def _run_stage(bench: Bench, stage: Stage, crew: Crew) -> bool:
    name, started = bench.endpoint.name, datetime.now(UTC)
    bench.detail = ""
    crew.journal.write("intent", name, step=stage.step.value)
    _tell(crew.progress.phase_started, name, stage.step)
    crash_here(name, stage.step, "before")
    error: Exception | None = None
    try:
        crew.halt.check(name, stage.step.value)
        stage.work(bench, Deadline.after(stage.budget))
    except Exception as caught:  # noqa: BLE001 - whatever breaks one endpoint must reach its record, not the others
        error = caught
        bench.evidence.failure = _failure(bench, stage.step, caught)
    phase = Phase(
        step=stage.step,
        started=started,
        ended=datetime.now(UTC),
        budget=stage.budget,
        outcome=Outcome.FAILED if error else Outcome.DONE,
        detail=str(error) if error else bench.detail,
    )
    bench.evidence.phases.append(phase)
    crash_here(name, stage.step, "done")
    if bench.mode.is_destructive:
        if error is None:
            bench.done.append(stage.step)
        save_checkpoint(bench)
    crew.journal.write("outcome", name, step=stage.step.value, outcome=phase.outcome.value, detail=phase.detail)
    _tell(crew.progress.phase_ended, name, phase)
    give_back()
    crash_here(name, stage.step, "after")
    return error is None


def _tell(tell: Callable[..., None], *words: object) -> None:
    """Report progress; a terminal that has gone away breaks no drill."""
    with suppress(OSError, ValueError):
        tell(*words)


def _failure(bench: Bench, step: Step, error: Exception) -> Failure:
    if bench.evidence.wiped_at is None and is_of_the_disk(error):
        error = refuse_without_disk(error, bench.run_dir, bench.mode)
    code = error.exit_code if isinstance(error, RedrillError) else Exit.INCOMPLETE
    failure = Failure(step=step, error=type(error).__name__, message=str(error) or repr(error), exit_code=code)
    # What was stopped, and not destroyed, is started again before anybody is told.
    is_gone = bench.evidence.wiped_at is not None and bench.mode is not Mode.RELOCATE
    if is_gone and not failure.is_of_clean_up:
        return failure.model_copy(update={"exit_code": Exit.QUARANTINED})
    return failure


def _stand_down(bench: Bench, journal: Journal) -> None:
    """Leave an endpoint that was not wiped as it was found; after the wipe everything stays for whoever mends it."""
    if not bench.mode.is_destructive:
        return
    if bench.evidence.wiped_at is not None:
        if bench.mode is Mode.RELOCATE:
            _come_back(bench, journal)
        return
    try:
        finish.stand_down(bench, Deadline.after(120))
    except Exception as error:  # noqa: BLE001 - the first cause is to be told all the same
        first = bench.evidence.failure
        if first is not None:
            words = f"{first.message} Afterwards it could not be left as it was found: {error}"
            bench.evidence.failure = first.model_copy(update={"message": words, "exit_code": Exit.CLEANUP})
        with suppress(OSError):
            journal.write("stand-down failed", bench.endpoint.name, detail=str(error))


def _come_back(bench: Bench, journal: Journal) -> None:
    """Start the old host again; one that does not serve afterwards is quarantined, for it is down by our hand."""
    try:
        words, code = relocate.come_back(bench, Deadline.after(600)), None
        save_checkpoint(bench)  # a resume must not go on with the move: data are written to the old host again
        bench.is_over = bench.lock is not None and _end_recovery(bench, bench.lock, journal)
    except Exception as error:  # noqa: BLE001 - the first cause is to be told all the same
        words, code = f"Afterwards the old host could not be put back into service: {error}", Exit.QUARANTINED
    first = bench.evidence.failure
    if first is not None:
        update = {"message": f"{first.message} {words}", "exit_code": first.exit_code if code is None else code}
        bench.evidence.failure = first.model_copy(update=update)
    with suppress(OSError):
        journal.write("old host", bench.endpoint.name, detail=words)


def _put_back(bench: Bench, crew: Crew) -> None:
    """Return an endpoint whose drill died before the wipe to service, and forget what that drill knew of it.

    One to which nothing was done yet is not even connected to, and one that another run has by now is left to that.
    """
    if Step.PREFLIGHT in bench.done:
        with ExitStack() as stack:
            stack.callback(bench.disconnect)
            try:
                _lock(stack, bench, crew.locks)
                bench.connect(bench.locate(), Deadline.after(60))
            except RedrillError as error:
                crew.journal.write("stand-down failed", bench.endpoint.name, detail=str(error))
            else:
                _stand_down(bench, crew.journal)
                if bench.lock and bench.lock.is_held_for_recovery:  # of an old host that was started again
                    _end_recovery(bench, bench.lock, crew.journal)
    bench.forget()


def _close(bench: Bench) -> None:
    bench.meeting.leave(bench.endpoint.name)
    bench.site.leave(bench.endpoint.name)
    bench.disconnect()
    if bench.collector is not None:
        bench.collector.close()
