"""A controller that dies at a chosen moment of the drill of a real endpoint: the resume ends as if it had not."""

import json
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from redrill.drill.crash import VARIABLE
from redrill.drill.journal import read_journal
from redrill.loader import load_fleet
from redrill.model.fleet import Fleet
from selftests.support.drills import Drilled, resume_run, run_redrill
from selftests.support.labs import lab_fleet, provisioner_of, run_on, standing

CRASHES = int(os.environ.get("REDRILL_SELFTEST_CRASHES", "4"))
"""How many of the points are tried, from the first on; each takes about twelve seconds."""

POINTS = (
    "redeploy:done",
    "restore:done",
    "arm:done",
    "settle:done",
    "back-up:done",
    "redeploy:before",
    "redeploy:after",
    "restore:before",
    "restore:after",
    "verify-restore:done",
    "settle:before",
    "release:done",
)
ENDPOINT = "kv-1"
REDIS = "REDISCLI_AUTH=$(cat /etc/shop/redis-password) redis-cli -e"


@pytest.fixture(scope="module")
def dozen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A key-value store and the sink that it logs to."""
    folder = tmp_path_factory.mktemp("dozen")
    file = lab_fleet(folder, "dozen", "198.18.82")
    document = yaml.safe_load(file.read_text())
    document["endpoints"] = {name: document["endpoints"][name] for name in (ENDPOINT, "logs-1")}
    file.write_text(json.dumps(document, indent=1))
    fleet = load_fleet(file)
    with standing(fleet):
        yield fleet


def ask(fleet: Fleet, command: str) -> str:
    return run_on(fleet, ENDPOINT, command).strip()


def destroyed(fleet: Fleet) -> list[Path]:
    """Return what is left of the file systems that the endpoint has had before."""
    return list(provisioner_of(fleet, ENDPOINT).place.lab.trash.glob(f"{ENDPOINT}-*"))


def redeploys(run: Drilled) -> int:
    assert run.folder
    events = read_journal(run.folder / "journal.jsonl")
    return sum(event["event"] == "outcome" and event["step"] == "redeploy" for event in events)


@pytest.mark.parametrize("point", POINTS[:CRASHES])
def test_a_drill_that_died_here_is_finished_by_a_resume(
    dozen: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    value = secrets.token_hex(16)
    ask(dozen, f"{REDIS} -n 2 SET point {value} && mkdir -p /home/shop && echo {value} >/home/shop/point")
    boot_id = ask(dozen, "cat /proc/sys/kernel/random/boot_id")
    for tree in destroyed(dozen):
        shutil.rmtree(tree)

    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, point)
        died = run_redrill(dozen.source, tmp_path / "reports", "--redrill-mode=replace")
    assert (died.status, died.verdict) == (137, {}), died.output
    assert died.folder
    run = resume_run(died.folder, tmp_path / "reports")

    assert (run.status, run.verdict["decision"]) == (0, "APPROVE"), run.output
    assert (redeploys(run), len(destroyed(dozen))) == (1, 1), "it was not destroyed exactly once"
    assert ask(dozen, "cat /proc/sys/kernel/random/boot_id") != boot_id
    assert ask(dozen, f"{REDIS} -n 2 GET point; {REDIS} DBSIZE; cat /home/shop/point").split() == [
        value,
        "50000",
        value,
    ]
    canary = run.records[ENDPOINT]["canaries"]["redis"]
    assert canary["written"] > 0
    assert (canary["survived"], canary["unknown"]) == (canary["written"], None)
