"""What numbered writes say of real drills: how much is lost, how data stood still, and what came back otherwise."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from redrill.drill.crash import VARIABLE
from redrill.drill.engine import resume_drill
from redrill.errors import Exit
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.model.record import Step
from selftests.support.children import in_child
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import connect, running_lab
from selftests.support.trees import root_of, tree_fleet
from selftests.support.world import ENDPOINT, Injector, World

LEAD = 5.0
BUSY_SECONDS = 1.0
"""What a machine that has other things to do may need for a write and its answer."""

FILES = ("append /home", "rename /home", "append /var", "rename /var")


def drill_changed(fleet: Path, changes: Mapping[str, Any], reports: Path, *arguments: str) -> Drilled:
    """Drill a fleet whose file says more: changes by the path to what is to be changed, such as 'roles/db'."""
    document = yaml.safe_load(fleet.read_text())
    for path, change in changes.items():
        place = document
        for part in path.split("/"):
            place = place[part]
        place.update(change)
    changed = fleet.with_name(f"{reports.name}.yml")
    changed.write_text(json.dumps(document))
    return run_redrill(changed, reports, "--redrill-mode=replace", *arguments)


def seconds_between(earlier: str, later: str) -> float:
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


# Endpoints that are directories


@pytest.fixture
def hooked(world: World) -> World:
    """A world whose application says, outside of its root, when its backup begins and ends."""
    before, after = (f'echo {word} >>"$ROOT/../hooks"' for word in ("before", "after"))
    world.change("hold: 200ms", f"hold: 200ms\n        quiesce: {{before: '{before}', after: '{after}'}}")
    return world


def hooks_of(world: World) -> list[str]:
    return (world.home / "hooks").read_text().split()


def test_hooks_run_around_the_backup_and_the_record_says_so(hooked: World) -> None:
    record = hooked.drill()
    hooked.require_recovered(record)
    assert hooks_of(hooked) == ["before", "after"]
    assert record.snapshot
    assert record.snapshot.consistency == {"app": "by hooks"}


def test_after_a_backup_that_fails_the_hook_runs_and_the_endpoint_is_as_it_was(hooked: World) -> None:
    def spoil() -> None:
        hooked.backups.mkdir(exist_ok=True)
        (hooked.backups / ENDPOINT).write_text("no folder")

    record = hooked.drill(Step.BACK_UP, spoil)
    assert hooks_of(hooked) == ["before", "after"]
    hooked.require_untouched(record, Exit.BACKUP)


def test_after_a_hook_that_fails_half_way_its_counterpart_runs(hooked: World) -> None:
    hooked.change('before >>"$ROOT/../hooks"', 'before >>"$ROOT/../hooks"; exit 3')
    record = hooked.drill()
    assert hooks_of(hooked) == ["before", "after"]
    hooked.require_untouched(record, Exit.INCOMPLETE)


def test_a_hook_that_does_not_take_it_back_is_told_as_what_was_left_behind(hooked: World) -> None:
    hooked.change('after >>"$ROOT/../hooks"', "broken >&2; exit 4")
    record = hooked.drill()
    assert record.failure
    assert record.failure.exit_code is Exit.CLEANUP
    assert "the command 'after' of 'app' ended with status 4: broken" in record.failure.message
    assert record.wiped_at is None


def test_a_drill_that_was_killed_between_the_hooks_takes_it_back_when_it_is_resumed(hooked: World) -> None:
    hooked.change('before >>"$ROOT/../hooks"', 'before >>"$ROOT/../hooks"; kill -9 $PPID')
    assert in_child(hooked.drill) == -9
    assert hooks_of(hooked) == ["before"]
    assert resume_drill(hooked.fleet, hooked.run_dir, Injector(), {}) == []
    assert hooks_of(hooked) == ["before", "after"]
    hooked.require_as_it_was()


def test_a_resumed_drill_knows_what_was_written_before_its_controller_died(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv(VARIABLE, "redeploy:done")
        assert in_child(world.drill) == 137
    record = world.resume()
    world.require_recovered(record)
    for name, result in record.canaries.items():
        assert (result.unknown, result.lost_before_backup, result.altered) == (None, (), ()), name
        assert result.written >= result.survived > 0
    assert list(world.root.rglob(".redrill-*")) == []


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory: pytest.TempPathFactory) -> Drilled:
    """Three endpoints of which one changes a write when it boots, one drops one, and one may lose nothing."""
    folder = tmp_path_factory.mktemp("spoilt")
    fleet = tree_fleet(folder)
    file = '"$ROOT/home/.redrill-canaries/append"'
    faults = {"oak-1": f"[ ! -e {file} ] || sed -i '1s/ [0-9a-f]/ x/2' {file}", "elm-1": f"sed -i 1d {file}; true"}
    for name, fault in faults.items():
        (root_of(folder, name) / "etc/rc.start/10-fault").write_text(f"{fault}\n")
    strict = {"endpoints/ash-1": {"objectives": {"rto": "30s", "rpo": "1ms"}}}
    return drill_changed(fleet, strict, folder / "reports")


def test_each_way_to_lose_data_turns_exactly_its_test_red(spoilt: Drilled) -> None:
    assert spoilt.red == {
        "test_no_write_came_back_altered[oak-1]",
        "test_no_acknowledged_write_to_files_is_lost[elm-1]",
        "test_loss_is_within_its_objective[ash-1]",
    }, spoilt.output
    assert spoilt.status == Exit.REJECT
    assert "append /home: 1, of" in spoilt.output


# Real systems


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    with running_lab(tmp_path_factory.mktemp("canaries"), "selftest-canaries", "198.18.41") as fleet:
        yield fleet


@pytest.fixture(scope="module")
def led(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Drilled:
    """A drill of all endpoints that go on working for a while between the backup and the wipe."""
    lead = {"defaults": {"backup": {"lead": f"{LEAD:g}s"}}}
    return drill_changed(fleet.source, lead, tmp_path_factory.mktemp("led"))


@pytest.mark.parametrize(
    ("name", "state_class"),
    [("web-1", "shop"), ("db-1", "postgresql"), ("kv-1", "redis"), *(("kv-1", each) for each in FILES)],
)
def test_the_measured_loss_is_the_time_from_the_backup_to_the_wipe(led: Drilled, name: str, state_class: str) -> None:
    assert led.status == 0, led.output
    record = led.records[name]
    canary, (back_up,) = record["canaries"][state_class], [p for p in record["phases"] if p["step"] == "back up"]
    assert (canary["unknown"], canary["lost_before_backup"], canary["altered"]) == (None, [], [])
    since_backup = seconds_between(record["snapshot"]["taken"], record["outage_at"])
    assert since_backup > LEAD
    # Nothing is written while an application stops; a file may be copied at any time until the backup is made.
    still = seconds_between(back_up["started"], record["snapshot"]["taken"]) if canary["application"] else 0.0
    copied = 0.0 if canary["application"] else seconds_between(record["snapshot"]["taken"], back_up["ended"])
    assert (
        since_backup - copied - BUSY_SECONDS < canary["loss"] < since_backup + still + canary["interval"] + BUSY_SECONDS
    )


def test_applications_were_paused_and_their_writes_went_on_until_the_wipe(led: Drilled) -> None:
    for name, application in (("web-1", "shop"), ("db-1", "postgresql"), ("kv-1", "redis")):
        record = led.records[name]
        assert record["snapshot"]["consistency"] == {application: "paused"}
        canary = record["canaries"][application]
        assert canary["written"] > canary["survived"] > 0
        assert seconds_between(canary["last_written"], record["outage_at"]) < canary["interval"] + BUSY_SECONDS


@pytest.fixture(scope="module")
def frozen(fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Drilled:
    """A drill of busy databases whose processes only stand still while they are backed up."""
    load = "CREATE TABLE busy (n bigint); INSERT INTO busy SELECT generate_series(1, 1000)"
    more = "INSERT INTO busy SELECT generate_series(1, 1000)"
    psql = "PGPASSFILE=/etc/shop/pgpass psql -qh 127.0.0.1 -U shop shop"
    ask(
        fleet,
        "db-1",
        f"{psql} -c '{load}'; systemd-run --quiet sh -c \"while {psql} -c '{more}'; do sleep 0.05; done\"",
    )
    ways = {
        "roles/db/applications/postgresql": {"quiesce": "freeze"},
        "roles/kv/applications/redis": {"quiesce": "freeze"},
    }
    chosen = ("--redrill-endpoint=db-1", "--redrill-endpoint=kv-1")
    return drill_changed(fleet.source, ways, tmp_path_factory.mktemp("frozen"), *chosen)


def ask(fleet: Fleet, name: str, command: str) -> str:
    machine = connect(fleet, name)
    try:
        return machine.run(command, Deadline.after(60)).checked().text
    finally:
        machine.close()


@pytest.mark.parametrize(("name", "application"), [("db-1", "postgresql"), ("kv-1", "redis")])
def test_a_busy_database_recovers_from_a_crash_consistent_backup(frozen: Drilled, name: str, application: str) -> None:
    record = frozen.records[name]
    assert record["failure"] is None, frozen.output
    assert record["snapshot"]["consistency"] == {application: "crash-consistent"}
    assert record["applications"][application]["healthy"], frozen.output
    canary = record["canaries"][application]
    assert (canary["unknown"], canary["lost_before_backup"], canary["altered"]) == (None, [], [])
    assert canary["written"] > canary["survived"] > 0
    promises = {f"test_no_acknowledged_write_is_lost[{name}-{application}]", f"test_no_write_came_back_altered[{name}]"}
    assert promises <= frozen.tests("passed")


@pytest.mark.parametrize(
    ("name", "log", "words"),
    [
        ("db-1", "/var/log/postgresql/postgresql-15-main.log", ("automatic recovery in progress", "redo starts at")),
        ("kv-1", "/var/log/redis/redis-server.log", ("DB loaded from append only file",)),
    ],
)
def test_its_log_shows_that_it_had_to_recover(
    fleet: Fleet, frozen: Drilled, name: str, log: str, words: tuple[str, ...]
) -> None:
    assert frozen.records[name]["wiped_at"], frozen.output
    text = ask(fleet, name, f"cat {log}")
    assert [word for word in words if word not in text] == []
