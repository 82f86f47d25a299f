"""What numbered writes say of real drills: how much is lost, how data stood still, and what came back otherwise."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from redrill.drill import outage
from redrill.drill.authorize import Authorized
from redrill.drill.crash import VARIABLE
from redrill.drill.engine import resume_drill, run_drill
from redrill.errors import Exit
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.model.record import Step
from redrill.model.values import Mode
from selftests.support.children import in_child
from selftests.support.drills import Drilled, drill_changed
from selftests.support.engine import authorize_one
from selftests.support.labs import connect, running_lab
from selftests.support.trees import root_of, tree_fleet
from selftests.support.world import ENDPOINT, Injector, World

LEAD = 5.0
BUSY_SECONDS = 1.0
"""What a machine that has other things to do may need for a write and its answer."""

FILES = ("append /home", "rename /home", "append /var", "rename /var")


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
    assert resume_drill(hooked.fleet, hooked.run_dir, Injector(), Authorized(())) == []
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


def test_the_loss_of_what_is_rebuilt_twice_is_measured_by_one_clock(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since the process began the wall clock has been set forward by 100 s."""
    wall, monotonic = outage._START
    monkeypatch.setattr(outage, "_START", (wall - timedelta(seconds=100), monotonic))
    endpoints, authorized = (world.fleet.endpoint(ENDPOINT),), authorize_one(world.fleet, ENDPOINT, Mode.VANILLA)
    world.run_dir.mkdir(parents=True)
    (record,) = run_drill(world.fleet, endpoints, Mode.VANILLA, world.run_dir, Injector(), authorized=authorized)
    assert record.failure is None
    losses = [each.loss for each in record.canaries.values()]
    assert all(loss is not None and loss < 50 for loss in losses), losses


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


@pytest.mark.parametrize(("quiesce", "wake"), [("pause", "start"), ("freeze", "kill -s CONT")])
def test_a_backup_during_which_something_went_on_is_refused(
    fleet: Fleet, tmp_path: Path, quiesce: str, wake: str
) -> None:
    """The hook of another application is who does not let it stand still."""
    hooks = {"before": f"systemctl {wake} redis-server", "after": "true"}
    kv = "roles/kv/applications"
    changes = {f"{kv}/redis": {"quiesce": quiesce}, kv: {"vandal": {"command": {"run": "true"}, "quiesce": hooks}}}
    drilled = drill_changed(fleet.source, changes, tmp_path / quiesce, "--redrill-endpoint=kv-1")
    assert drilled.status == Exit.BACKUP, drilled.output
    assert "'redis-server.service' did not stand still" in drilled.records["kv-1"]["failure"]["message"]
    machine = connect(fleet, "kv-1")
    assert machine.run("systemctl is-active redis-server", Deadline.after(30)).text == "active"
    machine.close()
