import http.client
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from redrill.drill.canary_programs import program_of
from redrill.drill.health.asking import Asker, Target
from redrill.errors import EndpointBusyError, GuardError, ProvisionError
from redrill.lab.lab import down, status, up
from redrill.lab.state import locked
from redrill.loader import load_fleet
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Fleet
from redrill.provisioners.nspawn_place import LabPlace
from selftests.support.labs import connect, find_traces, is_clean, lab_fleet, provisioner_of, run_on, running_lab

BOOT_ID = "cat /proc/sys/kernel/random/boot_id"
NAMES = ("web-1", "db-1", "kv-1", "logs-1")


def soon(seconds: float = 30) -> Deadline:
    return Deadline.after(seconds)


@pytest.fixture(scope="module")
def spare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A second lab, which stands beside the first and may be broken."""
    with running_lab(tmp_path_factory.mktemp("spare"), "selftest-spare", "198.18.10") as fleet:
        yield fleet


@pytest.mark.parametrize("name", NAMES)
def test_endpoint_answers_over_ssh_under_its_own_name(lab: Fleet, name: str) -> None:
    assert run_on(lab, name, "hostname; systemctl is-system-running") == f"{name}\nrunning"


def test_web_server_is_healthy_after_day_1(lab: Fleet) -> None:
    connection = http.client.HTTPConnection(str(lab.endpoint("web-1").address), timeout=5)
    connection.request("GET", "/health")
    assert connection.getresponse().read() == b"ok\n"


@pytest.mark.parametrize(("name", "application"), [("db-1", "postgresql"), ("kv-1", "redis")])
def test_data_is_all_there_after_day_1(lab: Fleet, name: str, application: str) -> None:
    endpoint = lab.endpoint(name)
    machine = connect(lab, name)
    try:
        answers = Asker(endpoint.applications[application]).ask(Target(str(endpoint.address), machine))
    finally:
        machine.close()
    assert [answer.detail for answer in answers if not answer.healthy] == []


@pytest.mark.parametrize("name", ["postgresql", "redis"])
def test_a_password_is_the_labs_own_and_nobody_elses(lab: Fleet, spare: Fleet, name: str) -> None:
    file, other = (LabPlace(each.name).directory / "secrets" / name for each in (lab, spare))
    assert file.stat().st_mode & 0o777 == 0o600
    assert len(file.read_text()) > 32
    assert file.read_text() != other.read_text()
    assert run_on(lab, "db-1" if name == "postgresql" else "kv-1", "ls /run | grep redrill; true") == ""


@pytest.mark.parametrize("name", NAMES[:3])
def test_canaries_show_what_was_written_and_nothing_once_they_are_cleared(lab: Fleet, name: str) -> None:
    for each in lab.endpoint(name).state_classes.values():
        program = program_of(each.canary)
        assert (
            run_on(lab, name, f"{program.prepare}\nnumber=7 line=7-said; {program.write}\n{program.read}") == "7-said"
        )
        assert run_on(lab, name, f"{program.clear}\n{program.read}\n{program.clear}") == ""


def test_a_message_of_every_other_endpoint_arrives_at_the_log_sink(lab: Fleet) -> None:
    for name in NAMES[:3]:
        run_on(lab, name, f"logger -t redrill said-by-{name}")

    def arrived(_is_last_try: bool) -> bool | None:
        said = run_on(lab, "logs-1", "journalctl -D /var/log/journal/remote -t redrill -o cat --no-pager")
        return all(f"said-by-{name}" in said for name in NAMES[:3]) or None

    assert wait_until(arrived, soon(), interval=0.2)


def test_role_services_ship_disabled_in_the_image(lab: Fleet) -> None:
    wants = provisioner_of(lab, "web-1").build_image().root / "etc/systemd/system/multi-user.target.wants"
    assert sorted(path.name for path in wants.iterdir()) == [
        "remote-fs.target",
        "ssh.service",
        "systemd-networkd.service",
    ]


def test_each_container_has_a_control_group_of_its_own(lab: Fleet) -> None:
    groups = {name: _leader_group(lab, name) for name in NAMES}
    assert groups == {name: f"/redrill/{lab.name}/{name}/box/payload/init.scope" for name in NAMES}


def subnet_of(lab: Fleet) -> str:
    return str(lab.endpoint("web-1").address).rpartition(".")[0]


def _leader_group(lab: Fleet, name: str) -> str:
    leader = provisioner_of(lab, name)._container.leader
    lines = Path(f"/proc/{leader}/cgroup").read_text().splitlines()
    return next(line.split(":")[2] for line in lines if "name=systemd" in line or line.startswith("0::/"))


def test_bringing_up_a_running_lab_again_changes_nothing(lab: Fleet) -> None:
    before = {name: run_on(lab, name, BOOT_ID) for name in NAMES}
    up(lab, print)
    assert {name: run_on(lab, name, BOOT_ID) for name in NAMES} == before


def test_a_service_stopped_in_one_lab_goes_on_in_the_lab_beside_it(lab: Fleet, spare: Fleet) -> None:
    run_on(spare, "web-1", "systemctl stop nginx")
    assert run_on(lab, "web-1", "systemctl is-active nginx") == "active"
    run_on(spare, "web-1", "systemctl start nginx")


def test_status_shows_every_endpoint_running(lab: Fleet) -> None:
    assert [(row.endpoint, row.state) for row in status(lab)] == [(name, "running") for name in NAMES]


def test_redeploy_gives_another_boot_another_key_and_a_fresh_tree(spare: Fleet) -> None:
    provisioner = provisioner_of(spare, "web-1")
    before = provisioner.locate()
    boot_id = run_on(spare, "web-1", f"touch /opt/stain /etc/stain; {BOOT_ID}")
    after = provisioner.redeploy(soon())
    assert before
    assert before.host_keys != after.host_keys
    assert run_on(spare, "web-1", f"ls -A /opt /etc/stain /var/www/shop 2>/dev/null; {BOOT_ID}") not in ("", boot_id)
    assert run_on(spare, "web-1", "ls -A /opt") == ""


def test_what_is_written_before_the_first_boot_is_there_after_it(spare: Fleet) -> None:
    provisioner = provisioner_of(spare, "web-1")
    root = provisioner.redeploy_stopped(soon())
    (root / "var/lib/restored").write_text("from the backup")
    assert provisioner.locate() is None
    provisioner.boot(soon())
    assert run_on(spare, "web-1", "cat /var/lib/restored") == "from the backup"


def test_host_keys_are_those_of_the_restored_root(spare: Fleet, tmp_path: Path) -> None:
    provisioner = provisioner_of(spare, "web-1")
    root = provisioner.redeploy_stopped(soon())
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key"], check=True)
    (root / "etc/ssh/ssh_host_ed25519_key").write_bytes((tmp_path / "key").read_bytes())
    (root / "etc/ssh/ssh_host_ed25519_key.pub").write_bytes((tmp_path / "key.pub").read_bytes())
    location = provisioner.boot(soon())
    assert location.host_keys == (" ".join((tmp_path / "key.pub").read_text().split()[:2]),)
    assert run_on(spare, "web-1", "true") == ""


def test_a_reboot_from_inside_comes_back_with_the_same_tree(spare: Fleet) -> None:
    boot_id = run_on(spare, "db-1", f"touch /etc/mine; {BOOT_ID}")
    run_on(spare, "db-1", "systemd-run -q --on-active=0.05 --timer-property=AccuracySec=1ms systemctl reboot")

    def came_back(_is_last_try: bool) -> str | None:
        try:
            seen = run_on(spare, "db-1", f"ls /etc/mine; {BOOT_ID}")
        except (AssertionError, Exception):  # noqa: BLE001 - whatever goes wrong while it is down is no answer
            return None
        return seen if boot_id not in seen else None

    assert wait_until(came_back, soon(), interval=0.1).startswith("/etc/mine\n")


def test_an_endpoint_that_was_powered_off_stays_off_until_the_lab_is_brought_up(spare: Fleet) -> None:
    provisioner = provisioner_of(spare, "kv-1")
    run_on(spare, "kv-1", "systemd-run -q --on-active=0.05 --timer-property=AccuracySec=1ms systemctl poweroff")
    wait_until(lambda _is_last_try: provisioner.locate() is None or None, soon())
    assert [row.state for row in status(spare) if row.endpoint == "kv-1"] == ["stopped"]
    up(spare, print)
    check = spare.endpoint("kv-1").applications["redis"].command
    assert check is not None
    assert run_on(spare, "kv-1", check.run) == "50000"


def test_the_log_uploader_outlasts_a_log_sink_that_is_away(spare: Fleet) -> None:
    sink = "systemd-journal-remote.socket systemd-journal-remote.service"
    run_on(spare, "logs-1", f"systemctl stop {sink}")
    restarts = "systemctl show -P NRestarts systemd-journal-upload"
    first = int(run_on(spare, "db-1", restarts))
    # More than the five starts after which systemd gives a unit up as shipped.
    wait_until(lambda _is_last_try: int(run_on(spare, "db-1", restarts)) > first + 6 or None, soon(), interval=0.5)
    run_on(spare, "logs-1", "systemctl start systemd-journal-remote.socket")
    run_on(spare, "db-1", "logger -t redrill after-the-outage")

    def arrived(_is_last_try: bool) -> bool | None:
        said = run_on(spare, "logs-1", "journalctl -D /var/log/journal/remote -t redrill -o cat --no-pager")
        return "after-the-outage" in said or None

    assert wait_until(arrived, soon(), interval=0.2)


def test_a_second_lab_in_the_same_subnet_is_refused_by_the_name_of_the_interface(lab: Fleet, tmp_path: Path) -> None:
    fleet = load_fleet(lab_fleet(tmp_path, "selftest-twin", subnet_of(lab)))
    try:
        with pytest.raises(
            ProvisionError, match=f"The interface '{LabPlace(lab.name).bridge}' has the address {subnet_of(lab)}.1"
        ):
            up(fleet, print)
    finally:
        down(fleet, print)
    assert find_traces("selftest-twin") == []
    assert status(lab)[0].state == "running"


def test_a_lab_that_another_process_holds_is_busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("redrill.lab.lab.LOCK_SECONDS", 0.1)
    fleet = load_fleet(lab_fleet(tmp_path, "selftest-busy", "198.18.11"))
    with locked(LabPlace("selftest-busy"), soon()), pytest.raises(EndpointBusyError, match="selftest-busy"):
        down(fleet, print)
    down(fleet, print)
    assert is_clean("selftest-busy")


def test_a_running_lab_of_another_fleet_file_is_not_taken_over(lab: Fleet, tmp_path: Path) -> None:
    other = load_fleet(lab_fleet(tmp_path, lab.name, subnet_of(lab)))
    with pytest.raises(GuardError, match=r"take it down first \(`redrill lab down "):
        up(other, print)
    assert status(lab)[0].state == "running"


# Each is a line that `up` reports: at that moment its process is killed.
@pytest.mark.parametrize("moment", ["deploying", "logs-1: up", "web-1: up", "is about to be deployed"])
def test_down_is_clean_after_up_was_killed(tmp_path: Path, moment: str) -> None:
    fleet_file = lab_fleet(tmp_path, "selftest-killed", "198.18.12")
    program = (
        "import sys, pathlib; from redrill.loader import load_fleet; from redrill.lab.lab import up;"
        "print('is about to be deployed', flush=True);"
        "up(load_fleet(pathlib.Path(sys.argv[1])), lambda line: print(line, flush=True))"
    )
    with subprocess.Popen([sys.executable, "-c", program, fleet_file], stdout=subprocess.PIPE, text=True) as process:
        assert any(moment in line for line in process.stdout or ())
        process.kill()
    fleet = load_fleet(fleet_file)
    down(fleet, print)
    assert find_traces("selftest-killed") == []


def test_down_twice_leaves_nothing(tmp_path: Path) -> None:
    fleet = load_fleet(lab_fleet(tmp_path, "selftest-down", "198.18.12"))
    up(fleet, print)
    assert find_traces("selftest-down") != []
    down(fleet, print)
    down(fleet, print)
    assert find_traces("selftest-down") == []
