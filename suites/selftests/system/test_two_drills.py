"""Two drills of one endpoint at the same moment: one destroys and restores, the other is turned away."""

import os
import sys
from pathlib import Path

import pytest

from redrill.drill.engine import run_drill
from redrill.drill.evidence import read_record
from redrill.drill.progress import LineProgress
from redrill.errors import Exit
from redrill.loader import load_fleet
from redrill.model.fleet import Fleet
from redrill.model.values import Mode
from redrill.provisioners.tree import TreeProvisioner
from selftests.support.engine import authorize_one
from selftests.support.history import violations
from selftests.support.trees import tree_fleet

TRIES = 50
ENDPOINT = "oak-1"


def drill_at_the_signal(fleet: Fleet, run_dir: Path, gate: int) -> int:
    """Drill in a child process as soon as the gate opens; return the child's id."""
    run_dir.mkdir(parents=True, mode=0o700)
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        authorized = authorize_one(fleet, ENDPOINT)
        os.read(gate, 1)
        endpoints = (fleet.endpoint(ENDPOINT),)
        run_drill(fleet, endpoints, Mode.REPLACE, run_dir, LineProgress(sys.stdout), authorized=authorized)
        failure = read_record(run_dir, ENDPOINT).failure
        status = failure.exit_code if failure else 0
    finally:
        os._exit(status)


def test_one_destroys_and_the_other_is_turned_away(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    fleet = load_fleet(tree_fleet(tmp_path))
    copies, copy_image = tmp_path / "copies", TreeProvisioner._copy_image

    def count(self: TreeProvisioner) -> None:
        with copies.open("a") as file:
            file.write("one\n")
        copy_image(self)

    monkeypatch.setattr(TreeProvisioner, "_copy_image", count)
    for number in range(TRIES):
        entrance, gate = os.pipe()
        runs = [tmp_path / f"runs/20260101T0000{number:02d}Z-{which}" for which in "ab"]
        children = [drill_at_the_signal(fleet, run, entrance) for run in runs]
        os.write(gate, b"go")
        ends = sorted(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)
        os.close(entrance)
        os.close(gate)
        assert ends == [0, Exit.BUSY], f"try {number}"
        assert [violations(run) for run in runs] == [[], []]
    assert len(copies.read_text().splitlines()) == TRIES
