"""Drills of directories from what an owner has, or a tool keeps: what is lost is told, in the right test."""

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pytest
import yaml

from selftests.support.drills import Drilled, run_redrill
from selftests.support.repository_makers import PASSWORD, VARIABLE, make_restic
from selftests.support.trees import root_of, tree_fleet

OAK = "oak-1"
LOSSES = "test_backup_keeps_what_was_there[oak-1]"
NEXT = "--redrill-endpoint=oak-1"


class Orchard:
    """A fleet of directories whose file says what a test wants, and nothing of canaries: they would be in backups."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.root = folder, root_of(folder, OAK)
        self.file = tree_fleet(folder)
        self._data: dict[str, Any] = yaml.safe_load(self.file.read_text())
        del self._data["roles"]["app"]["applications"]["app"]["canary"]

    def application(self, name: str, canary: dict[str, Any]) -> dict[str, Any]:
        """What all endpoints say to have the application, besides what their role says, with this canary."""
        checked = next(iter(self._data["roles"]["app"]["applications"].values()))
        return {"applications": {name: {**checked, "canary": canary}}}

    def drill(self, guards: dict[str, Any] | None = None, **says: Any) -> Drilled:
        data = json.loads(json.dumps(self._data))
        data["defaults"] |= {"file_canaries": [], **says}
        data["guards"] |= guards or {}
        self.file.write_text(json.dumps(data))
        return run_redrill(self.file, self.folder / "reports", "--redrill-mode=replace", NEXT)


@pytest.fixture
def orchard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Orchard:
    monkeypatch.setenv(VARIABLE, PASSWORD)
    return Orchard(tmp_path)


def test_what_a_tool_does_not_keep_is_red_in_its_own_test_unless_it_is_accepted(orchard):
    link = orchard.root / "home/link"
    link.symlink_to("nowhere")
    os.link(link, link.with_name("same"), follow_symlinks=False)
    repository = {"kind": "restic", **make_restic(orchard.folder)}
    repository["repository"] = str(orchard.folder / "repository")
    drilled = orchard.drill(repository=repository)
    assert drilled.red == {LOSSES}, drilled.output
    assert "repository 'restic'" in drilled.output
    assert "/home/link" in drilled.output
    (warning,) = drilled.records[OAK]["snapshot"]["warnings"]
    assert warning.startswith("the backup does not keep hard links: 2 paths")
    os.link(link, link.with_name("another"), follow_symlinks=False)
    rule = {"promise": "backed up files", "kind": "hard links", "subject": "/home/**", "reason": "nobody needs them"}
    assert orchard.drill(repository=repository, ignore=[rule]).status == 0


def test_the_newest_backup_that_is_there_is_restored_and_what_came_later_is_lost_by_design(orchard):
    first = orchard.drill()
    assert first.status == 0, first.output
    (orchard.root / "home/later").touch()
    drilled = orchard.drill(backup={"snapshot": {"latest": True}})
    assert drilled.status == 0, drilled.output
    record = drilled.records[OAK]
    assert record["snapshot"]["id"] == first.records[OAK]["snapshot"]["id"]
    assert record["snapshot"]["is_own"] is False
    assert "1 new" in record["snapshot"]["warnings"][-1]
    assert not (orchard.root / "home/later").exists()
    assert drilled.outcomes["test_survivors_in_the_state_paths_came_back[oak-1]"] == "skipped"
    assert drilled.outcomes["test_stains_outside_the_state_paths_are_gone[oak-1]"] == "passed"


UNFIT = (
    ({"id": "20200101"}, {}, "has no snapshot with the id '20200101' ('backup.snapshot')"),
    ({"before": "1d"}, {}, "has no snapshot older than 1d"),
    ({"latest": True}, {"backup_valid": "1ms"}, "longer than 1ms ago ('guards.backup_valid')"),
)


def test_without_one_that_fits_and_is_young_enough_nothing_is_wiped(orchard):
    assert orchard.drill().status == 0
    boot = (orchard.root / "run/boot-id").read_text()
    for choice, guards, words in UNFIT:
        drilled = orchard.drill(guards, backup={"snapshot": choice})
        assert drilled.status == 12, drilled.output
        assert words in drilled.records[OAK]["failure"]["message"]
    assert (orchard.root / "run/boot-id").read_text() == boot


def test_what_an_earlier_drill_had_written_when_a_backup_was_made_is_none_of_a_later_one(orchard):
    database = orchard.root / "var/lib/app/shop.db"
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER)")
    shop = orchard.application("shop", {"kind": "sqlite", "path": "/var/lib/app/shop.db"})
    first = orchard.drill(file_canaries=["/home", "/var"], **shop)
    assert first.status == 0, first.output
    drilled = orchard.drill(file_canaries=["/home", "/var"], backup={"snapshot": {"latest": True}}, **shop)
    assert (drilled.red, drilled.status) == (set(), 0), drilled.output
    record = drilled.records[OAK]
    assert record["snapshot"]["id"] == first.records[OAK]["snapshot"]["id"]
    assert {name: (each["altered"], each["survived"]) for name, each in record["canaries"].items()} == dict.fromkeys(
        ["append /home", "append /var", "rename /home", "rename /var", "shop"], ([], 0)
    )
    assert list(orchard.root.rglob("*redrill*")) == []
    with sqlite3.connect(database) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]
