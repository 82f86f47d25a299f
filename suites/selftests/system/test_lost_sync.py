"""A disk that says that it could not keep what it was given (fsync fails): injected into real drills by strace."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from redrill.drill.journal import read_journal
from redrill.drill.resume import find_quarantined
from redrill.drill.stages import REPLACE_STAGES
from redrill.model.record import Step
from selftests.support.drills import Drilled, resume_run, run_redrill
from selftests.support.world import ENDPOINT, World

ONE = ("--redrill-mode=replace", f"--redrill-endpoint={ENDPOINT}", "-k", "test_drill_runs_to_its_end")
STEPS = [stage.step for stage in REPLACE_STAGES]
_CALL = re.compile(r"(\d+) +fsync\(\d+<(.+)>(?:\) += 0| <unfinished \.\.\.>)")
"""A call, also one during which another thread or process has called: the line of its end names no file."""
JOURNAL, CHECKPOINT, ARCHIVE, STORE = "journal.jsonl", "/.checkpoint.json-", "/archive.tar.zst", f"/backups/{ENDPOINT}"


@dataclass(frozen=True)
class Moment:
    """One fsync of a drill, by what it is for; ``number`` counts those of its thread, as strace does."""

    number: int

    def fails(self, *, for_ever: bool) -> tuple[str, ...]:
        """Return the program under which this one fails, or this one and all after it."""
        when = f"{self.number}+" if for_ever else f"{self.number}"
        return (*STRACE, "-o", "/dev/null", "-e", f"inject=fsync:error=EIO:when={when}")


STRACE = ("strace", "-f", "--seccomp-bpf", "-qq", "-y", "-e", "trace=fsync", "-e", "signal=none")


def make_world(folder: Path, patch: pytest.MonkeyPatch) -> World:
    patch.setenv("XDG_STATE_HOME", str(folder / "state"))
    return World(folder)


def drill(world: World, under: tuple[str, ...] = ()) -> Drilled:
    drilled = run_redrill(world.fleet.source, world.folder, *ONE, under=under)
    assert drilled.folder
    world.run_dir = drilled.folder
    return drilled


@pytest.fixture(scope="module")
def syncs(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The files that the thread of a drill syncs, one after the other, when nothing fails."""
    folder = tmp_path_factory.mktemp("traced")
    with pytest.MonkeyPatch.context() as patch:
        drilled = drill(make_world(folder, patch), (*STRACE, "-o", str(folder / "trace")))
    assert drilled.status == 0, drilled.output
    calls = [(found[1], found[2]) for found in map(_CALL.match, (folder / "trace").read_text().splitlines()) if found]
    [thread] = {thread for thread, file in calls if CHECKPOINT in file}
    return [file for own, file in calls if own == thread]


def nth(syncs: list[str], part: str, number: int) -> Moment:
    """Return the moment when a file whose path holds ``part`` is synced for the n-th time, from 0."""
    return Moment([index for index, file in enumerate(syncs, 1) if part in file][number])


def intent(syncs: list[str], step: Step) -> Moment:
    """Return the moment of the line of intent of a phase: each has one, and one of its outcome."""
    return nth(syncs, JOURNAL, 2 * STEPS.index(step))


def outcome(syncs: list[str], step: Step) -> Moment:
    return nth(syncs, JOURNAL, 2 * STEPS.index(step) + 1)


def wipe_mark(syncs: list[str]) -> Moment:
    """Return the moment of the checkpoint that says that the wipe is about to begin: the first in that phase."""
    start = intent(syncs, Step.REDEPLOY).number
    return Moment(next(index for index, file in enumerate(syncs, 1) if index > start and CHECKPOINT in file))


BEFORE: dict[str, tuple[Callable[[list[str]], Moment], bool, str]] = {
    "the first files of the run": (lambda syncs: intent(syncs, Step.PREFLIGHT), True, "what a run has to write"),
    "the journal, before the backup": (lambda syncs: intent(syncs, Step.BACK_UP), True, "phase 'back up'"),
    "the journal, right before the wipe": (lambda syncs: intent(syncs, Step.REDEPLOY), True, "phase 'redeploy'"),
    "the checkpoint of the wipe": (wipe_mark, False, "phase 'redeploy'"),
    "the archive": (lambda syncs: nth(syncs, ARCHIVE, 0), False, "phase 'back up'"),
    "the folder of the backups": (lambda syncs: nth(syncs, STORE, -1), False, "phase 'back up'"),
}


@pytest.mark.parametrize("what", BEFORE)
def test_what_is_not_kept_before_the_wipe_is_exit_12_and_keeps_the_endpoint(
    what: str, syncs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, for_ever, words = BEFORE[what]
    world = make_world(tmp_path, monkeypatch)
    drilled = drill(world, moment(syncs).fails(for_ever=for_ever))
    assert drilled.status == 12, drilled.output
    assert words in drilled.output
    assert "Input/output error" in drilled.output
    world.require_as_it_was()
    assert drill(world).status == 0, "a disk that has recovered lets the endpoint be drilled"


AFTER: dict[str, tuple[Callable[[list[str]], Moment], bool]] = {
    "the journal, when wiped": (lambda syncs: outcome(syncs, Step.REDEPLOY), True),
    "the journal, when settled": (lambda syncs: outcome(syncs, Step.SETTLE), True),
    "the journal, before the clean-up": (lambda syncs: intent(syncs, Step.RELEASE), True),
    "the record": (lambda syncs: nth(syncs, f"/records/.{ENDPOINT}.json-", 0), False),
    "the last checkpoint": (lambda syncs: nth(syncs, CHECKPOINT, -1), False),
}


@pytest.mark.parametrize("what", AFTER)
def test_what_is_not_kept_after_the_wipe_is_exit_14_and_a_resume_finishes(
    what: str, syncs: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moment, for_ever = AFTER[what]
    world = make_world(tmp_path, monkeypatch)
    drilled = drill(world, moment(syncs).fails(for_ever=for_ever))
    assert drilled.status == 14, drilled.output
    assert [each.endpoint for each in find_quarantined(tmp_path / "runs")] == [ENDPOINT]

    resumed = resume_run(world.run_dir, tmp_path)
    assert (resumed.status, resumed.verdict["decision"]) == (0, "APPROVE"), resumed.output
    destroyed = [
        e for e in read_journal(world.run_dir / JOURNAL) if (e["event"], e.get("step")) == ("intent", "redeploy")
    ]
    assert len(destroyed) == 1
    assert world.read_boot_id() != world.boot_id
    assert (world.unlike(), world.app_status()) == ([], 0)
    assert find_quarantined(tmp_path / "runs") == []
