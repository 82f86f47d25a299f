"""Real endpoints whose backups are encrypted and doubled, and whose files have flags that tar does not carry."""

from collections.abc import Iterator

import pyrage
import pytest

from selftests.support.drills import Drilled
from selftests.support.live_labs import LiveLab, live_lab

LAB = "selftest-kept"
PLACE = f"/var/lib/redrill/labs/{LAB}"
PLANT = (
    "echo fixed > /etc/fixed && mkdir -p /home/logs && echo one > /home/logs/grows && "
    "chattr +i /etc/fixed && chattr +a /home/logs/grows"
)
FLAGS = "lsattr -d /etc/fixed /home/logs/grows | cut -d' ' -f1 | tr -d 'e\\n-'"


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    folder = tmp_path_factory.mktemp("kept")
    identity = pyrage.x25519.Identity.generate()
    (folder / "key.txt").write_text(str(identity))
    repository = {
        "kind": "tar",
        "directory": f"{PLACE}/backups",
        "copies": [f"{PLACE}/copies"],
        "recipients": [str(identity.to_public())],
        "identity": {"file": str(folder / "key.txt")},
    }
    endpoints = {
        "bare-1": {"repository": repository},
        "bare-2": {"repository": repository, "restore": "offline"},
    }
    with live_lab(folder, LAB, "198.18.61", endpoints) as lab:
        yield lab


@pytest.fixture(scope="module")
def drilled(kept: LiveLab) -> list[Drilled]:
    """Two drills in a row: the second one has to get rid of files that nobody may change."""
    for name in ("bare-1", "bare-2"):
        kept.run(name, PLANT)
    chosen: dict[str, dict[str, object]] = {"bare-1": {}, "bare-2": {}}
    return [kept.drill(name, chosen) for name in ("first", "second")]


def test_both_ways_of_restoring_are_approved_twice(drilled: list[Drilled]) -> None:
    for each in drilled:
        assert (each.status, each.verdict["decision"]) == (0, "APPROVE"), each.output[-5000:]
        assert [each.records[name]["restored"] for name in ("bare-1", "bare-2")] == ["live", "offline"]


@pytest.mark.parametrize("name", ["bare-1", "bare-2"])
def test_what_nobody_may_change_comes_back_so(kept: LiveLab, drilled: list[Drilled], name: str) -> None:
    assert len(drilled) == 2
    assert kept.run(name, FLAGS) == "ia"
    assert kept.run(name, "rm /etc/fixed 2>&1; cat /etc/fixed; echo two >> /home/logs/grows; cat /home/logs/grows") == (
        "rm: cannot remove '/etc/fixed': Operation not permitted\nfixed\none\ntwo"
    )
