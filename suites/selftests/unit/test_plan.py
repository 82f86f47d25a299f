"""Which endpoints a run may act on."""

import pytest

from redrill.drill.plan import choose_targets, plan_run
from redrill.errors import GuardError
from redrill.model.fleet import Backend, Endpoint
from redrill.model.values import Mode

KEEP = Endpoint(name="sink")
BURN = Endpoint(name="web", expendable=True, provisioner=Backend(kind="tree"), repository=Backend(kind="tar"))
BARE = Endpoint(name="bare", expendable=True)


def test_observing_touches_every_endpoint_and_refuses_none() -> None:
    assert choose_targets([KEEP, BURN, BARE], Mode.OBSERVE, is_explicit=True) == (KEEP, BURN, BARE)


def test_a_whole_fleet_leaves_out_what_must_not_be_wiped() -> None:
    assert choose_targets([KEEP, BURN], Mode.REPLACE, is_explicit=False) == (BURN,)


def test_asking_for_a_protected_endpoint_by_name_is_refused() -> None:
    with pytest.raises(GuardError, match="'sink': it is not 'expendable: true'"):
        choose_targets([KEEP, BURN], Mode.REPLACE, is_explicit=True)


def test_no_target_at_all_is_refused() -> None:
    with pytest.raises(GuardError, match="Nothing was touched"):
        choose_targets([KEEP], Mode.REPLACE, is_explicit=False)


def test_an_endpoint_without_backends_cannot_be_wiped() -> None:
    assert plan_run([BARE], Mode.REPLACE)[0].refusal == "it declares no provisioner and no repository"
