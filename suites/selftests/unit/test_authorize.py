"""A plan is confirmed by its id; whatever is different by then, or was tampered with, is refused and named."""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from redrill.drill import authorize as gate
from redrill.drill.authorize import authorize, remember_plan
from redrill.drill.guards import schedule
from redrill.drill.planning import Plan, Request, make_plan
from redrill.errors import GuardError
from redrill.loader import load_fleet
from redrill.model.fleet import Fleet
from redrill.model.values import Mode
from selftests.support.guarded import guarded_fleet, put_token, token_of, wipe
from selftests.support.trees import root_of

NOW = datetime.now(UTC)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    for module in (gate, schedule):
        monkeypatch.setattr(module, "state_folder", lambda: tmp_path / "state")
    guarded_fleet(tmp_path / "fleet")
    return tmp_path / "fleet"


@pytest.fixture
def fleet(folder) -> Fleet:
    return load_fleet(folder / "tree.yml")


def plan_of(request: Request) -> Plan:
    plan, _ = make_plan(request, NOW)
    assert not plan.against, plan.against
    remember_plan(plan)
    return plan


def refusal(request: Request, confirmed: str | None, now: datetime = NOW) -> str:
    with pytest.raises(GuardError) as caught:
        authorize(request, confirmed, now=now)
    return str(caught.value)


def test_a_confirmed_plan_allows_exactly_its_endpoints_in_its_waves(fleet) -> None:
    plan = plan_of(wipe(fleet, "oak-1", "ash-1"))
    authorized = authorize(wipe(fleet, "oak-1", "ash-1"), plan.id, now=NOW + timedelta(minutes=59))
    assert [[each.name for each in wave] for wave in authorized.waves] == [["oak-1"], ["ash-1"]]
    assert set(authorized.permits) == {"oak-1", "ash-1"}


def test_without_a_confirmation_nothing_is_allowed(fleet) -> None:
    assert "run 'redrill plan', read it, and confirm its id" in refusal(wipe(fleet), None)


def test_a_plan_that_is_too_old_is_refused(fleet) -> None:
    plan = plan_of(wipe(fleet, "oak-1"))
    assert "expired at" in refusal(wipe(fleet, "oak-1"), plan.id, NOW + timedelta(minutes=61))


@pytest.mark.parametrize("confirmed", ["", "yes", "20261122T120000Z", "20261322T120000Z-0123456789abcdef"])
def test_what_is_no_plan_id_is_refused(fleet, confirmed) -> None:
    assert "plan" in refusal(wipe(fleet, "oak-1"), confirmed)


def test_a_plan_of_the_future_is_refused(fleet) -> None:
    plan, _ = make_plan(wipe(fleet, "oak-1"), NOW + timedelta(hours=2))
    assert "made in the future" in refusal(wipe(fleet, "oak-1"), plan.id)


def test_an_id_that_was_moved_to_another_time_is_refused(fleet) -> None:
    plan = plan_of(wipe(fleet, "oak-1"))
    earlier = (NOW - timedelta(minutes=5)).strftime("%Y%m%dT%H%M%SZ")
    assert "knows no such plan" in refusal(wipe(fleet, "oak-1"), f"{earlier}-{plan.id[-16:]}")


def test_an_altered_id_is_refused(fleet) -> None:
    plan = plan_of(wipe(fleet, "oak-1"))
    altered = plan.id[:-1] + ("0" if plan.id[-1] != "0" else "1")
    assert "knows no such plan" in refusal(wipe(fleet, "oak-1"), altered)


def test_other_endpoints_than_those_of_the_plan_are_refused(fleet) -> None:
    plan = plan_of(wipe(fleet, "oak-1"))
    words = refusal(wipe(fleet, "elm-1"), plan.id)
    assert "the endpoints and waves, the address of 'oak-1'" in words
    assert "the endpoints and waves" in refusal(wipe(fleet, "oak-1", "elm-1"), plan.id)


def test_any_change_of_the_fleet_file_is_refused(folder, fleet) -> None:
    plan = plan_of(wipe(fleet, "oak-1"))
    with (folder / "tree.yml").open("a") as file:
        file.write("# a comment\n")
    assert "now: the fleet file changed" in refusal(wipe(load_fleet(folder / "tree.yml"), "oak-1"), plan.id)


def test_another_image_is_refused(folder, fleet) -> None:
    oak = fleet.endpoint("oak-1")
    image = shutil.copytree(oak.provisioner.settings["image"], folder / "image")
    provisioner = oak.provisioner.model_copy(update={"image": str(image)})
    own = fleet.model_copy(update={"endpoints": (oak.model_copy(update={"provisioner": provisioner}),)})
    plan = plan_of(wipe(own, "oak-1"))
    (image / "usr/bin/new").touch()
    assert "now: the image of 'oak-1' changed" in refusal(wipe(own, "oak-1"), plan.id)


def test_another_host_under_the_same_name_is_refused(folder, fleet) -> None:
    plan = plan_of(wipe(fleet, "oak-1"))
    (root_of(folder, "oak-1") / "etc/machine-id").write_text("e" * 32 + "\n")
    put_token(folder, "oak-1", token_of(fleet, "oak-1"))
    assert "now: the identity of 'oak-1' changed" in refusal(wipe(fleet, "oak-1"), plan.id)


def test_a_stored_plan_that_was_altered_is_not_believed(fleet) -> None:
    plan = plan_of(wipe(fleet, "oak-1"))
    file = remember_plan(plan)
    file.write_text(file.read_text().replace("oak-1", "elm-1"))
    assert "knows no such plan" in refusal(wipe(fleet, "elm-1"), plan.id)


def test_every_refusing_guard_is_told_at_once(folder, fleet) -> None:
    put_token(folder, "oak-1", "fleet: other\n")
    words = refusal(wipe(fleet, "oak-1", environment="prod"), None)
    assert "environment: the fleet file is for 'lab', the run for 'prod'" in words
    assert "allow token of 'oak-1'" in words


def test_a_refused_plan_stays_as_evidence(tmp_path, fleet) -> None:
    with pytest.raises(GuardError):
        authorize(wipe(fleet, "oak-1", environment=None), run_dir=tmp_path / "run")
    assert Plan.model_validate_json((tmp_path / "run/plan.json").read_bytes()).against[0].name == "environment"


def test_to_observe_nothing_is_asked(fleet) -> None:
    request = Request(fleet, fleet.endpoints, Mode.OBSERVE)
    assert authorize(request).waves == (fleet.endpoints,)
    assert authorize(request).permits == {}


def test_a_disposable_fleet_of_its_own_needs_neither_token_nor_confirmation(folder, fleet) -> None:
    put_token(folder, "oak-1", "nonsense")
    lab = fleet.model_copy(update={"disposable": True})
    assert authorize(wipe(lab, "oak-1")).permits
    (root_of(folder, "oak-1").parent / "made-by-redrill").unlink()
    assert "is no token" in refusal(wipe(lab, "oak-1"), None)


def test_no_machine_id_is_printed_in_a_plan(folder, fleet) -> None:
    machine_id = (root_of(folder, "oak-1") / "etc/machine-id").read_text().strip()
    assert machine_id not in plan_of(wipe(fleet, "oak-1")).model_dump_json()


def test_a_protected_endpoint_is_not_even_connected_to(fleet, monkeypatch) -> None:
    def connect(*_: object) -> None:
        raise AssertionError("it was connected to")

    monkeypatch.setattr("redrill.drill.guards.endpoint.reach", connect)
    protected = fleet.guards.protected.model_copy(update={"names": ("oak-*",)})
    guards = fleet.guards.model_copy(update={"protected": protected})
    plan, _ = make_plan(wipe(fleet.model_copy(update={"guards": guards}), "oak-1"), NOW)
    assert "protected list" in {state.name for state in plan.against}
