"""What was made still for a backup goes on afterwards, whatever else does not work."""

from pathlib import Path

import pytest

from redrill.drill.bench import Bench
from redrill.drill.checkpoint import read_checkpoint
from redrill.drill.quiesce import go_on, run_hooks_before
from redrill.errors import MachineError
from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline
from redrill.model.values import Mode
from selftests.fleet_samples import parse

FLEET = """
fleet: hooked
endpoints:
  one:
    address: 127.0.0.1
    applications:
      first: {command: {run: 'true'}, quiesce: {before: 'true', after: 'echo first >>"$ROOT/told"'}}
      second: {command: {run: 'true'}, quiesce: {before: 'true', after: 'SECOND'}}
"""


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """An endpoint between its hooks, of which the later one goes back first, and hangs."""
    fleet = parse(FLEET.replace("SECOND", "sleep 60"))
    made = Bench(fleet, fleet.endpoint("one"), Mode.REPLACE, tmp_path / "run")
    made.folder.mkdir(parents=True)
    monkeypatch.setattr(made, "_machine", LocalMachine("one", tmp_path))
    run_hooks_before(made, Deadline.after(10))
    assert made.hooked == ("first", "second")
    return made


def test_a_hook_that_hangs_does_not_keep_the_others_from_being_taken_back(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="stays so: the command 'after' of 'second'"):
        go_on(bench, Deadline.after(2), is_whole=True)
    assert (tmp_path / "told").read_text() == "first\n"
    assert bench.hooked == ("second",)


def test_what_was_taken_back_is_not_taken_back_again_by_a_resume(bench: Bench) -> None:
    with pytest.raises(MachineError):
        go_on(bench, Deadline.after(2), is_whole=True)
    stored = read_checkpoint(bench.run_dir, "one")
    assert stored
    assert stored.hooked == ("second",)
