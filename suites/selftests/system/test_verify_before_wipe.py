"""A backup that is spoilt between its making and its check: no endpoint is ever wiped on such a promise."""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyrage
import pytest
import yaml

from redrill.lab.trees import bring_up_tree, trees_of
from redrill.loader import load_fleet
from redrill.model.record import Step
from selftests.support import damaging_backend
from selftests.support.damaging_backend import DAMAGES
from selftests.support.drills import Drilled, run_redrill
from selftests.support.trees import root_of, tree_fleet

SPOILT = sorted(set(DAMAGES) - {"none"})


@dataclass(frozen=True)
class Witness:
    """What only a redeploy changes: the boot id and the directory that is the root."""

    boot_id: str
    inode: int

    @classmethod
    def of(cls, folder: Path, endpoint: str) -> "Witness":
        root = root_of(folder, endpoint)
        return cls((root / "run/boot-id").read_text(), root.stat().st_ino)


@dataclass(frozen=True)
class Outcome:
    """One drill of an orchard in which each endpoint's backup is spoilt in its own way."""

    drilled: Drilled
    folder: Path
    before: dict[str, Witness]


def write_fleet(folder: Path) -> Path:
    base = yaml.safe_load(tree_fleet(folder).read_text())
    identity = pyrage.x25519.Identity.generate()
    for name in ("key.txt", "key-2.txt"):
        (folder / name).write_text(str(identity))
    base["endpoints"] = {}
    for damage in DAMAGES:
        repository: dict[str, object] = {"kind": "damaging", "directory": str(folder / "backups"), "damage": damage}
        if damage.startswith("second"):
            repository["copies"] = [str(folder / "second")]
        if damage.startswith("key"):
            repository["recipients"] = [str(identity.to_public())]
            repository["identity"] = {"file": str(folder / ("key.txt" if damage == "key-gone" else "key-2.txt"))}
        base["endpoints"][damage] = {"role": "app", "repository": repository}
    base["guards"]["limits"]["most_endpoints"] = len(DAMAGES)
    base["guards"]["waves"] = {"canary": 0, "size": len(DAMAGES), "stop_after_failures": len(DAMAGES)}
    file = folder / "spoilt.yml"
    file.write_text(json.dumps(base))
    fleet = load_fleet(file)
    for endpoint in trees_of(fleet):
        bring_up_tree(fleet, endpoint, lambda _line: None)
    return file


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Outcome]:
    folder = tmp_path_factory.mktemp("spoilt")
    damaging_backend.install(folder / "backends")
    with pytest.MonkeyPatch.context() as patch:
        places = (str(folder / "backends"), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, places)))
        patch.syspath_prepend(folder / "backends")
        fleet = write_fleet(folder)
        before = {damage: Witness.of(folder, damage) for damage in DAMAGES}
        yield Outcome(run_redrill(fleet, folder / "reports", "--redrill-mode=replace"), folder, before)


def test_the_run_ends_with_the_status_of_a_backup_that_cannot_be_restored(outcome: Outcome) -> None:
    assert outcome.drilled.status == 12, outcome.drilled.output[-3000:]


def test_the_endpoint_with_a_good_backup_is_wiped_and_comes_back(outcome: Outcome) -> None:
    record = outcome.drilled.records["none"]
    assert record["failure"] is None
    assert Witness.of(outcome.folder, "none") != outcome.before["none"]


@pytest.mark.parametrize("damage", SPOILT)
def test_a_spoilt_backup_stops_the_drill_before_the_wipe(outcome: Outcome, damage: str) -> None:
    record = outcome.drilled.records[damage]
    failure = record["failure"]
    assert (failure["step"], failure["error"], failure["exit_code"]) == (Step.VERIFY_BACKUP.value, "BackupError", 12)
    assert record["wiped_at"] is None
    assert Witness.of(outcome.folder, damage) == outcome.before[damage]


@pytest.mark.parametrize("damage", SPOILT)
def test_no_redeploy_was_even_intended(outcome: Outcome, damage: str) -> None:
    assert outcome.drilled.folder
    lines = map(json.loads, (outcome.drilled.folder / "journal.jsonl").read_text().splitlines())
    steps = {line.get("step") for line in lines if line.get("endpoint") == damage}
    assert Step.VERIFY_BACKUP.value in steps
    assert not steps & {Step.ARM.value, Step.REDEPLOY.value}
