"""A clean-up that fails after a good recovery: the endpoint is back and free, the run says what was left (exit 7)."""

import subprocess
from pathlib import Path

from redrill.drill.authorize import Authorized
from redrill.drill.engine import resume_drill
from redrill.drill.locks import open_locks
from redrill.drill.resume import find_quarantined
from redrill.errors import Exit
from redrill.model.record import DrillRecord, Step
from selftests.support.drills import run_redrill
from selftests.support.hard_tree import with_own_mounts
from selftests.support.history import violations
from selftests.support.world import ENDPOINT, Injector, World


def require_left_behind(world: World, record: DrillRecord, what: str) -> None:
    """The drill ended with what it could not remove; the endpoint is recovered and free for the next one."""
    assert record.failure is not None
    assert (record.failure.step, record.failure.error) == (Step.RELEASE, "CleanupError")
    assert record.failure.exit_code is Exit.CLEANUP
    assert what in record.failure.message
    assert (world.app_status(), violations(world.run_dir)) == (0, [])
    assert find_quarantined(world.folder / "runs") == []
    assert resume_drill(world.fleet, world.run_dir, Injector(), Authorized(())) == []
    owner = open_locks(world.fleet).read(str(world.root))
    assert owner is not None
    assert (owner.recovery, owner.released is not None) == ("", True)


def test_canaries_that_cannot_be_cleared_are_a_clean_up_error(world: World) -> None:
    world.change("clear: 'rm -f \"$ROOT/var/lib/app/canaries\"'", "clear: 'echo busy >&2; exit 3'")
    require_left_behind(world, world.drill(), "the canaries of 'app' (")


def test_markers_that_cannot_be_removed_are_a_clean_up_error(state_folder: Path) -> None:
    def fault() -> None:
        world = World(state_folder)

        def hold() -> None:
            [marker] = (world.root / "home").glob(".redrill-survivor-*")
            subprocess.run(["mount", "--bind", "/dev/null", marker], check=True)

        require_left_behind(world, world.drill(Step.RELEASE, hold), "/home/.redrill-survivor-")

    with_own_mounts(fault)


def test_a_clean_up_error_is_exit_7_and_everything_else_is_judged(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.change("clear: 'rm -f \"$ROOT/var/lib/app/canaries\"'", "clear: 'exit 3'")
    drilled = run_redrill(world.fleet.source, tmp_path, "--redrill-mode=replace", f"--redrill-endpoint={ENDPOINT}")
    assert (drilled.status, drilled.verdict["decision"]) == (7, "INCOMPLETE"), drilled.output
    assert "the drill left something behind; remove it by hand: the canaries of 'app'" in drilled.output
    assert (drilled.red, len(drilled.tests("passed")) > 20) == (set(), True)
