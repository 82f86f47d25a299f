"""Restoring over SSH into a system that runs: every way but the offline one has to work like this."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrill.drill import owners
from redrill.drill.evidence import read_manifest
from redrill.errors import Exit, RestoreError
from redrill.machine.ssh_machine import SshMachine
from redrill.model.application import Application
from redrill.model.checks import CommandCheck
from redrill.model.deadline import Deadline
from redrill.model.manifest import EntryKind
from redrill.model.record import Location, Step
from redrill.provisioners.nspawn_tree import read_host_keys
from redrill.repositories.restore import fidelity
from selftests.support import live_backends
from selftests.support.drills import Drilled
from selftests.support.labs import provisioner_of
from selftests.support.live_labs import LiveLab, live_lab

NAMES = ("web-1", "db-1", "kv-1")
CLUSTER = "/var/lib/postgresql/15/main"
WITH_POSTGRESQL = {"db-1": {"provisioner": {"kind": "running-postgresql"}}}


def soon(seconds: float = 60) -> Deadline:
    return Deadline.after(seconds)


@pytest.fixture(scope="module", autouse=True)
def backends(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("backends")
    live_backends.install(folder)
    with pytest.MonkeyPatch.context() as patch:
        path = (str(folder), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", ""))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, path)))
        yield


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """The sample lab, all of it restored live."""
    with live_lab(tmp_path_factory.mktemp("live"), "selftest-live", "198.18.46") as lab:
        yield lab


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveLab]:
    """A database and bare systems of which each may be ruined by one test."""
    bare = {"repository": {"kind": "tar", "directory": "/var/lib/redrill/labs/selftest-ruin/backups"}}
    endpoints = {"db-1": {"role": "db", "log_sink": None}, "bare-1": bare, "bare-2": bare, "bare-3": bare}
    with live_lab(tmp_path_factory.mktemp("ruin"), "selftest-ruin", "198.18.47", endpoints) as lab:
        yield lab


@pytest.fixture(scope="module")
def first(live: LiveLab) -> Drilled:
    """A drill of all three endpoints."""
    return live.drill("first", {name: {} for name in NAMES})


@pytest.fixture(scope="module")
def second(live: LiveLab, first: Drilled) -> Drilled:
    """The same again; now PostgreSQL runs in the fresh system as Debian's packages have it."""
    assert first.status == 0, first.output
    return live.drill("second", {name: {} for name in NAMES} | WITH_POSTGRESQL)


def test_a_live_drill_is_approved_twice_in_a_row(first: Drilled, second: Drilled) -> None:
    for drilled in (first, second):
        assert drilled.status == 0, drilled.output
        assert drilled.verdict["decision"] == "APPROVE"
        assert {name: record["restored"] for name, record in drilled.records.items()} == dict.fromkeys(NAMES, "live")


@pytest.mark.parametrize("name", NAMES)
def test_the_restored_trees_of_a_running_system_differ_in_nothing_from_the_backup(second: Drilled, name: str) -> None:
    record, folder = second.records[name], second.folder
    assert folder
    backup = read_manifest(folder, Path(record["snapshot"]["manifest"]))
    restored = read_manifest(folder, Path(record["restored_manifest"]))
    assert fidelity(backup, restored) == []


@pytest.mark.parametrize("name", NAMES)
def test_no_journal_of_the_systems_in_between_stays(second: Drilled, name: str) -> None:
    after, folder = second.records[name]["after"], second.folder
    assert folder
    entries = read_manifest(folder, Path(after["state_manifest"])).entries
    below = [path for path in entries if path.startswith("/var/log/journal/")]
    directories = [path for path in below if entries[path].kind is EntryKind.DIRECTORY]
    assert directories == [f"/var/log/journal/{after['machine_id']}"]


@pytest.mark.parametrize("name", NAMES)
def test_the_endpoint_is_itself_again_in_a_new_boot(live: LiveLab, second: Drilled, name: str) -> None:
    record = second.records[name]
    before, after = record["before"], record["after"]
    assert (after["machine_id"], after["hostname"]) == (before["machine_id"], before["hostname"])
    assert after["hostname"] == name
    assert after["boot_id"] != before["boot_id"]
    assert live.run(name, "cat /proc/sys/kernel/random/boot_id") == after["boot_id"]
    assert tuple(record["location"]["host_keys"]) == read_host_keys(provisioner_of(live.fleet, name).place.merged)


@pytest.mark.parametrize("name", NAMES)
def test_logging_goes_on_where_the_restored_cursor_stands(second: Drilled, name: str) -> None:
    record, folder = second.records[name], second.folder
    assert folder
    restored = read_manifest(folder, Path(record["restored_manifest"])).entries
    assert any(path.endswith("systemd/journal-upload/state") for path in restored)
    boots = [record[moment]["boot_id"].replace("-", "") for moment in ("before", "after")]
    assert [(m["stage"], m["arrived"], m["arrived_boot_id"]) for m in record["messages"]] == [
        ("before", True, boots[0]),
        ("after", True, boots[1]),
    ]


def test_a_postgresql_that_runs_in_the_fresh_system_does_not_harm_the_restored_cluster(
    live: LiveLab, second: Drilled
) -> None:
    assert second.records["db-1"]["applications"]["postgresql"]["healthy"]
    canary = second.records["db-1"]["canaries"]["postgresql"]
    assert canary["written"] > 0
    assert (canary["survived"], canary["unknown"]) == (canary["written"], None)
    count = "runuser -u postgres -- psql -Atc 'SELECT count(*), count(DISTINCT id) FROM orders' shop"
    assert live.run("db-1", count) == "200000|200000"
    stop, start = (f"systemctl {verb} postgresql@15-main" for verb in ("stop", "start"))
    check = f"runuser -u postgres -- /usr/lib/postgresql/15/bin/pg_checksums --check -D {CLUSTER}"
    assert "Bad checksums:  0" in live.run("db-1", f"{stop} && {check} && {start}")


def test_endpoints_restored_offline_and_live_are_drilled_side_by_side(live: LiveLab, second: Drilled) -> None:
    assert second.status == 0, second.output
    drilled = live.drill("mixed", {"web-1": {"restore": "offline"}, "kv-1": {}})
    assert drilled.status == 0, drilled.output
    restored = {name: record["restored"] for name, record in drilled.records.items()}
    assert restored == {"web-1": "offline", "kv-1": "live"}


def test_restoring_under_a_running_postgresql_destroys_data(spare: LiveLab) -> None:
    # What redrill prevents: this is the same drill as above, but nobody stops PostgreSQL.
    settings = {"db-1": {**WITH_POSTGRESQL["db-1"], "objectives": {"rto": "2s"}}}
    drilled = spare.drill("danger", settings, "-p", "selftests.support.reckless")
    record = drilled.records["db-1"]
    canary = record["canaries"].get("postgresql", {})
    is_healthy = record["applications"].get("postgresql", {}).get("healthy")
    is_intact = is_healthy and not canary["unknown"] and canary["survived"] == canary["written"]
    assert not is_intact, drilled.output
    assert drilled.verdict["decision"] != "APPROVE"


HELD_BY = {
    # what nobody declared, behind mount namespaces of its own
    "hidden": "-p PrivateTmp=yes -p ProtectSystem=full sh -c 'exec 3>>/var/lib/hidden; sleep 1000'",
    "dweller": "-p WorkingDirectory=/home sleep 1000",
    "retrying": "-p Restart=always -p RestartSec=1000 false",
    "starting": "--no-block -p Type=oneshot sleep 1000",
    "later.timer": "--on-active=1h --unit=later true",
}
LEFT_BEHIND = (
    "systemd-run -q --unit=careless -p KillMode=process sh -c \"(trap '' TERM; cd /var/lib; sleep 1000) & wait\""
)
ON_DEMAND = """cd /run/systemd/system &&
printf '[Socket]\\nListenStream=/run/asked\\n' >asked.socket &&
printf '[Service]\\nExecStart=sh -c "exec 3>>/var/lib/asked; sleep 1000"\\n' >asked.service &&
systemctl daemon-reload && systemctl start asked.socket asked.service"""


def test_whatever_holds_files_is_stopped_with_what_would_start_it_again(spare: LiveLab) -> None:
    machine = spare.connect("bare-1")
    starts = [f"systemd-run -q --unit={name.partition('.')[0]} {words}" for name, words in HELD_BY.items()]
    for result in machine.batch([*starts, LEFT_BEHIND, ON_DEMAND, "systemctl is-active asked"], soon()):
        result.checked()
    assert {holder.unit for holder in owners.find_holders(machine, soon())} >= {"hidden.service", "dweller.service"}
    owners.stop_owners(machine, spare.fleet.endpoint("bare-1"), soon())
    assert owners.find_holders(machine, soon()) == []
    units = [*HELD_BY, "careless", "asked.service", "asked.socket"]
    states = machine.run(f"systemctl is-active {' '.join(units)}", soon()).text.split()
    machine.close()
    assert set(states) <= {"inactive", "failed"}, dict(zip(units, states, strict=True))


IMMORTAL = """cd /run/systemd/system && printf '%s\\n' '[Unit]' RefuseManualStop=yes StartLimitIntervalSec=0 \
'[Service]' Restart=always RestartSec=0 'ExecStart=sh -c "cd /var/lib; sleep 1000"' >immortal.service &&
systemctl daemon-reload && systemctl start immortal.service"""


def test_what_cannot_be_stopped_ends_the_restore_before_it_begins(
    spare: LiveLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(owners, "PATIENCE", 1.0)
    machine = spare.connect("bare-1")
    machine.run(IMMORTAL, soon()).checked()
    bare = spare.fleet.endpoint("bare-1")
    with pytest.raises(RestoreError, match=r"immortal\.service"):
        owners.stop_owners(machine, bare, soon())
    machine.close()


def test_a_declared_unit_that_does_not_stop_ends_the_restore_before_it_begins(spare: LiveLab) -> None:
    # The buses keep the endpoint reachable, so redrill does not stop them even when it is told to.
    application = Application(units=("dbus.service",), command=CommandCheck(run="true"))
    endpoint = spare.fleet.endpoint("bare-2").model_copy(update={"applications": {"bus": application}})
    machine = spare.connect("bare-2")
    with pytest.raises(RestoreError, match=r"units that own data do not stop: 'dbus\.service' is active"):
        owners.stop_owners(machine, endpoint, soon())
    machine.close()


def test_another_host_key_after_the_deployment_stops_before_a_byte_is_sent(spare: LiveLab) -> None:
    drilled = spare.drill("deployed", {"bare-2": {"provisioner": {"kind": "other-key"}}})
    assert drilled.status == Exit.QUARANTINED, drilled.output
    failure = drilled.records["bare-2"]["failure"]
    assert (failure["step"], failure["error"]) == (Step.RESTORE, "OtherKeyError")
    assert "Nothing was sent to it" in failure["message"]
    assert logins(spare, "bare-2") == 1


OTHER_KEY = r"""cd /etc/systemd/system && ssh-keygen -q -t ed25519 -N '' -f /etc/other_key &&
printf '%s\n' '[Unit]' Before=ssh.service '[Service]' Type=oneshot '[Install]' WantedBy=multi-user.target \
  '[Service]' 'ExecStart=cp /etc/other_key /etc/ssh/ssh_host_ed25519_key' >other-key.service &&
systemctl -q enable other-key"""


def test_another_host_key_after_the_restore_stops_before_a_byte_is_sent(spare: LiveLab) -> None:
    spare.run("bare-3", OTHER_KEY)
    drilled = spare.drill("restored", {"bare-3": {}})
    assert drilled.status == Exit.QUARANTINED, drilled.output
    failure = drilled.records["bare-3"]["failure"]
    assert (failure["step"], failure["error"]) == (Step.SETTLE, "OtherKeyError")
    other = (provisioner_of(spare.fleet, "bare-3").place.merged / "etc/other_key.pub").read_text()
    assert logins(spare, "bare-3", " ".join(other.split()[:2])) == 1


def logins(lab: LiveLab, name: str, *host_keys: str) -> int:
    """Return how often somebody, and be it only who asks now, has logged in since the last boot."""
    endpoint = lab.fleet.endpoint(name)
    here = provisioner_of(lab.fleet, name).locate()
    assert here
    location = Location(address=here.address, host_keys=host_keys or here.host_keys)
    machine = SshMachine(name, endpoint.ssh, location)
    try:
        return int(machine.run("journalctl -b -u ssh --no-pager | grep -c 'Accepted publickey'", soon()).text)
    finally:
        machine.close()
