"""What a resume does to endpoints that were not wiped: no more than the run itself was allowed to do to them."""

import sys
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest

from redrill.cli import main
from redrill.drill.authorize import Authorized, authorize
from redrill.drill.crash import VARIABLE
from redrill.drill.engine import resume_drill, run_drill
from redrill.drill.journal import read_journal
from redrill.drill.locks import EndpointLock, hold, open_locks
from redrill.drill.planning import Request
from redrill.drill.progress import LineProgress
from redrill.errors import CleanupError, Exit
from redrill.loader import load_fleet
from redrill.model.fleet import Fleet
from redrill.model.record import Step
from redrill.model.values import Mode
from selftests.support.children import in_child
from selftests.support.engine import authorize_one
from selftests.support.history import violations
from selftests.support.trees import root_of, tree_fleet
from selftests.support.world import ENDPOINT, Injector, World

NAMES = ("oak-1", "elm-1", "ash-1")


def authorize_all(fleet: Fleet) -> Authorized:
    return authorize(Request(fleet, tuple(map(fleet.endpoint, NAMES)), Mode.REPLACE, "lab", None))


def test_endpoints_that_were_not_wiped_are_drilled_in_waves_that_keep_groups_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tree_fleet(tmp_path)
    text = file.read_text()
    waves = "waves: {canary: 1, size: 2, stop_after_failures: 3}\n  anti_affinity: [[elm-1, ash-1]]"
    file.write_text(text.replace("waves: {canary: 0, size: 3, stop_after_failures: 3}", waves))
    fleet, run_dir, progress = load_fleet(file), tmp_path / "runs/20260101T000000Z-0001", LineProgress(sys.stdout)
    run_dir.mkdir(parents=True, mode=0o700)

    def drill() -> None:
        endpoints = tuple(map(fleet.endpoint, NAMES))
        run_drill(fleet, endpoints, Mode.REPLACE, run_dir, progress, authorized=authorize_all(fleet))

    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, "oak-1:observe:after")
        assert in_child(drill) == 137
    records = resume_drill(fleet, run_dir, progress, authorize_all(fleet))

    assert [(record.endpoint, record.failure) for record in records] == [(name, None) for name in NAMES]
    for earlier, later in pairwise(records):
        assert earlier.phases[-1].ended <= later.phases[0].started
    assert violations(run_dir) == []


def test_an_endpoint_that_another_run_has_by_now_is_left_to_it(world: World) -> None:
    before, after = (f'echo {word} >>"$ROOT/../hooks"' for word in ("before", "after"))
    hooks = f"{{before: '{before}; kill -9 $PPID', after: '{after}'}}"
    world.change("hold: 200ms", f"hold: 200ms\n        quiesce: {hooks}")
    assert in_child(world.drill) == -9
    with hold(open_locks(world.fleet), ENDPOINT, str(world.root.resolve()), "another-run"):
        assert resume_drill(world.fleet, world.run_dir, LineProgress(sys.stdout), Authorized(())) == []
    assert (world.home / "hooks").read_text().split() == ["before"]
    events = read_journal(world.run_dir / "journal.jsonl")
    (told,) = [event["detail"] for event in events if event["event"] == "stand-down failed"]
    assert "is held by run 'another-run'" in told


def test_what_a_dead_run_left_still_is_told_until_it_goes_on(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    world.change("hold: 200ms", "hold: 200ms\n        quiesce: {before: kill -9 $PPID, after: 'true'}")
    assert in_child(world.drill) == -9
    status = ["status", "--reports", str(world.folder)]
    assert main(status) == Exit.CLEANUP
    assert "stopped or frozen for a backup, and not started again" in capsys.readouterr().out
    assert resume_drill(world.fleet, world.run_dir, LineProgress(sys.stdout), Authorized(())) == []
    assert main(status) == Exit.APPROVE


def test_an_endpoint_that_is_lost_before_anything_was_done_to_it_needs_no_clean_up(world: World) -> None:
    away = world.root.with_name("away")
    record = world.drill(Step.PREFLIGHT, lambda: world.root.rename(away))
    away.rename(world.root)
    world.require_untouched(record, Exit.INCOMPLETE)


def test_a_new_host_that_has_taken_over_for_good_is_not_stopped_any_more(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run died when the old host was removed, and is resumed while drills are stopped."""
    world.change("relocate: {name: oak-1b}", "relocate: {name: oak-1b, keep: new}")
    endpoints, authorized = (world.fleet.endpoint(ENDPOINT),), authorize_one(world.fleet, ENDPOINT, Mode.RELOCATE)
    world.run_dir.mkdir(parents=True, mode=0o700)
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, "hand-back:done")
        drill = partial(run_drill, world.fleet, endpoints, Mode.RELOCATE, world.run_dir, Injector())
        assert in_child(lambda: drill(authorized=authorized)) == 137
    assert not world.root.exists()
    world.kill_switch.touch()
    record = world.resume()
    assert (root_of(world.folder, "oak-1b") / "run/boot-id").exists(), record.failure
    assert record.failure is None


def test_an_old_host_that_serves_again_is_not_given_up_by_a_resume(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The move broke, and when the old host served again nobody could be told that it is free."""

    def fail(_lock: EndpointLock) -> None:
        raise CleanupError("The lock store is gone.")

    world.change("relocate: {name: oak-1b}", "relocate: {name: oak-1b, keep: new}")
    world.run_dir.mkdir(parents=True, mode=0o700)
    endpoints, authorized = (world.fleet.endpoint(ENDPOINT),), authorize_one(world.fleet, ENDPOINT, Mode.RELOCATE)
    hidden = world.backups.with_name("hidden")
    with monkeypatch.context() as patch:
        patch.setattr(EndpointLock, "recovered", fail)
        harm = Injector(Step.RESTORE, lambda: world.backups.rename(hidden))
        run_drill(world.fleet, endpoints, Mode.RELOCATE, world.run_dir, harm, authorized=authorized)
    hidden.rename(world.backups)

    assert resume_drill(world.fleet, world.run_dir, Injector(), Authorized(())) == []
    (resumed,) = [each for each in read_journal(world.run_dir / "journal.jsonl") if each["event"] == "run resumed"]
    assert resumed["wiped"] == [], "it would come up on the new host with the data of before"
    assert (world.unlike(), world.app_status()) == ([], 0)
    owner = open_locks(world.fleet).read(str(world.root.resolve()))
    assert owner
    assert owner.recovery == ""
    assert violations(world.run_dir) == []
