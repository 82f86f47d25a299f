"""The drill of a whole fleet: all endpoints at once, each through its phases, once per session, in one process."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol

from redrill.drill import finish, prepare, redeploy
from redrill.drill.bench import Bench
from redrill.drill.evidence import write_record
from redrill.drill.journal import Journal
from redrill.drill.lock import hold_endpoint
from redrill.drill.settle import settle
from redrill.errors import Exit, RedrillError
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import DrillRecord, Failure, Outcome, Phase, Step
from redrill.model.values import Mode
from redrill.private import write_private

MOST_AT_ONCE = 64
"""Endpoints that are drilled at the same time; each waits far more than it works."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One phase as the engine runs it: what it does, and the seconds that it may take."""

    step: Step
    work: Callable[[Bench, Deadline], None]
    budget: float


OBSERVE_STAGES = (
    Stage(Step.PREFLIGHT, prepare.preflight, 60),
    Stage(Step.SETTLE, settle, 600),
    Stage(Step.OBSERVE_AFTER, finish.observe_after, 600),
)

REPLACE_STAGES = (
    Stage(Step.PREFLIGHT, prepare.preflight, 60),
    Stage(Step.PLANT, prepare.plant, 60),
    Stage(Step.OBSERVE, prepare.observe_before, 600),
    Stage(Step.BACK_UP, prepare.back_up, 3600),
    Stage(Step.VERIFY_BACKUP, prepare.verify_backup, 1800),
    Stage(Step.REDEPLOY, redeploy.redeploy, 1800),
    Stage(Step.RESTORE, redeploy.restore, 3600),
    Stage(Step.VERIFY_RESTORE, redeploy.verify_restore, 1800),
    Stage(Step.SETTLE, settle, 1800),
    Stage(Step.OBSERVE_AFTER, finish.observe_after, 600),
    Stage(Step.RELEASE, finish.release, 60),
)

STAGES = {Mode.OBSERVE: OBSERVE_STAGES, Mode.REPLACE: REPLACE_STAGES}


class Progress(Protocol):
    """Hears what happens while it happens, from many threads."""

    def phase_started(self, endpoint: str, step: Step) -> None:
        """A phase begins."""

    def phase_ended(self, endpoint: str, phase: Phase) -> None:
        """A phase ended, well or not."""

    def drill_ended(self, record: DrillRecord) -> None:
        """An endpoint is through."""


def run_drill(
    fleet: Fleet, endpoints: Sequence[Endpoint], mode: Mode, run_dir: Path, progress: Progress
) -> list[DrillRecord]:
    """Drill the endpoints concurrently; write each record as it completes and return them all.

    An endpoint that breaks does not stop the others; its record holds the first cause.
    """
    write_private(run_dir / "fleet.json", fleet.model_dump_json(indent=1) + "\n")
    journal = Journal(run_dir / "journal.jsonl")
    journal.write("run started", mode=mode.value, endpoints=[endpoint.name for endpoint in endpoints])
    with ThreadPoolExecutor(min(MOST_AT_ONCE, len(endpoints) or 1), thread_name_prefix="drill") as pool:
        work = [(Bench(fleet, endpoint, mode, run_dir), journal, progress) for endpoint in endpoints]
        drills = [pool.submit(_drill, *words) for words in work]
        records = [drill.result() for drill in drills]
    journal.write("run ended", failed=[record.endpoint for record in records if record.failure])
    return records


def _drill(bench: Bench, journal: Journal, progress: Progress) -> DrillRecord:
    bench.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with ExitStack() as stack:
        stack.callback(_close, bench)
        if _hold(stack, bench):
            for stage in STAGES[bench.mode]:
                if not _run_stage(bench, stage, journal, progress):
                    _stand_down(bench, journal)
                    break
    record = bench.freeze()
    write_record(bench.run_dir, record)
    journal.write("endpoint ended", record.endpoint, failure=record.failure.message if record.failure else None)
    progress.drill_ended(record)
    return record


def _hold(stack: ExitStack, bench: Bench) -> bool:
    """Take the endpoint's lock in modes that destroy; a busy endpoint is a failure of its drill."""
    if not bench.mode.is_destructive:
        return True
    try:
        identity = _identity(bench)
        stack.enter_context(hold_endpoint(bench.endpoint.name, identity, bench.run))
    except RedrillError as error:
        bench.evidence.failure = _failure(bench, Step.PREFLIGHT, error)
        return False
    return True


def _identity(bench: Bench) -> str:
    location = bench.locate()
    return str(location.root) if location.root else f"{location.address}:{location.port}"


def _run_stage(bench: Bench, stage: Stage, journal: Journal, progress: Progress) -> bool:
    name, started = bench.endpoint.name, datetime.now(UTC)
    bench.detail = ""
    journal.write("intent", name, step=stage.step.value)
    progress.phase_started(name, stage.step)
    error: Exception | None = None
    try:
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
    journal.write("outcome", name, step=stage.step.value, outcome=phase.outcome.value, detail=phase.detail)
    progress.phase_ended(name, phase)
    return error is None


def _failure(bench: Bench, step: Step, error: Exception) -> Failure:
    code = error.exit_code if isinstance(error, RedrillError) else Exit.INCOMPLETE
    if bench.evidence.wiped_at is not None:
        code = Exit.QUARANTINED
    return Failure(step=step, error=type(error).__name__, message=str(error) or repr(error), exit_code=code)


def _stand_down(bench: Bench, journal: Journal) -> None:
    """Leave an endpoint that was not wiped as it was found; after the wipe everything stays for whoever mends it."""
    if bench.evidence.wiped_at is not None or not bench.mode.is_destructive:
        return
    try:
        finish.stand_down(bench, Deadline.after(120))
    except RedrillError as error:
        journal.write("stand-down failed", bench.endpoint.name, detail=str(error))


def _close(bench: Bench) -> None:
    bench.disconnect()
    if bench.collector is not None:
        bench.collector.close()
