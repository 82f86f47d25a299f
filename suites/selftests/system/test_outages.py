"""Outages as they are seen from outside: the parts of a recovery, steady state first, neighbours, dependencies."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from redrill.drill.health.asking import Asker, Target
from redrill.loader import load_fleet
from redrill.model.application import Application
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Fleet
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import connect, run_on, standing
from selftests.support.site import PASSWORD, PASSWORD_VARIABLE, site_fleet

OFFLINE = ["wipe", "deploy", "restore", "verify restore", "boot", "system ready"]
LIVE = ["wipe", "deploy", "boot", "restore", "verify restore", "reboot", "system ready"]


@dataclass(frozen=True, slots=True)
class Site:
    """A running lab with its fleet file."""

    folder: Path
    file: Path

    @property
    def fleet(self) -> Fleet:
        return load_fleet(self.file)

    def run(self, endpoint: str, command: str) -> str:
        return run_on(self.fleet, endpoint, command)

    def drill(self, name: str, *endpoints: str, file: Path | None = None) -> Drilled:
        chosen = [f"--redrill-endpoint={endpoint}" for endpoint in endpoints]
        return run_redrill(file or self.file, self.folder / name, "--redrill-mode=replace", *chosen)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PASSWORD_VARIABLE, PASSWORD)
        made = Site(folder, site_fleet(folder, "outages", "198.18.42"))
        with standing(made.fleet):
            yield made


@pytest.fixture(scope="module")
def cold_start(site: Site) -> Drilled:
    """The whole site was drilled at once."""
    return site.drill("cold", "web-1", "db-1", "kv-1")


@pytest.fixture(scope="module")
def harmed(site: Site, cold_start: Drilled) -> Drilled:
    """The database alone was drilled, restored live, while somebody stopped the store beside it for two seconds."""
    assert cold_start.folder
    live = site_fleet(site.folder, "outages", "198.18.42", restore="live").rename(site.folder / "live.yml")
    site_fleet(site.folder, "outages", "198.18.42")
    reports = site.folder / "harmed"

    def begins(is_last_try: bool) -> bool | None:
        journals = reports.glob("runs/*Z-*/journal.jsonl")
        return True if is_last_try or any('"redeploy"' in file.read_text() for file in journals) else None

    def harm() -> None:
        wait_until(begins, Deadline.after(90))
        site.run("kv-1", "systemctl stop redis-server && sleep 2 && systemctl start redis-server")

    vandal = threading.Thread(target=harm)
    vandal.start()
    try:
        return site.drill("harmed", "db-1", file=live)
    finally:
        vandal.join()


@pytest.fixture(scope="module")
def unsteady(site: Site, harmed: Drilled) -> tuple[Drilled, str, str]:
    """The whole site was drilled while the store was down and the web server asked the database too seldom.

    With the boot ids of the store before and after.
    """
    assert harmed.folder
    site.run("web-1", "sed -i 's/^RETRY_SECONDS=.*/RETRY_SECONDS=20/' /etc/shop/orders.env; systemctl restart orders")
    boot = "cat /proc/sys/kernel/random/boot_id"
    before = site.run("kv-1", f"systemctl stop redis-server; {boot}")
    drilled = site.drill("unsteady", "web-1", "db-1", "kv-1")
    return drilled, before, site.run("kv-1", boot)


def timeline(drilled: Drilled, endpoint: str) -> list[dict[str, Any]]:
    spans: list[dict[str, Any]] = drilled.records[endpoint]["timeline"]
    assert spans[0]["started"] == 0.0
    assert [span["started"] for span in spans[1:]] == [span["ended"] for span in spans[:-1]]
    assert all(span["ended"] >= span["started"] for span in spans)
    return spans


def application(drilled: Drilled, endpoint: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = drilled.records[endpoint]["applications"][name]
    return found


def test_a_whole_site_starts_cold(cold_start: Drilled) -> None:
    assert (cold_start.red, cold_start.status) == (set(), 0), cold_start.output[-6000:]
    began = {name: datetime.fromisoformat(cold_start.records[name]["outage_at"]) for name in ("web-1", "db-1")}
    took = application(cold_start, "db-1", "postgresql")["recovered_after"]
    assert began["web-1"] < began["db-1"] + timedelta(seconds=took)


def test_what_needs_others_waits_for_them_and_comes_back_soon_after(cold_start: Drilled) -> None:
    orders, shop = application(cold_start, "web-1", "orders"), application(cold_start, "web-1", "shop")
    assert orders["waited"] > 0
    assert orders["needed"] == ["db-1/postgresql"]
    assert orders["after_needs"] <= 5
    assert (shop["waited"], shop["needed"]) == (0, [])
    assert "test_dependency_outage_is_tolerated[web-1-orders]" in cold_start.tests("passed")


def test_an_offline_recovery_is_measured_in_its_parts(cold_start: Drilled) -> None:
    for endpoint in ("web-1", "db-1", "kv-1"):
        spans = timeline(cold_start, endpoint)
        assert [span["name"] for span in spans] == OFFLINE
        for found in cold_start.records[endpoint]["applications"].values():
            booted = next(span["started"] for span in spans if span["name"] == "boot")
            assert found["recovered_after"] > booted
            assert found["last_healthy"] < 0
            assert not found["changes"][0]["healthy"] or found["changes"][0]["at"] == 0
            assert found["changes"][-1] == {**found["changes"][-1], "healthy": True, "at": found["recovered_after"]}
            assert found["asked"] > 10


def test_neighbours_that_are_drilled_as_well_are_not_judged(cold_start: Drilled) -> None:
    around = {f"{one['endpoint']}/{one['application']}": one for one in cold_start.records["db-1"]["neighbours"]}
    assert around["kv-1/redis"]["is_drilled"]
    assert (around["logs-1/journal-remote"]["failed"], around["logs-1/journal-remote"]["is_drilled"]) == (0, False)
    assert around["logs-1/journal-remote"]["asked"] > 20


def test_a_live_recovery_is_measured_in_its_parts(harmed: Drilled) -> None:
    assert [span["name"] for span in timeline(harmed, "db-1")] == LIVE
    rebooted = timeline(harmed, "db-1")[-2]["started"]
    assert application(harmed, "db-1", "postgresql")["recovered_after"] > rebooted


def test_harm_done_to_a_neighbour_turns_exactly_its_test_red(harmed: Drilled) -> None:
    assert (harmed.red, harmed.status) == ({"test_neighbours_were_not_harmed[db-1]"}, 1), harmed.output[-6000:]
    store = next(one for one in harmed.records["db-1"]["neighbours"] if one["endpoint"] == "kv-1")
    assert store["failed"] > 0
    assert store["longest"] > 1


def test_what_needs_the_drilled_endpoint_may_be_down_with_it(harmed: Drilled) -> None:
    web = next(one for one in harmed.records["db-1"]["neighbours"] if one["endpoint"] == "web-1")
    assert (web["needs"], web["tolerated"]) == (["postgresql"], 5.0)
    assert web["failed"] > 0
    assert web["back_after"] <= 5
    assert "test_dependency_outage_is_tolerated[db-1-postgresql]" in harmed.tests("passed")


def test_what_is_not_healthy_before_is_not_drilled(unsteady: tuple[Drilled, str, str]) -> None:
    drilled, before, after = unsteady
    failure = drilled.records["kv-1"]["failure"]
    assert "application 'redis': unit redis-server.service: the unit is inactive (dead)" in failure["message"]
    assert "redis 6379: GET item:7: " in failure["message"]
    assert "Nothing was touched" in failure["message"]
    assert (failure["step"], failure["exit_code"], drilled.status) == ("preflight", 10, 10)
    assert (before, drilled.records["kv-1"]["wiped_at"]) == (after, None)


def test_a_dependent_that_asks_too_seldom_turns_exactly_the_tolerance_test_red(
    unsteady: tuple[Drilled, str, str],
) -> None:
    drilled, _, _ = unsteady
    red = {test for test in drilled.red if "[kv-1" not in test}
    assert red == {"test_dependency_outage_is_tolerated[web-1-orders]"}, drilled.output[-6000:]
    assert application(drilled, "web-1", "orders")["after_needs"] > 5
    assert application(drilled, "db-1", "postgresql")["healthy"]


def test_a_unit_that_systemd_has_restarted_is_not_healthy_at_once(site: Site) -> None:
    unit = Application.model_validate({"unit": {"name": "restless.service"}})
    asker, machine = Asker(unit), connect(site.fleet, "kv-1")

    def ask() -> str:
        (answer,) = asker.ask(Target("", machine))
        return f"{'healthy' if answer.healthy else 'ill'}: {answer.detail}"

    try:
        assert ask() == "ill: the unit is inactive (dead)"
        start = "systemd-run --quiet --unit=restless -p Restart=always -p RestartSec=0 sleep 600"
        machine.run(start, Deadline.after(10)).checked()
        assert ask() == "healthy: active (running)"
        restarts = "test $(systemctl show -P NRestarts restless) = 1 && systemctl -q is-active restless"
        kill = f"systemctl kill -s KILL restless; until {restarts}; do sleep 0.05; done"
        machine.run(kill, Deadline.after(10)).checked()
        assert ask() == "ill: the unit is active (running) again: it was restarted 1 times since it was asked last"
        assert ask() == "healthy: active (running)"
    finally:
        machine.run("systemctl stop restless", Deadline.after(10))
        machine.close()
