"""An endpoint that a drill left wiped belongs to that run alone."""

import shutil
from pathlib import Path

import pytest

from redrill.drill.locks import open_locks
from redrill.lab.lab import up
from redrill.loader import load_fleet
from selftests.support.orchard import Orchard, plant_orchard, redeploys

ONLY = "--redrill-endpoint=oak-1"


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
