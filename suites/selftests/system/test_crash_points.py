"""A controller that dies at any moment of a drill loses nothing: the run is resumed and ends as if it had not died."""

import os
import sys
from pathlib import Path

import pytest

from redrill.drill.checkpoint import read_checkpoint
from redrill.drill.crash import MOMENTS, VARIABLE
from redrill.drill.engine import REPLACE_STAGES, resume_drill, run_drill
from redrill.drill.progress import LineProgress
from redrill.drill.resume import find_quarantined
from redrill.loader import load_fleet
from redrill.machine.walker import walk
from redrill.model.fleet import Fleet
from redrill.model.manifest import compare
from redrill.model.values import STATE_PATHS, Mode
from redrill.provisioners.tree import TreeProvisioner
from selftests.support.children import in_child
from selftests.support.engine import authorize_one
from selftests.support.history import violations
from selftests.support.trees import root_of, tree_fleet

ENDPOINT = "oak-1"
POINTS = [f"{stage.step.value.replace(' ', '-')}:{moment}" for stage in REPLACE_STAGES for moment in MOMENTS]
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


def drill(fleet: Fleet, run_dir: Path) -> None:
    authorized, progress = authorize_one(fleet, ENDPOINT), LineProgress(sys.stdout)
    run_drill(fleet, (fleet.endpoint(ENDPOINT),), Mode.REPLACE, run_dir, progress, authorized=authorized)


@pytest.mark.parametrize("point", POINTS)
def test_a_drill_that_died_here_is_finished_by_a_resume(
    point: str, orchard: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_dir, root = tmp_path / "runs/20260101T000000Z-0001", root_of(tmp_path, ENDPOINT)
    run_dir.mkdir(parents=True, mode=0o700)
    before = walk(root, STATE_PATHS)
    monkeypatch.setenv(VARIABLE, point)
    assert in_child(lambda: drill(orchard, run_dir)) == 137
    monkeypatch.delenv(VARIABLE)

    checkpoint = read_checkpoint(run_dir, ENDPOINT)
    was_wiped = checkpoint is not None and checkpoint.is_quarantined
    assert [each.endpoint for each in find_quarantined(tmp_path / "runs")] == [ENDPOINT] * was_wiped
    permits = {} if was_wiped else authorize_one(orchard, ENDPOINT).permits
    records = resume_drill(orchard, run_dir, LineProgress(sys.stdout), permits)

    is_over = point == "release:after" and not records
    assert is_over or [record.failure for record in records] == [None]
    after = walk(root, STATE_PATHS)
    assert [d for d in compare(before, after) if d.attribute not in MOVES_BY_ITSELF] == []
    assert len((tmp_path / "copies").read_text().splitlines()) == 1, "the endpoint was not destroyed exactly once"
    assert find_quarantined(tmp_path / "runs") == []
    assert violations(run_dir) == []
