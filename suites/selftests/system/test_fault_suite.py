"""Faults of the world around a drill, at its worst moments: nothing is lost, and whatever was wiped is resumable."""

import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from redrill.drill import finish
from redrill.drill.halt import Halt
from redrill.drill.journal import Journal, read_journal
from redrill.drill.resume import find_quarantined
from redrill.drill.stages import REPLACE_STAGES
from redrill.errors import Exit, ProvisionError, RedrillError
from redrill.model.manifest import compare
from redrill.model.record import Step
from redrill.provisioners.tree import TreeProvisioner
from selftests.support.drills import plain_environment
from selftests.support.hard_tree import in_child, mount_tmpfs, with_own_mounts
from selftests.support.history import violations
from selftests.support.hostile import BASE, END, pack
from selftests.support.trees import root_of
from selftests.support.world import ENDPOINT, World, fill, free, use_up_inodes

STEPS = tuple(stage.step for stage in REPLACE_STAGES)


def at(*steps: Step) -> pytest.MarkDecorator:
    """Do the harm at each of these steps, one test for each."""
    return pytest.mark.parametrize("step", steps, ids=lambda step: step.value)


# ---- no space (F8, F9, F10) ----------------------------------------------------------------------------------------


def full_run_folder(folder: Path, step: Step) -> World:
    """Drill with a run folder that is full from this step on, require what that ends with, and make room."""
    runs = folder / "runs"
    runs.mkdir(mode=0o700)
    mount_tmpfs(runs, "size=2m,mode=0700")
    world = World(folder)
    code = Exit.QUARANTINED if step in STEPS[STEPS.index(Step.RESTORE) :] else Exit.BACKUP
    with pytest.raises(RedrillError, match="No space left on device") as broken:
        world.drill(step, lambda: fill(runs))
    assert broken.value.exit_code == code
    free(runs / "ballast")
    assert violations(world.run_dir) == []
    return world


@at(Step.PREFLIGHT, Step.PLANT, Step.BACK_UP, Step.REDEPLOY)
def test_no_space_for_the_run_before_the_wipe_keeps_the_endpoint(state_folder: Path, step: Step) -> None:
    def fault() -> None:
        world = full_run_folder(state_folder, step)
        world.require_as_it_was()
        world.run_dir = world.run_dir.with_name("20260101T000001Z-0002")
        world.require_recovered(world.drill())

    with_own_mounts(fault)


@at(Step.RESTORE, Step.SETTLE, Step.RELEASE)
def test_no_space_for_the_run_after_the_wipe_is_quarantine_and_a_resume_with_space_finishes(
    state_folder: Path, step: Step
) -> None:
    def fault() -> None:
        world = full_run_folder(state_folder, step)
        assert [each.endpoint for each in find_quarantined(state_folder / "runs")] == [ENDPOINT]
        world.require_recovered(world.resume())

    with_own_mounts(fault)


def run_process(world: World, *options: str) -> int:
    """Run redrill over the world in a process of its own, whose results may be half written; return its status."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:hypothesispytest", "-p", "no:cacheprovider"]
    command += ["--pyargs", "redrill_suites.test_redeploy", f"--redrill-reports={world.folder}", *options]
    return subprocess.run(command, cwd=world.folder, env=plain_environment(), check=False).returncode


@pytest.mark.parametrize("is_read_only", [False, True], ids=["full", "read-only"])
@pytest.mark.parametrize(("mode", "code"), [("replace", Exit.BACKUP), ("observe", Exit.INCOMPLETE)])
def test_a_place_for_runs_that_takes_nothing_is_told_before_anything_is_touched(
    state_folder: Path, mode: str, code: Exit, is_read_only: bool
) -> None:
    def fault() -> None:
        world, runs = World(state_folder), state_folder / "runs"
        runs.mkdir(mode=0o700)
        mount_tmpfs(runs, "size=1m,mode=0700")
        fill(runs)
        if is_read_only:
            subprocess.run(["mount", "-o", "remount,ro", runs], check=True)
        fleet = f"--redrill-fleet={world.fleet.source}"
        one = f"--redrill-endpoint={ENDPOINT}"
        assert run_process(world, fleet, one, f"--redrill-mode={mode}", "--redrill-environment=lab") == code
        world.require_as_it_was()

    with_own_mounts(fault)


def test_a_run_that_cannot_even_write_its_verdict_ends_with_what_is_known(state_folder: Path) -> None:
    def fault() -> None:
        runs = state_folder / "runs"
        runs.mkdir(mode=0o700)
        mount_tmpfs(runs, "size=2m,mode=0700")
        world = World(state_folder)
        world.on_boot(f"test -e '{runs}/ballast' || dd if=/dev/zero of='{runs}/ballast' bs=4k 2>/dev/null || :")
        fleet = f"--redrill-fleet={world.fleet.source}"
        one = f"--redrill-endpoint={ENDPOINT}"
        assert run_process(world, fleet, one, "--redrill-mode=replace", "--redrill-environment=lab") == Exit.QUARANTINED
        assert [each.endpoint for each in find_quarantined(runs)] == [ENDPOINT]
        free(runs / "ballast")
        (runs / "ballast").touch()
        [world.run_dir] = runs.glob("*Z-*")
        assert run_process(world, f"--redrill-resume={world.run_dir}", "--redrill-environment=lab") == Exit.APPROVE
        assert (world.unlike(), find_quarantined(runs), violations(world.run_dir)) == ([], [], [])

    with_own_mounts(fault)


def test_a_line_for_which_there_is_half_the_space_does_not_break_the_journal(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    Journal(file).write("run started")

    def write_too_much() -> None:
        most = file.stat().st_size + 20
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        Journal(file).write("run ended")

    with pytest.raises(OSError, match="File too large"):
        in_child(lambda: None, write_too_much)
    Journal(file).write("run resumed")
    assert [event["event"] for event in read_journal(file)] == ["run started", "run resumed"]


@pytest.mark.parametrize("exhaust", [fill, use_up_inodes])
def test_no_space_on_the_backup_store_keeps_the_endpoint(state_folder: Path, exhaust: Callable[[Path], Path]) -> None:
    def fault() -> None:
        world = World(state_folder)
        world.backups.mkdir(mode=0o700, exist_ok=True)
        mount_tmpfs(world.backups, "size=64k,nr_inodes=20,mode=0700")
        exhaust(world.backups)
        world.require_untouched(world.drill(), Exit.BACKUP)

    with_own_mounts(fault)


def test_a_file_that_cannot_be_read_keeps_the_endpoint(state_folder: Path) -> None:
    def fault() -> None:
        world = World(state_folder)
        unreadable, file = "/sys/class/net/lo/speed", world.root / "etc/app/app.conf"
        with pytest.raises(OSError, match="Invalid argument"):
            Path(unreadable).read_bytes()
        record = world.drill(Step.BACK_UP, lambda: subprocess.run(["mount", "--bind", unreadable, file], check=True))
        subprocess.run(["umount", file], check=True)
        world.require_untouched(record, Exit.BACKUP)

    with_own_mounts(fault)


SMALL = "size=32m,nr_inodes=2000,mode=0700"


@pytest.mark.parametrize("exhaust", [fill, use_up_inodes])
@at(Step.REDEPLOY, Step.RESTORE)
def test_no_space_on_the_endpoint_is_quarantine_and_a_resume_with_space_finishes(
    state_folder: Path, step: Step, exhaust: Callable[[Path], Path]
) -> None:
    def fault() -> None:
        home = root_of(state_folder, ENDPOINT).parent
        home.mkdir(parents=True, mode=0o700)
        mount_tmpfs(home, SMALL)
        world = World(state_folder)
        world.require_quarantined(world.drill(step, lambda: exhaust(home)), step)
        free(home / "ballast")
        world.require_recovered(world.resume())

    with_own_mounts(fault)


@pytest.mark.parametrize("exhaust", [fill, use_up_inodes])
def test_an_endpoint_that_filled_up_before_the_wipe_is_kept(
    state_folder: Path, exhaust: Callable[[Path], Path]
) -> None:
    def fault() -> None:
        home = root_of(state_folder, ENDPOINT).parent
        home.mkdir(parents=True, mode=0o700)
        mount_tmpfs(home, SMALL)
        world = World(state_folder)
        record = world.drill(Step.VERIFY_BACKUP, lambda: exhaust(home))
        world.require_untouched(record, Exit.BACKUP)
        assert "does not fit" in record.failure.message

    with_own_mounts(fault)


# ---- what destroys and rebuilds breaks (F24, F25, F26) -------------------------------------------------------------


def test_a_wipe_that_fails_half_way_is_finished_by_a_resume(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: TreeProvisioner) -> None:
        raise ProvisionError("The image store hung up.")

    with monkeypatch.context() as patch:
        patch.setattr(TreeProvisioner, "_copy_image", fail)
        world.require_quarantined(world.drill(), Step.REDEPLOY)
    assert not world.root.exists()
    world.require_recovered(world.resume())


def test_an_image_that_vanished_after_the_plan_keeps_the_endpoint(world: World) -> None:
    authorized = world.authorize()
    world.image.rename(world.folder / "elsewhere")
    record = world.drill(authorized=authorized)
    world.require_untouched(record, Exit.BACKUP)
    assert "Provide the image, then drill again" in record.failure.message


def test_an_image_that_vanishes_during_the_backup_keeps_the_endpoint(world: World) -> None:
    record = world.drill(Step.BACK_UP, lambda: world.image.rename(world.folder / "elsewhere"))
    world.require_untouched(record, Exit.BACKUP)
    assert record.failure.step is Step.ARM


def test_an_image_that_becomes_another_one_after_the_plan_keeps_the_endpoint(world: World) -> None:
    record = world.drill(Step.BACK_UP, (world.image / "usr/new").touch)
    world.require_untouched(record, Exit.GUARD)


def test_an_image_that_vanishes_at_the_wipe_is_quarantine_until_it_is_back(world: World) -> None:
    elsewhere = world.folder / "elsewhere"
    world.require_quarantined(world.drill(Step.REDEPLOY, lambda: world.image.rename(elsewhere)), Step.REDEPLOY)
    assert world.read_boot_id() == world.boot_id, "nothing is moved away for an image that is not there"
    world.require_quarantined(world.resume(), Step.REDEPLOY)
    elsewhere.rename(world.image)
    world.require_recovered(world.resume())


def test_an_endpoint_that_never_boots_is_quarantine_until_it_is_mended(world: World) -> None:
    world.on_boot(f"test ! -e '{world.folder}/broken' || exit 1")
    (world.folder / "broken").touch()
    world.require_quarantined(world.drill(), Step.SETTLE)
    world.require_quarantined(world.resume(), Step.SETTLE)
    (world.folder / "broken").unlink()
    world.require_recovered(world.resume())


# ---- somebody touches the only way back (bad input 64, after the wipe) ---------------------------------------------


def replace_archive(world: World) -> bytes:
    """Put other bytes into the place of the newest backup; return those that were there."""
    archive = max(world.backups.glob(f"{ENDPOINT}/*/archive.tar.zst"))
    kept = archive.read_bytes()
    archive.write_bytes(pack(BASE + END))
    return kept


def test_a_backup_that_is_replaced_after_the_wipe_is_not_restored_until_it_is_back(world: World) -> None:
    kept: list[bytes] = []
    record = world.drill(Step.RESTORE, lambda: kept.append(replace_archive(world)))
    world.require_quarantined(record, Step.RESTORE)
    assert not (world.root / "home/file").exists(), "nothing of the other archive was unpacked"
    world.require_quarantined(world.resume(), Step.RESTORE)
    max(world.backups.glob(f"{ENDPOINT}/*/archive.tar.zst")).write_bytes(kept[0])
    world.require_recovered(world.resume())


def test_a_second_copy_brings_the_endpoint_back_when_the_first_is_replaced_after_the_wipe(world: World) -> None:
    world.change("repository: {", f"repository: {{copies: ['{world.folder}/second'], ")
    world.require_recovered(world.drill(Step.RESTORE, lambda: replace_archive(world)))


# ---- the log sink goes away (F29) ----------------------------------------------------------------------------------


def take_sink_away(sink: Path) -> None:
    """Put a directory into its place: nobody can write to it or read from it."""
    sink.unlink()
    sink.mkdir()


def test_a_log_sink_that_is_gone_before_the_drill_keeps_the_endpoint(world: World) -> None:
    take_sink_away(world.sink)
    world.require_untouched(world.drill(), Exit.INCOMPLETE)


def test_a_log_sink_that_goes_away_after_the_wipe_is_never_green(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finish, "_ARRIVAL_SECONDS", 0.5)
    record = world.drill(Step.OBSERVE_AFTER, lambda: take_sink_away(world.sink))
    world.require_quarantined(record, Step.OBSERVE_AFTER)
    world.sink.rmdir()
    record = world.resume()
    world.require_recovered(record)
    assert [message.arrived for message in record.messages if message.stage == "before"] == [False]


# ---- somebody wishes to stop (F6, F34) -----------------------------------------------------------------------------


@at(*STEPS[: STEPS.index(Step.RESTORE)])
def test_a_kill_switch_set_before_the_wipe_keeps_the_endpoint(world: World, step: Step) -> None:
    world.require_untouched(world.drill(step, world.kill_switch.touch), Exit.STOPPED)


def test_a_kill_switch_set_between_plan_and_drill_begins_nothing(world: World) -> None:
    authorized, everything = world.authorize(), world.look(("/",))
    world.kill_switch.touch()
    record = world.drill(authorized=authorized)
    world.require_untouched(record, Exit.STOPPED)
    assert (record.phases, compare(everything, world.look(("/",)))) == ((), [])


@at(Step.RESTORE, Step.SETTLE, Step.RELEASE)
def test_a_kill_switch_set_after_the_wipe_lets_the_endpoint_recover(world: World, step: Step) -> None:
    world.require_recovered(world.drill(step, world.kill_switch.touch))


def test_a_kill_switch_does_not_keep_a_wiped_endpoint_from_its_resume(world: World) -> None:
    elsewhere = world.folder / "elsewhere"
    world.require_quarantined(world.drill(Step.REDEPLOY, lambda: world.image.rename(elsewhere)), Step.REDEPLOY)
    elsewhere.rename(world.image)
    world.kill_switch.touch()
    world.require_recovered(world.resume())


@pytest.fixture
def terminate(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], None]]:
    """Send SIGTERM to this process, and return when it was heard."""
    heard, wish = threading.Event(), Halt.wish

    def hear(self: Halt, reason: str) -> None:
        wish(self, reason)
        heard.set()

    def send() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard.wait(10)

    monkeypatch.setattr(Halt, "wish", hear)
    return send


@at(Step.PREFLIGHT, Step.BACK_UP, Step.ARM, Step.REDEPLOY)
def test_a_sigterm_before_the_wipe_keeps_the_endpoint(world: World, terminate: Callable[[], None], step: Step) -> None:
    record = in_child(lambda: None, lambda: world.drill(step, terminate))
    world.require_untouched(record, Exit.STOPPED)
    assert "signal SIGTERM" in record.failure.message


@at(Step.RESTORE, Step.SETTLE, Step.RELEASE)
def test_a_sigterm_after_the_wipe_is_quarantine_and_a_resume_finishes(
    world: World, terminate: Callable[[], None], step: Step
) -> None:
    record = in_child(lambda: None, lambda: world.drill(step, terminate))
    world.require_quarantined(record, step)
    world.require_recovered(world.resume())
