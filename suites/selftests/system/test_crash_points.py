"""A controller that dies at any moment of a drill loses nothing: the run is resumed and ends as if it had not died."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from redrill.drill.authorize import Authorized
from redrill.drill.checkpoint import read_checkpoint
from redrill.drill.crash import MOMENTS, VARIABLE
from redrill.drill.engine import resume_drill, run_drill
from redrill.drill.progress import LineProgress
from redrill.drill.resume import find_quarantined
from redrill.drill.stages import RELOCATE_STAGES, REPLACE_STAGES, STAGES, Stage
from redrill.loader import load_fleet
from redrill.machine.walker import walk
from redrill.model.fleet import Fleet
from redrill.model.manifest import compare
from redrill.model.record import Step
from redrill.model.values import STATE_PATHS, Mode
from redrill.provisioners.tree import TreeProvisioner
from selftests.support.children import in_child
from selftests.support.engine import authorize_one
from selftests.support.history import violations
from selftests.support.trees import root_of, tree_fleet

ENDPOINT = "oak-1"
NEW_HOST = "oak-1b"


def points(stages: Sequence[Stage], moments: Sequence[str] = MOMENTS) -> list[str]:
    return [f"{stage.step.value.replace(' ', '-')}:{moment}" for stage in stages for moment in moments]


# What comes before the first step that takes the endpoint down is the same in every mode; what comes after it is tried
# at the moment when the work is done and nobody knows it.
OF_THE_NEW_HOST = RELOCATE_STAGES[[stage.step for stage in RELOCATE_STAGES].index(Step.STOP) + 1 : -1]
POINTS = [
    *((Mode.REPLACE, point) for point in points(REPLACE_STAGES)),
    *((Mode.RELOCATE, f"{step}:{moment}") for step in ("stop", "hand-back") for moment in MOMENTS),
    *((Mode.RELOCATE, point) for point in points(OF_THE_NEW_HOST, ["done"])),
    *((Mode.VANILLA, f"vanilla:{moment}") for moment in MOMENTS),
    (Mode.VANILLA, "redeploy:done"),
]
REBUILDS = {Mode.REPLACE: 1, Mode.RELOCATE: 1, Mode.VANILLA: 2}
MOVES_BY_ITSELF = ("mtime_ns",)


@pytest.fixture
def orchard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Fleet:
    """One endpoint that is a directory; every copy of its image is counted in a file, whichever process makes it."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    fleet = load_fleet(tree_fleet(tmp_path))
    copies, copy_image = tmp_path / "copies", TreeProvisioner._copy_image

    def count(self: TreeProvisioner) -> None:
        with copies.open("a") as file:
            file.write(f"{os.getpid()}\n")
        copy_image(self)

    monkeypatch.setattr(TreeProvisioner, "_copy_image", count)
    return fleet


def drill(fleet: Fleet, run_dir: Path, mode: Mode) -> None:
    authorized, progress = authorize_one(fleet, ENDPOINT, mode), LineProgress(sys.stdout)
    run_drill(fleet, (fleet.endpoint(ENDPOINT),), mode, run_dir, progress, authorized=authorized)


@pytest.mark.parametrize(("mode", "point"), POINTS)
def test_a_drill_that_died_here_is_finished_by_a_resume(
    mode: Mode, point: str, orchard: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, root = tmp_path / "runs/20260101T000000Z-0001", root_of(tmp_path, ENDPOINT)
    run_dir.mkdir(parents=True, mode=0o700)
    before = walk(root, STATE_PATHS)
    monkeypatch.setenv(VARIABLE, point)
    assert in_child(lambda: drill(orchard, run_dir, mode)) == 137
    monkeypatch.delenv(VARIABLE)

    checkpoint = read_checkpoint(run_dir, ENDPOINT)
    was_wiped = checkpoint is not None and checkpoint.is_quarantined
    assert [each.endpoint for each in find_quarantined(tmp_path / "runs")] == [ENDPOINT] * was_wiped
    authorized = Authorized(()) if was_wiped else authorize_one(orchard, ENDPOINT, mode)
    records = resume_drill(orchard, run_dir, LineProgress(sys.stdout), authorized)

    is_over = point == f"{points(STAGES[mode])[-1]}" and not records
    assert is_over or [record.failure for record in records] == [None]
    for spans in (record.timeline for record in records):
        assert [span.started for span in spans] == [0.0, *(span.ended for span in spans)][: len(spans)]
    after = walk(root, STATE_PATHS)
    assert [d for d in compare(before, after) if d.attribute not in MOVES_BY_ITSELF] == []
    assert len((tmp_path / "copies").read_text().splitlines()) == REBUILDS[mode], "it was not rebuilt as often as meant"
    assert not root_of(tmp_path, NEW_HOST).exists()
    assert find_quarantined(tmp_path / "runs") == []
    assert violations(run_dir) == []
