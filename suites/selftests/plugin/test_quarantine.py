"""An endpoint that a drill left wiped belongs to that run alone."""

import shutil
from pathlib import Path

import pytest

from redrill.drill.crash import VARIABLE
from redrill.drill.locks import open_locks
from redrill.drill.resume import find_quarantined
from redrill.lab.lab import up
from redrill.loader import load_fleet
from selftests.support.drills import run_pytest
from selftests.support.orchard import SUITES, Orchard, plant_orchard, redeploys

ONLY = "--redrill-endpoint=oak-1"


def test_a_resume_brings_it_back_whatever_the_guards_say_of_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted = plant_orchard(tmp_path)
    planted.edit("waves: {canary: 0, size: 3", "waves: {canary: 1, size: 3")
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, "oak-1:redeploy:done")
        died = planted.drill(tmp_path / "reports")
    assert died.status == 137, died.output
    assert died.folder
    # Nobody says the environment this time, as a run that wipes must.
    resumed = run_pytest(tmp_path / "reports", *SUITES, f"--redrill-resume={died.folder}")
    assert resumed.status == 10, resumed.output
    assert find_quarantined(tmp_path / "reports/runs") == []
    assert planted.boots == {"oak-1": 1}
    assert "test_application_is_healthy[oak-1-app]" in resumed.tests("passed")


@pytest.fixture
def orchard(tmp_path: Path) -> Orchard:
    planted = plant_orchard(tmp_path)
    (planted.root("oak-1") / "etc/rc.start/99-fail").write_text("exit 1\n")
    return planted


def test_no_other_run_gets_it_until_the_lab_makes_it_anew(orchard: Orchard, tmp_path: Path) -> None:
    broken = orchard.drill(tmp_path / "first", ONLY)
    assert broken.folder
    assert broken.status == 14, broken.output

    refused = orchard.drill(tmp_path / "second", ONLY)
    assert refused.status == 11, refused.output
    assert f"quarantined by run '{broken.folder.name}'" in refused.records["oak-1"]["failure"]["message"]
    assert not redeploys(refused)

    shutil.rmtree(orchard.root("oak-1"))
    up(load_fleet(orchard.fleet), print)
    drilled = orchard.drill(tmp_path / "third", ONLY)
    assert drilled.status == 0, drilled.output
    owner = open_locks(load_fleet(orchard.fleet)).read(str(orchard.root("oak-1")))
    assert owner is not None
    assert drilled.folder is not None
    assert (owner.run, owner.recovery, owner.released is not None) == (drilled.folder.name, "", True)
