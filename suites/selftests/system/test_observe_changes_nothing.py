"""Mode observe on real endpoints, by the installed wheel and a fleet file alone: it judges, and changes nothing."""

import json
from pathlib import Path

import pytest

from redrill.drill.bench import Bench
from redrill.drill.image import learn_image
from redrill.drill.prepare import take_observation
from redrill.model.churn import churn_rules
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.model.manifest import Manifest, compare, unexplained
from redrill.model.values import Mode
from redrill.probes.files import read_manifest
from redrill.probes.observe import VOLATILE_PATHS, read_facts
from selftests.support.counting_machine import CountingMachine
from selftests.support.drills import Drilled
from selftests.support.labs import connect, provisioner_of
from selftests.support.wheels import run_elsewhere

NAMES = ("web-1", "logs-1")
FACTS = ("boot_id", "root_id", "machine_id", "packages", "users", "groups", "units", "runtime", "certificates")

# Nothing of the lab is declared but addresses and keys: the endpoints are strangers that this fleet may only look at.
FLEET = """\
fleet: strangers
environment: production
endpoints:
  web-1:
    address: {web[address]}
    ssh: {{key: {key}, host_keys: {web[host_keys]}}}
    log_sink: {{kind: journal-remote, endpoint: logs-1}}
    applications:
      shop:
        units: [nginx.service]
        http: {{path: /health, expect: ok}}
  logs-1:
    address: {logs[address]}
    ssh: {{key: {key}, host_keys: {logs[host_keys]}}}
"""

OWN_TEST = """\
def test_host_is_live(host, endpoint):
    assert host.file("/etc/hostname").content_string.strip() == endpoint.name
    assert host.service("ssh").is_running
"""


def look_at(fleet: Fleet, name: str) -> tuple[Manifest, dict[str, object]]:
    machine = connect(fleet, name)
    try:
        facts = read_facts(machine, Deadline.after(60))
        return read_manifest(machine, ("/",), VOLATILE_PATHS, Deadline.after(120)), {n: facts[n] for n in FACTS}
    finally:
        machine.close()


def write_fleet(lab: Fleet, folder: Path) -> None:
    told = {}
    for word, name in (("web", "web-1"), ("logs", "logs-1")):
        location = provisioner_of(lab, name).locate()
        assert location
        told[word] = {"address": location.address, "host_keys": json.dumps(location.host_keys)}
    (folder / "fleet.yml").write_text(FLEET.format(key=lab.endpoint("web-1").ssh.key, **told))
    (folder / "test_own.py").write_text(OWN_TEST)


@pytest.fixture(scope="module")
def observed(
    lab: Fleet, python_elsewhere: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Drilled, list[object], list[object]]:
    folder = tmp_path_factory.mktemp("user")
    write_fleet(lab, folder)
    before = [look_at(lab, name) for name in NAMES]
    run = run_elsewhere(python_elsewhere, folder, "test_own.py")
    return run, before, [look_at(lab, name) for name in NAMES]


def test_strangers_are_observed_and_approved(observed) -> None:
    run = observed[0]
    assert run.status == 0, run.output
    assert run.verdict["mode"] == "observe"
    assert {
        "test_application_is_healthy[web-1-shop]",
        "test_endpoint_logs_to_the_sink_now[web-1]",
        "test_no_unit_has_failed[logs-1]",
        "test_host_is_live[web-1]",
    } <= run.tests("passed")


@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_no_file_has_changed_but_for_churn(observed, index: int) -> None:
    before, after = observed[1][index][0], observed[2][index][0]
    assert len(before.entries) > 5000
    assert unexplained(compare(before, after), churn_rules(())) == []


@pytest.mark.parametrize("has_image", [True, False], ids=["with its image", "a stranger"])
def test_a_whole_observation_takes_three_round_trips_at_most(lab: Fleet, tmp_path: Path, has_image: bool) -> None:
    bench = Bench(lab, lab.endpoint("web-1"), Mode.OBSERVE, tmp_path)
    bench.evidence.image_wanted = learn_image(bench, provisioner_of(lab, "web-1")) if has_image else None
    bench._machine = machine = CountingMachine(connect(lab, "web-1"))
    for _ in range(2):
        machine.calls.clear()
        observation = take_observation(bench, "after", Deadline.after(120))
        assert len(machine.calls) <= 3, machine.calls
        assert observation.unknown == {}
    assert observation.reused_digests > 5000
    bench.disconnect()


@pytest.mark.parametrize("index", range(len(NAMES)), ids=NAMES)
def test_the_system_is_as_before(observed, index: int) -> None:
    assert observed[1][index][1] == observed[2][index][1]
