from collections.abc import Iterator
from pathlib import Path

import pytest

from redrill.model.fleet import Fleet
from selftests.support.labs import running_lab
from selftests.support.world import World


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Iterator[Fleet]:
    """Four endpoints in their Day-1 state; a test that changes one of them for good brings up a lab of its own."""
    number = int(worker_id.removeprefix("gw")) if worker_id.startswith("gw") else 0
    with running_lab(tmp_path_factory.mktemp("lab"), f"selftest-lab-{number}", f"198.18.{200 + number}") as fleet:
        yield fleet


@pytest.fixture
def state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for a world of its own, in which the controller remembers what it has done, too."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def world(state_folder: Path) -> World:
    """One endpoint that is a directory, in a world of its own."""
    return World(state_folder)
