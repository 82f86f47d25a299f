"""Ansible says what it would change: asked for real, of a real endpoint, and it changes nothing."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import run_on, running_lab

TEST = "test_configuration_management_would_change_nothing[web-1]"

PLAYBOOK = [
    {
        "hosts": "web",
        "gather_facts": True,
        "tasks": [
            {
                "name": "the shop's limits are set",
                "ansible.builtin.copy": {"dest": "/etc/shop.conf", "content": "limit = 5\n", "mode": "0644"},
            },
            {
                "name": "the shop is served",
                "ansible.builtin.service": {"name": "nginx", "state": "started", "enabled": True},
            },
            {
                "name": "the password of the shop is set",
                "ansible.builtin.copy": {"dest": "/etc/shop-password", "content": "hunter2hunter2\n", "mode": "0600"},
            },
        ],
    }
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A lab in which web-1 is what the playbook wants."""
    folder = tmp_path_factory.mktemp("ansible")
    with running_lab(folder, "ansi", "198.18.89") as fleet:
        (folder / "site.yml").write_text(yaml.safe_dump(PLAYBOOK))
        document = yaml.safe_load(fleet.source.read_text())
        document["endpoints"]["web-1"]["desired_state"] = {"playbook": "site.yml"}
        fleet.source.write_text(json.dumps(document))
        provision(fleet)
        yield fleet


def provision(fleet: Fleet) -> None:
    """Bring web-1 into the state that the playbook wants, as an owner's first run would."""
    run(fleet, "printf 'limit = 5\\n' >/etc/shop.conf; (umask 077; printf 'hunter2hunter2\\n' >/etc/shop-password)")


def run(fleet: Fleet, script: str) -> str:
    return run_on(fleet, "web-1", script)


def observe(fleet: Fleet, folder: Path) -> Drilled:
    return run_redrill(fleet.source, folder, "--redrill-endpoint=web-1")


def test_a_provisioned_endpoint_needs_no_change_also_after_a_drill(shop: Fleet, tmp_path: Path) -> None:
    drilled = run_redrill(shop.source, tmp_path, "--redrill-mode=replace", "--redrill-endpoint=web-1")
    assert TEST in drilled.tests("passed"), drilled.output[-4000:]
    playbook = drilled.records["web-1"]["playbook"]
    assert (playbook["fine"], playbook["changes"], playbook["failed"]) == (4, [], [])


def test_a_change_by_hand_is_found_and_its_secret_is_not_shown(shop: Fleet, tmp_path: Path) -> None:
    run(shop, "echo 'limit = 50' >/etc/shop.conf; echo sesamesesame >/etc/shop-password; systemctl stop nginx")
    try:
        drilled = observe(shop, tmp_path)
    finally:
        provision(shop)
        run(shop, "systemctl start nginx")
    assert TEST in drilled.tests("failed"), drilled.output[-4000:]
    changes = {each["task"]: each for each in drilled.records["web-1"]["playbook"]["changes"]}
    assert set(changes) == {task["name"] for task in PLAYBOOK[0]["tasks"]}
    assert "-limit = 50\n+limit = 5" in changes["the shop's limits are set"]["diff"]
    assert changes["the shop's limits are set"]["place"].startswith("site.yml:")
    everything = "".join(file.read_text(errors="replace") for file in drilled.folder.rglob("*") if file.is_file())
    assert "hunter2hunter2" not in everything
    assert "sesamesesame" not in everything


def test_a_check_leaves_nothing_on_the_endpoint(shop: Fleet, tmp_path: Path) -> None:
    listing = "find / -xdev -newer /run/before-check ! -path '/proc/*' ! -path '/run/*' ! -path '/var/log/*' ! -type d"
    run(shop, "touch /run/before-check")
    observe(shop, tmp_path)
    assert run(shop, listing + " ! -path '/var/lib/*journal-upload*'") == ""
    assert run(shop, "ls -A /root /tmp | grep -i ansible; true") == ""


def test_a_task_that_cannot_be_checked_makes_the_state_unknown(shop: Fleet, tmp_path: Path) -> None:
    task = {"name": "no such thing", "ansible.builtin.copy": {"src": "no-such-file", "dest": "/etc/no-such-file"}}
    broken = [{"hosts": "all", "tasks": [task]}]
    (shop.source.parent / "broken.yml").write_text(yaml.safe_dump(broken))
    document = json.loads(shop.source.read_text())
    document["endpoints"]["web-1"]["desired_state"] = {"playbook": "broken.yml"}
    fleet = shop.source.with_name("broken-fleet.yml")
    fleet.write_text(json.dumps(document))
    drilled = run_redrill(fleet, tmp_path, "--redrill-endpoint=web-1")
    assert drilled.status == 6
    assert "no such thing" in drilled.output


def test_another_host_key_is_not_talked_to(shop: Fleet) -> None:
    from redrill.drill.reach import locate  # noqa: PLC0415 - only here
    from redrill.machine.ansible import check_playbook  # noqa: PLC0415 - only here
    from redrill.model.desired_state import DesiredState  # noqa: PLC0415 - only here

    endpoint, other = shop.endpoint("web-1"), locate(shop, shop.endpoint("db-1"))
    location = locate(shop, endpoint).model_copy(update={"host_keys": other.host_keys})
    wanted = DesiredState(playbook=shop.source.parent / "site.yml")
    result = check_playbook(endpoint, wanted, location, Deadline.after(60))
    assert [task.task for task in result.failed] == ["Gathering Facts"]
    assert "host key" in result.failed[0].message.lower()
