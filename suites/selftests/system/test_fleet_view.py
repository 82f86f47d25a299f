"""Three real web servers side by side: who is not like the others, and who is somebody else as well."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from redrill.loader import load_fleet
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from selftests.support.drills import Drilled, run_redrill
from selftests.support.labs import connect, lab_fleet, standing
from selftests.support.planting import package

WEBS = ("web-1", "web-2", "web-3")
_RSA_KEY = "/etc/ssh/ssh_host_rsa_key"
_LEASES = "/var/lib/dhcp/dhclient.leases"

Told = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Planted:
    """What makes an endpoint differ, how that is undone, and the findings by kind and subject."""

    endpoint: str
    plant: str
    heal: str
    findings: frozenset[tuple[str, str]]


def planted(endpoint: str, plant: str, heal: str, **findings: str) -> Planted:
    """Return what is planted; ``findings`` are subjects by facet."""
    return Planted(endpoint, plant, heal, frozenset((f"outlier: {facet}", item) for facet, item in findings.items()))


_SITE = "/etc/nginx/sites-available/shop"
_UPLOAD = "systemd-journal-upload.service"

OUTLIERS = {
    "a package": planted(
        "web-1",
        package("stock-agent", has_files=False),
        "dpkg --purge stock-agent",
        packages="stock-agent:all",
    ),
    "a kernel parameter": planted(
        "web-1",
        "sysctl -qw net.ipv4.tcp_syn_retries=3",
        "sysctl -qw net.ipv4.tcp_syn_retries=6",
        sysctls="net.ipv4.tcp_syn_retries",
    ),
    "a service that is not enabled": planted(
        "web-2",
        f"systemctl -q disable {_UPLOAD}",
        f"systemctl -q enable {_UPLOAD}",
        units=_UPLOAD,
        files=f"/etc/systemd/system/multi-user.target.wants/{_UPLOAD}",
    ),
    "a port": planted(
        "web-2",
        f"sed -i 's/listen 80 default_server;/& listen 8080;/' {_SITE} && systemctl reload nginx",
        f"sed -i 's/ listen 8080;//' {_SITE} && systemctl reload nginx",
        listeners="tcp 0.0.0.0:8080",
        files=_SITE,
    ),
    "a configuration file": planted(
        "web-3",
        "echo 'gzip_comp_level 9;' >/etc/nginx/conf.d/tuned.conf",
        "rm /etc/nginx/conf.d/tuned.conf",
        files="/etc/nginx/conf.d/tuned.conf",
    ),
    "the mode of a secret": planted("web-3", "chmod 644 /etc/shadow", "chmod 640 /etc/shadow", files="/etc/shadow"),
    "a user": planted(
        "web-3",
        "echo 'support:x:0:0::/root:/bin/sh' >>/etc/passwd",
        "sed -i /^support:/d /etc/passwd",
        users="support",
        files="/etc/passwd",
    ),
}

DUPLICATES = {
    "the machine id": ("web-1", "web-2", "cat /etc/machine-id", "cat >/etc/machine-id", {"machine-id /etc/machine-id"}),
    "a host key": (
        "web-2",
        "web-3",
        f"ssh-keygen -q -t rsa -b 2048 -N '' -f {_RSA_KEY} && tar -C /etc/ssh -c ssh_host_rsa_key ssh_host_rsa_key.pub",
        "tar -C /etc/ssh -x",
        {f"ssh-host-key-rsa {_RSA_KEY}.pub", f"ssh-host-private-keys {_RSA_KEY}"},
    ),
    "the DUID of its DHCP client": (
        "web-1",
        "web-3",
        f"mkdir -p /var/lib/dhcp && echo 'default-duid \"\\000\\001same\";' >{_LEASES} && cat {_LEASES}",
        f"mkdir -p /var/lib/dhcp && cat >{_LEASES}",
        {f"dhcp-duid-dhclient {_LEASES}"},
    ),
}


@dataclass
class Webs:
    """A running lab of three web servers and their log sink."""

    folder: Path
    file: Path
    fleet: Fleet

    def run(self, endpoint: str, script: str, given: bytes | None = None) -> bytes:
        machine = connect(self.fleet, endpoint)
        try:
            if given is None:
                return machine.run(script, Deadline.after(30)).checked().stdout
            return machine.send(script, iter([given]), Deadline.after(30)).checked().stdout
        finally:
            machine.close()

    def observe(self, name: str) -> Drilled:
        return run_redrill(self.file, self.folder / name, *(f"--redrill-endpoint={web}" for web in WEBS))


@pytest.fixture(scope="module")
def webs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webs]:
    folder = tmp_path_factory.mktemp("webs")
    file = lab_fleet(folder, "webs", "198.18.87")
    document = yaml.safe_load(file.read_text())
    for number, web in enumerate(WEBS, 1):
        document["endpoints"][web] = {"role": "web", "address": f"198.18.87.{20 + number}"}
    for other in ("db-1", "kv-1"):
        del document["endpoints"][other]
    file.write_text(json.dumps(document, indent=1))
    fleet = load_fleet(file)
    with standing(fleet):
        yield Webs(folder, file, fleet)


@pytest.fixture(scope="module")
def different(webs: Webs) -> Drilled:
    """One observation of the three, each made an outlier in its own ways, and alike again afterwards."""
    try:
        for each in OUTLIERS.values():
            webs.run(each.endpoint, each.plant)
        return webs.observe("different")
    finally:
        for each in OUTLIERS.values():
            webs.run(each.endpoint, each.heal)


@pytest.fixture(scope="module")
def cloned(webs: Webs) -> Drilled:
    """One observation of the three, of which each pair shares an identity; the last, for nothing heals it."""
    for first, second, read, write, _ in DUPLICATES.values():
        webs.run(second, write, webs.run(first, read))
    return webs.observe("cloned")


def findings_of(drilled: Drilled) -> set[Told]:
    """Return endpoint, kind and subject of every finding that breaks a promise, gravest or not."""
    assert drilled.folder
    rows = [json.loads(line) for line in (drilled.folder / "findings.jsonl").read_text().splitlines()]
    found = [row.get("finding", row) for row in rows]
    return {(each["endpoint"], each["kind"], each["subject"]) for each in found if each["severity"] != "note"}


def test_web_servers_of_one_image_and_one_day_1_are_alike_and_themselves(webs: Webs) -> None:
    drilled = webs.observe("alike")
    assert (drilled.red, drilled.status, findings_of(drilled)) == (set(), 0, set()), drilled.output[-6000:]
    assert {f"test_endpoint_is_like_its_role[{web}]" for web in WEBS} <= drilled.tests("passed")


@pytest.mark.parametrize("name", OUTLIERS)
def test_an_outlier_is_told_at_the_endpoint_that_differs(different: Drilled, name: str) -> None:
    each = OUTLIERS[name]
    assert {(each.endpoint, *told) for told in each.findings} <= findings_of(different), different.output[-6000:]


def test_nothing_else_is_told_of_outliers(different: Drilled) -> None:
    planted = {(each.endpoint, *told) for each in OUTLIERS.values() for told in each.findings}
    assert findings_of(different) == planted
    assert different.red == {f"test_endpoint_is_like_its_role[{web}]" for web in WEBS}


@pytest.mark.parametrize("name", DUPLICATES)
def test_a_duplicate_is_told_at_both_endpoints(cloned: Drilled, name: str) -> None:
    first, second, _, _, subjects = DUPLICATES[name]
    wanted = {(web, "duplicate", subject) for web in (first, second) for subject in subjects}
    assert wanted <= findings_of(cloned), cloned.output[-6000:]


def test_nothing_else_is_told_of_duplicates(cloned: Drilled) -> None:
    wanted = {
        (web, "duplicate", subject)
        for a, b, _, _, subjects in DUPLICATES.values()
        for web in (a, b)
        for subject in subjects
    }
    assert findings_of(cloned) == wanted
    assert cloned.red == {f"test_identity_is_its_own[{web}]" for web in WEBS}


def test_two_endpoints_of_a_role_have_no_majority(webs: Webs) -> None:
    two = ("--redrill-endpoint=web-1", "--redrill-endpoint=web-2")
    drilled = run_redrill(webs.file, webs.folder / "two", *two, "-klike_its_role", "-rs")
    assert drilled.tests("skipped") == {
        "test_endpoint_is_like_its_role[web-1]",
        "test_endpoint_is_like_its_role[web-2]",
    }
    assert "2 endpoints of role 'web' were observed; a majority needs 3" in drilled.output
