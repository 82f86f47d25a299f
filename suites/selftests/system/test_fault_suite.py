"""Faults of the world around a drill, at its worst moments: nothing is lost, and whatever was wiped is resumable."""

import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from redrill.drill import finish
from redrill.drill.authorize import Authorized
from redrill.drill.engine import REPLACE_STAGES, resume_drill, run_drill
from redrill.drill.halt import Halt
from redrill.drill.resume import find_quarantined
from redrill.errors import Exit, ProvisionError, RedrillError
from redrill.loader import load_fleet
from redrill.machine.walker import walk
from redrill.model.fleet import Fleet
from redrill.model.manifest import Manifest, compare
from redrill.model.record import DrillRecord, Phase, Step
from redrill.model.values import STATE_PATHS, Mode
from redrill.provisioners.tree import TreeProvisioner
from selftests.support.engine import authorize_one
from selftests.support.hard_tree import in_child, mount_tmpfs, with_own_mounts
from selftests.support.history import violations
from selftests.support.trees import TREE_FLEET, root_of, tree_fleet

ENDPOINT = "oak-1"
STEPS = tuple(stage.step for stage in REPLACE_STAGES)
MOVES_BY_ITSELF = ("mtime_ns",)


def at(*steps: Step) -> pytest.MarkDecorator:
    """Do the harm at each of these steps, one test for each."""
    return pytest.mark.parametrize("step", steps, ids=lambda step: step.value)


@dataclass
class Injector:
    """A display of progress that does harm at the moment when a phase begins."""

    step: Step | None = None
    harm: Callable[[], object] = lambda: None
    seen: list[Step] = field(default_factory=list)

    def phase_started(self, _endpoint: str, step: Step) -> None:
        self.seen.append(step)
        if step is self.step:
            self.harm()

    def phase_ended(self, _endpoint: str, phase: Phase) -> None:
        pass

    def drill_ended(self, record: DrillRecord) -> None:
        pass


class World:
    """One endpoint that is a directory, with an image, a log sink and a kill switch of its own below ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.run_dir = folder / "runs/20260101T000000Z-0001"
        self.root = root_of(folder, ENDPOINT)
        self.home, self.backups, self.sink = self.root.parent, folder / "lab/backups", folder / "lab/sink.log"
        self.image, self.kill_switch = folder / "image", folder / "stop"
        shutil.copytree(TREE_FLEET.parents[1] / "images/tree", self.image)
        file = tree_fleet(folder)
        text = file.read_text().replace(str(TREE_FLEET.parents[1] / "images/tree"), str(self.image))
        text = text.replace("guards:", f"guards:\n  kill_switch: {{file: '{self.kill_switch}'}}", 1)
        file.write_text(text)
        self.fleet: Fleet = load_fleet(file)
        self.remember()

    def remember(self) -> None:
        """Take what the endpoint is now for what it must be in the end."""
        self.before, self.boot_id = self.look(), self.read_boot_id()

    def look(self, paths: tuple[str, ...] = STATE_PATHS) -> Manifest:
        return walk(self.root, paths)

    def read_boot_id(self) -> str:
        return (self.root / "run/boot-id").read_text()

    def on_boot(self, script: str) -> None:
        """Have the endpoint do something before anything else at each of its boots."""
        (self.root / "etc/rc.start/10-fault").write_text(f"{script}\n")
        self.remember()

    def authorize(self) -> Authorized:
        return authorize_one(self.fleet, ENDPOINT)

    def drill(
        self, step: Step | None = None, harm: Callable[[], object] = lambda: None, authorized: Authorized | None = None
    ) -> DrillRecord:
        """Drill the endpoint; the harm is done when the step begins."""
        self.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        endpoints, injector = (self.fleet.endpoint(ENDPOINT),), Injector(step, harm)
        authorized = authorized or self.authorize()
        (record,) = run_drill(self.fleet, endpoints, Mode.REPLACE, self.run_dir, injector, authorized=authorized)
        assert step is None or step in injector.seen
        return record

    def resume(self) -> DrillRecord:
        """Finish the drill without a permit: nothing that was not wiped may be wiped now."""
        (record,) = resume_drill(self.fleet, self.run_dir, Injector(), {})
        return record

    def require_untouched(self, record: DrillRecord, code: Exit) -> None:
        """The drill broke with the code, and the endpoint is the one that it was, in service."""
        assert record.failure is not None
        assert record.failure.exit_code == code, record.failure
        assert record.wiped_at is None
        assert violations(self.run_dir) == []
        self.require_as_it_was()

    def require_as_it_was(self) -> None:
        """The endpoint is the one that it was, in service, and no run claims to have wiped it."""
        assert self.read_boot_id() == self.boot_id
        assert self.unlike() == []
        assert self.app_status() == 0
        assert list(self.root.rglob(".redrill-*")) == []
        assert find_quarantined(self.folder / "runs") == []

    def require_quarantined(self, record: DrillRecord, step: Step) -> None:
        """The drill broke in this step after the wipe, and whoever asks is told of the endpoint."""
        assert record.failure is not None
        assert (record.failure.step, record.failure.exit_code) == (step, Exit.QUARANTINED), record.failure
        assert record.wiped_at is not None
        assert [each.endpoint for each in find_quarantined(self.folder / "runs")] == [ENDPOINT]
        assert violations(self.run_dir) == []

    def require_recovered(self, record: DrillRecord) -> None:
        """The endpoint was rebuilt, has all that it had, and nothing of the old one is left beside it."""
        assert record.failure is None
        assert record.wiped_at is not None
        assert self.read_boot_id() != self.boot_id
        assert self.unlike() == []
        assert self.app_status() == 0
        assert list(self.home.glob("old-*")) == []
        assert find_quarantined(self.folder / "runs") == []
        assert violations(self.run_dir) == []

    def unlike(self) -> list[str]:
        """What is not as it was, apart from the times of directories."""
        return [str(d) for d in compare(self.before, self.look()) if d.attribute not in MOVES_BY_ITSELF]

    def app_status(self) -> int:
        command = ["sh", f"{self.root}/usr/bin/app-status"]
        return subprocess.run(command, env={**os.environ, "ROOT": str(self.root)}, check=False).returncode


@pytest.fixture
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def world(state_folder: Path) -> World:
    return World(state_folder)


def fill(folder: Path) -> Path:
    """Leave no byte free on the file system of a folder; return the file that takes them."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while file.write(b"\0" * 4096):
            pass
    return ballast


def use_up_inodes(folder: Path) -> Path:
    """Leave no inode free on the file system of a folder; return the folder that takes them."""
    ballast = folder / "ballast"
    ballast.mkdir()
    number = 0
    with suppress(OSError):
        while True:
            (ballast / str(number)).touch()
            number += 1
    return ballast


def free(ballast: Path) -> None:
    shutil.rmtree(ballast) if ballast.is_dir() else ballast.unlink()


# ---- no space (F8, F9, F10) ----------------------------------------------------------------------------------------


def full_run_folder(folder: Path, step: Step) -> World:
    """Drill with a run folder that is full from this step on, require what that ends with, and make room."""
    runs = folder / "runs"
    runs.mkdir(mode=0o700)
    mount_tmpfs(runs, "size=2m,mode=0700")
    world = World(folder)
    code = Exit.QUARANTINED if step in STEPS[STEPS.index(Step.RESTORE) :] else Exit.INCOMPLETE
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


@pytest.mark.parametrize("exhaust", [fill, use_up_inodes])
def test_no_space_on_the_backup_store_keeps_the_endpoint(state_folder: Path, exhaust: Callable[[Path], Path]) -> None:
    def fault() -> None:
        world = World(state_folder)
        world.backups.mkdir(mode=0o700, exist_ok=True)
        mount_tmpfs(world.backups, "size=64k,nr_inodes=20,mode=0700")
        exhaust(world.backups)
        world.require_untouched(world.drill(), Exit.BACKUP)

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
    world.require_untouched(world.drill(authorized=authorized), Exit.INCOMPLETE)


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
