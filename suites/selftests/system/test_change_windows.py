"""What cannot end inside its change window is not wiped, also when time has passed since the plan."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from redrill.drill import arm, prepare
from redrill.drill.authorize import authorize
from redrill.drill.planning import Request, make_plan
from redrill.errors import Exit
from redrill.model.record import DrillRecord, Step
from redrill.model.values import Mode
from selftests.support.world import World


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return World(tmp_path)


@pytest.fixture
def now() -> datetime:
    return datetime.now(UTC)


def an_hour(now: datetime) -> list[dict[str, str]]:
    """Return the window of an hour that is open now; the endpoint may be down for half a minute and 200 ms."""
    return [{"from": f"{now:%H:%M}", "to": f"{now + timedelta(hours=1):%H:%M}"}]


def declare(world: World, **guards: object) -> None:
    declared = world.fleet.guards.model_validate({**world.fleet.guards.model_dump(by_alias=True), **guards})
    world.fleet = world.fleet.model_copy(update={"guards": declared})


def at(moment: datetime) -> type[datetime]:
    """Return a clock that stands still."""

    class Stopped(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:  # noqa: ARG003 - it is asked for UTC
            return moment

    return Stopped


def drill_when(world: World, monkeypatch: pytest.MonkeyPatch, module: ModuleType, moment: datetime) -> DrillRecord:
    """Drill with another clock for one phase."""
    authorized = world.authorize()
    monkeypatch.setattr(module, "datetime", at(moment))
    return world.drill(authorized=authorized)


def nearly_an_hour_later(now: datetime, second: int) -> datetime:
    return now.replace(second=second) + timedelta(minutes=59)


@pytest.mark.parametrize("module", [prepare, arm], ids=["before it begins", "before the wipe"])
def test_an_endpoint_for_which_the_time_has_become_too_short_is_kept(
    world: World, now: datetime, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    declare(world, windows=an_hour(now))
    record = drill_when(world, monkeypatch, module, nearly_an_hour_later(now, 45))
    world.require_untouched(record, Exit.GUARD)
    assert record.failure
    assert record.failure.step is (Step.PREFLIGHT if module is prepare else Step.ARM)
    assert "but 'oak-1' may be down for 30s200ms" in record.failure.message


def test_an_endpoint_that_can_be_back_in_time_is_drilled(
    world: World, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    declare(world, windows=an_hour(now))
    world.require_recovered(drill_when(world, monkeypatch, arm, nearly_an_hour_later(now, 15)))


@pytest.mark.parametrize("module", [prepare, arm], ids=["before it begins", "before the wipe"])
def test_a_drill_that_takes_an_endpoint_down_more_than_once_needs_time_for_each(
    world: World, now: datetime, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    declare(world, windows=an_hour(now))
    authorized = authorize(Request(world.fleet, world.fleet.endpoints[:1], Mode.REPLACE, "lab", trials=1))
    monkeypatch.setattr(module, "datetime", at(nearly_an_hour_later(now, 15)))
    record = world.drill(authorized=authorized)
    world.require_untouched(record, Exit.GUARD)
    assert record.failure
    assert "but 'oak-1' may be down for 1m400ms, 30s200ms each time that it has to come up" in record.failure.message


@pytest.mark.parametrize(("mode", "answers"), [(Mode.REPLACE, ["pass"]), (Mode.VANILLA, ["refuse"])])
def test_a_plan_counts_how_often_its_mode_has_an_endpoint_come_up(
    world: World, now: datetime, mode: Mode, answers: list[str]
) -> None:
    declare(world, windows=an_hour(now))
    request = Request(world.fleet, world.fleet.endpoints[:1], mode, "lab")
    plan, _ = make_plan(request, nearly_an_hour_later(now, 15))
    assert [each.state for each in plan.guards if each.name == "change window"] == answers


def test_an_endpoint_that_would_still_be_down_when_a_blackout_begins_is_kept(
    world: World, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    begins = (now + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
    declare(world, blackouts=[{"from": str(begins.date()), "to": str(begins.date()), "reason": "sale"}])
    record = drill_when(world, monkeypatch, arm, begins - timedelta(seconds=10))
    world.require_untouched(record, Exit.GUARD)
    assert record.failure
    assert f"no drills from {begins.date()} (UTC), but 'oak-1' may be down" in record.failure.message
