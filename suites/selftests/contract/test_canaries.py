"""Writers of numbered writes on endpoints that are directories: each kind that needs no server, and what harms them."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from redrill.drill.canaries import Canaries
from redrill.drill.canary_log import FILE
from redrill.drill.outage import clock_now
from redrill.errors import MachineError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Endpoint
from redrill.model.recovery import CanaryResult

RUN = "20260101T000000Z-0001"
NUMBERS = {"write": 'echo "$REDRILL_CANARY" >>"$ROOT/var/numbers"', "read": 'cat "$ROOT/var/numbers"'}
LINES = {"write": 'echo "$REDRILL_CANARY_LINE" >>"$ROOT/var/lines"', "read": 'cat "$ROOT/var/lines"'}
CANARIES: dict[str, Any] = {
    "database": {"kind": "sqlite", "path": "/var/lib/shop.db"},
    "numbers": {**NUMBERS, "clear": 'rm "$ROOT/var/numbers"'},
    "lines": {**LINES, "clear": 'rm "$ROOT/var/lines"'},
    "own-folder": {"kind": "append", "folder": "/var/lib/shop"},
}
for _canary in CANARIES.values():
    _canary["interval"] = "5ms"


def soon() -> Deadline:
    return Deadline.after(30)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    for folder in ("home", "etc", "var/lib/shop"):
        (root / folder).mkdir(parents=True)
    with sqlite3.connect(root / "var/lib/shop.db") as database:
        database.execute("CREATE TABLE orders (number INTEGER)")
    return root


@contextmanager
def writing(machine: Machine, folder: Path, **settings: Any) -> Iterator[Canaries]:
    canaries = Canaries(Endpoint(name="oak-1", **settings), RUN, folder)
    try:
        canaries.start(machine, soon())
        yield canaries
    finally:
        canaries.end()
        canaries.join()


def wait_for_writes(canaries: Canaries, name: str, number: int = 3) -> None:
    count = len(canaries.log.written(name)) + number
    wait_until(lambda _is_last_try: len(canaries.log.written(name)) >= count or None, soon(), interval=0.01)


def read(canaries: Canaries, machine: Machine, taken: datetime | None = None) -> dict[str, CanaryResult]:
    return canaries.read_back(machine, taken or clock_now(), clock_now(), ())


def test_every_kind_stores_what_is_read_back_whole_and_leaves_nothing(tmp_path: Path, root: Path) -> None:
    machine = LocalMachine("oak-1", root)
    before = threading.active_count()
    with writing(machine, tmp_path, canaries=CANARIES) as canaries:
        for name in ("append /home", *CANARIES):
            wait_for_writes(canaries, name)
    assert threading.active_count() == before
    results = read(canaries, machine)
    assert set(results) == {"append /home", "rename /home", "append /var", "rename /var", *CANARIES}
    for result in results.values():
        assert result.written == result.survived > 0
        assert (result.loss, result.lost_before_backup, result.altered, result.unknown) == (0.0, (), (), None)
    assert [name for name, each in results.items() if not each.shows_alterations] == ["numbers"]
    assert canaries.clear(machine, soon()) == {}
    assert sorted(path.name for path in root.rglob("*")) == ["etc", "home", "lib", "shop", "shop.db", "var"]
    with sqlite3.connect(root / "var/lib/shop.db") as database:
        assert database.execute("SELECT name FROM sqlite_master").fetchall() == [("orders",)]


def test_what_was_acknowledged_is_known_to_another_process(tmp_path: Path, root: Path) -> None:
    with writing(LocalMachine("oak-1", root), tmp_path) as canaries:
        wait_for_writes(canaries, "rename /var")
    with (tmp_path / FILE).open("a") as file:
        file.write("rename /var\t99")  # the controller died while it wrote
    again = Canaries(Endpoint(name="oak-1"), RUN, tmp_path)
    seen = [(write.number, round(write.acknowledged.timestamp(), 3)) for write in again.log.written("rename /var")]
    known = canaries.log.written("rename /var")
    assert seen == [(write.number, round(write.acknowledged.timestamp(), 3)) for write in known]
    assert (tmp_path / FILE).stat().st_mode & 0o077 == 0


def test_a_first_write_that_is_refused_says_why(tmp_path: Path, root: Path) -> None:
    refused = {"a": {"write": "echo no room >&2; exit 3", "read": "true"}}
    with (
        pytest.raises(MachineError, match="first canary write to 'a' failed: no room"),
        writing(LocalMachine("oak-1", root), tmp_path, canaries=refused),
    ):
        pass


def test_a_database_that_is_not_there_is_not_made(tmp_path: Path, root: Path) -> None:
    wrong = {"a": {"kind": "sqlite", "path": "/var/lib/other.db"}}
    with (
        pytest.raises(MachineError, match=r"/var/lib/other.db is no database"),
        writing(LocalMachine("oak-1", root), tmp_path, canaries=wrong),
    ):
        pass
    assert not (root / "var/lib/other.db").exists()


def test_a_refused_write_is_followed_by_the_next(tmp_path: Path, root: Path) -> None:
    picky = {"a": {**NUMBERS, "write": f'test ! -e "$ROOT/stop" && {NUMBERS["write"]}', "interval": "5ms"}}
    with writing(LocalMachine("oak-1", root), tmp_path, canaries=picky) as canaries:
        (root / "stop").touch()
        wait_for_writes(canaries, "append /home")
        (root / "stop").unlink()
        wait_for_writes(canaries, "a")
    numbers = [write.number for write in canaries.log.written("a")]
    assert numbers[-1] - numbers[0] > len(numbers) - 1, "no write was refused, or its number was used again"
    assert read(canaries, LocalMachine("oak-1", root))["a"].loss == 0.0


class BreakingMachine(LocalMachine):
    """Its first channels end by themselves."""

    breaks = 2

    def receive(self, command: str, *words: Any) -> AbstractContextManager[Iterator[bytes]]:
        self.breaks -= 1
        twice = 'count=0; read() { count=$((count + 1)); [ "$count" -le 2 ] && command read "$@"; }'
        return super().receive(f"{twice}\n{command}\nexit 1" if self.breaks >= 0 else command, *words)


def test_a_channel_that_breaks_is_opened_anew(tmp_path: Path, root: Path) -> None:
    machine = BreakingMachine("oak-1", root)
    with writing(machine, tmp_path) as canaries:
        wait_for_writes(canaries, "append /var", 6)
    assert machine.breaks < 0
    numbers = [write.number for write in canaries.log.written("append /var")]
    assert numbers == sorted(set(numbers))
    assert read(canaries, machine)["append /var"].lost_before_backup == ()


def test_who_is_held_writes_nothing_until_it_goes_on(tmp_path: Path, root: Path) -> None:
    with writing(LocalMachine("oak-1", root), tmp_path, canaries={"a": {**LINES, "interval": "5ms"}}) as canaries:
        canaries.hold(["a"])
        text = (root / "var/lines").read_text()
        wait_for_writes(canaries, "append /home")
        assert (root / "var/lines").read_text() == text
        assert text.count("\n") == len(canaries.log.written("a"))
        canaries.go_on(["a"])
        wait_for_writes(canaries, "a")


@pytest.mark.parametrize(
    ("name", "file"),
    [("append /home", "home/.redrill-canaries/append"), ("rename /var", "var/lib/.redrill-canaries/rename")],
)
def test_what_was_changed_cut_or_removed_is_seen(tmp_path: Path, root: Path, name: str, file: str) -> None:
    machine = LocalMachine("oak-1", root)
    with writing(machine, tmp_path) as canaries:
        wait_for_writes(canaries, name)
    text = (root / file).read_text()
    (root / file).write_text(text[:20] + "0" * 8 + text[28:])
    changed = read(canaries, machine)
    assert [each for each, result in changed.items() if result.altered] == [name]
    assert [each for each, result in changed.items() if result.lost_before_backup] == []
    (root / file).write_text(text[:-30])
    cut = read(canaries, machine)[name]
    assert cut.altered == (len(canaries.log.written(name)),)
    assert cut.survived < cut.written
    (root / file).unlink()
    gone = read(canaries, machine)
    assert [each for each, result in gone.items() if result.lost_before_backup] == [name]


def test_what_cannot_be_read_is_unknown_and_not_lost(tmp_path: Path, root: Path) -> None:
    broken = {"a": {**NUMBERS, "read": "echo on fire >&2; exit 1"}}
    with writing(LocalMachine("oak-1", root), tmp_path, canaries=broken) as canaries:
        pass
    result = read(canaries, LocalMachine("oak-1", root))["a"]
    assert (result.loss, result.lost_before_backup) == (None, ())
    assert "on fire" in (result.unknown or "")


def test_a_writer_that_fell_silent_long_before_the_outage_proves_nothing(tmp_path: Path, root: Path) -> None:
    with writing(LocalMachine("oak-1", root), tmp_path) as canaries:
        pass
    late = datetime.fromtimestamp(clock_now().timestamp() + 60, UTC)
    results = canaries.read_back(LocalMachine("oak-1", root), clock_now(), late, ["append /home"])
    assert "no write was acknowledged in the last 6" in (results["append /home"].unknown or "")
    assert results["rename /home"].unknown is None
