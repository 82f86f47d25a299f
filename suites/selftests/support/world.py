"""One endpoint in a world of its own, to which harm is done at any moment of its drill."""

import os
import shutil
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from redrill.drill.authorize import Authorized
from redrill.drill.engine import resume_drill, run_drill
from redrill.drill.resume import find_quarantined
from redrill.errors import Exit
from redrill.loader import load_fleet
from redrill.machine.walker import walk
from redrill.model.fleet import Fleet
from redrill.model.manifest import Manifest, compare
from redrill.model.record import DrillRecord, Phase, Step
from redrill.model.values import STATE_PATHS, Mode
from selftests.support.engine import authorize_one
from selftests.support.history import violations
from selftests.support.trees import TREE_FLEET, root_of, tree_fleet

ENDPOINT = "oak-1"
MOVES_BY_ITSELF = ("mtime_ns",)


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
        shutil.copytree(TREE_FLEET.parents[1] / "images/tree", self.image, symlinks=True)
        file = tree_fleet(folder)
        text = file.read_text().replace(str(TREE_FLEET.parents[1] / "images/tree"), str(self.image))
        text = text.replace("guards:", f"guards:\n  kill_switch: {{file: '{self.kill_switch}'}}", 1)
        file.write_text(text)
        self.fleet: Fleet = load_fleet(file)
        self.remember()

    def change(self, old: str, new: str) -> None:
        """Have the fleet file say something else."""
        file = self.fleet.source
        text = file.read_text()
        assert old in text
        file.write_text(text.replace(old, new))
        self.fleet = load_fleet(file)

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
        (record,) = resume_drill(self.fleet, self.run_dir, Injector(), Authorized(()))
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
