"""Who an endpoint is: the catalogue, how it is read, and what is judged of it."""

import re
from pathlib import Path

import pytest

from redrill.analysis.identity import Situation, find_lost_identities, find_shared_identities, judge_identities
from redrill.errors import UnknownFactError
from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline
from redrill.model.finding import Severity
from redrill.probes.facts.identity import IDENTITY_FACTS, parse_identities, quote_pattern
from redrill.probes.identity_classes import IDENTITY_CLASSES, IdentityClass, Policy
from selftests.observed_samples import file_entry, manifest_of, observe_sample, record_run

FACT = IDENTITY_FACTS[0]


def read(root: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    result = LocalMachine("oak-1", root).run(FACT.command, Deadline.after(20)).checked()
    return FACT.parse(result.text)["identities"]


def write(root: Path, path: str, text: str) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def ids(**values: str) -> dict[str, dict[str, tuple[str, ...]]]:
    return {name.replace("_", "-"): {f"/etc/{name}": (value,)} for name, value in values.items()}


def told(findings) -> set[tuple[str, str, str]]:
    return {(finding.kind, finding.group, finding.detail) for finding in findings}


def test_the_catalogue_knows_at_least_sixty_classes_each_with_its_source_and_reason() -> None:
    assert len(IDENTITY_CLASSES) >= 60
    assert all(each.source and each.why.endswith(".") for each in IDENTITY_CLASSES.values())
    assert all(path.startswith("/") for each in IDENTITY_CLASSES.values() for path in each.paths)


def test_no_identity_is_only_worth_a_note() -> None:
    assert all(each.severity is not Severity.NOTE for each in IDENTITY_CLASSES.values())


def test_what_must_be_unique_is_not_kept_by_another_host() -> None:
    kept = {name for name, each in IDENTITY_CLASSES.items() if each.unique and each.relocate is Policy.KEEP}
    assert kept == {"home-signing-key"}


def test_a_class_is_read_from_files_or_by_a_command() -> None:
    words = {"name": "x", "source": "s", "replace": "keep", "relocate": "renew", "unique": True, "why": "w."}
    for more in ({}, {"paths": ["/etc/x"], "command": "true"}):
        with pytest.raises(ValueError, match="either paths or a command"):
            IdentityClass.model_validate({**words, "severity": "minor", **more})


def test_only_hashes_leave_an_endpoint(tmp_path: Path) -> None:
    write(tmp_path, "etc/machine-id", "5f0c6d3b3b9e4a55a2c3d1f09f7f6c11\n")
    write(tmp_path, "etc/wireguard/wg0.conf", "PrivateKey = very-secret\n")
    output = LocalMachine("oak-1", tmp_path).run(FACT.command, Deadline.after(20)).checked().text
    assert "5f0c6d3b" not in output
    assert "secret" not in output
    assert re.fullmatch(r"machine-id\t/etc/machine-id\t[0-9a-f]{16}", output.splitlines()[0])
    assert {"machine-id", "wireguard-keys"} == read(tmp_path).keys()


def test_a_host_key_is_the_same_whatever_its_comment_says(tmp_path: Path) -> None:
    key = write(tmp_path, "etc/ssh/ssh_host_ed25519_key.pub", "ssh-ed25519 AAAAC3Nz root@web-1\n")
    first = read(tmp_path)
    key.write_text("ssh-ed25519 AAAAC3Nz root@web-2\n")
    assert read(tmp_path) == first
    key.write_text("ssh-ed25519 BBBBC3Nz root@web-2\n")
    assert read(tmp_path) != first


@pytest.mark.parametrize(
    ("path", "line", "same", "other"),
    [
        ("etc/hostname", "web-1\n", "  web-1   # the shop\n", "web-2\n"),
        ("etc/iscsi/initiatorname.iscsi", "InitiatorName=a\n", "# mine\nInitiatorName = a \n", "InitiatorName=b\n"),
        ("etc/zabbix/zabbix_agentd.conf", "Hostname=web 1\n", "Server=z\nHostname = web 1\n", "Hostname=web 2\n"),
        ("var/lib/dhcp/a.leases", 'default-duid "a;b";\n', 'x\n  default-duid "a;b";\n' * 2, 'default-duid "c";\n'),
        ("var/lib/mysql/auto.cnf", "[auto]\nserver-uuid=1-2\n", "[auto]\nserver-uuid = 1-2\n", "server-uuid=1-3\n"),
        ("etc/popularity-contest.conf", 'MY_HOSTID="1f"\n', 'PARTICIPATE="no"\nMY_HOSTID="1f"\n', 'MY_HOSTID="2f"\n'),
        ("var/lib/snmp/snmpd.conf", "oldEngineID 0x80\n", "engineBoots 7\noldEngineID 0x80\n", "oldEngineID 0x81\n"),
        ("etc/fstab", "UUID=a / ext4\n", "#UUID=b / ext4\nUUID=a / xfs\n", "UUID=c / ext4\n"),
        (
            "var/lib/systemd/journal-upload/state",
            "LAST_CURSOR=s=0a;i=1;b=2\n",
            "LAST_CURSOR=s=0a;i=9;b=9\n",
            "LAST_CURSOR=s=0b;i=1;b=2\n",
        ),
    ],
)  # fmt: skip
def test_only_the_line_that_matters_is_looked_at(tmp_path: Path, path: str, line: str, same: str, other: str) -> None:
    file = write(tmp_path, path, line)
    first = read(tmp_path)
    assert first
    file.write_text(same)
    assert read(tmp_path) == first
    file.write_text(other)
    assert read(tmp_path) != first


def test_a_link_of_a_directory_is_not_followed(tmp_path: Path) -> None:
    write(tmp_path, "etc/hostname", "oak-1\n")
    (tmp_path / "etc/machine-id").symlink_to("/etc/machine-id")
    assert read(tmp_path).keys() == {"hostname"}


def test_an_empty_file_is_no_identity(tmp_path: Path) -> None:
    write(tmp_path, "etc/machine-id", "")
    assert read(tmp_path) == {}


def test_each_value_of_a_unique_class_is_told_by_itself(tmp_path: Path) -> None:
    write(tmp_path, "etc/systemd/networkd.conf", "DUIDRawData=00:01\nDUIDRawData=00:02\n")
    write(tmp_path, "etc/fstab", "UUID=a /\nUUID=b /srv\n")
    found = read(tmp_path)
    assert len(found["dhcp-duid-networkd"]["/etc/systemd/networkd.conf"]) == 2
    assert len(found["filesystem-uuids"]["/etc/fstab"]) == 1


def test_what_is_no_hash_is_refused() -> None:
    with pytest.raises(ValueError, match="has no hash"):
        parse_identities("machine-id\t/etc/machine-id\tnone")


def test_patterns_are_quoted_but_for_what_is_special_in_them() -> None:
    assert quote_pattern("/srv/the shop/*/$x[ab]?") == "'/srv/the shop/'*'/$x'[ab]?"


def test_an_endpoint_that_comes_back_keeps_what_it_had() -> None:
    before = ids(machine_id="a", hostname="web", kerberos_host_keytab="k")
    after = ids(machine_id="b", hostname="web", chef_client="new")
    assert told(judge_identities(before, after, Situation.REPLACE, "web-1")) == {
        ("changed", "machine-id", "is another than before"),
        ("gone", "kerberos-host-keytab", "was there before, and is not any more"),
        ("new", "chef-client", "was not there before"),
    }


def test_a_random_seed_must_never_be_used_again() -> None:
    same = judge_identities(ids(random_seed="s"), ids(random_seed="s"), Situation.REPLACE, "web-1")
    assert [(finding.kind, finding.severity) for finding in same] == [("not renewed", Severity.CRITICAL)]
    assert judge_identities(ids(random_seed="s"), ids(random_seed="t"), Situation.REPLACE, "web-1") == []
    assert judge_identities(ids(random_seed="s"), {}, Situation.REPLACE, "web-1") == []


@pytest.mark.parametrize("name", IDENTITY_CLASSES)
@pytest.mark.parametrize("situation", Situation)
def test_every_class_is_judged_by_its_policy(name: str, situation: Situation) -> None:
    policy = getattr(IDENTITY_CLASSES[name], situation.value)
    same = judge_identities({name: {"/f": ("a",)}}, {name: {"/f": ("a",)}}, situation, "web-1")
    other = judge_identities({name: {"/f": ("a",)}}, {name: {"/f": ("b",)}}, situation, "web-1")
    assert bool(same) == (policy is Policy.RENEW)
    assert bool(other) == (policy is Policy.KEEP)
    assert all(finding.severity is IDENTITY_CLASSES[name].severity for finding in same + other)


def test_what_moves_to_another_host_is_another_host() -> None:
    before = ids(machine_id="a", ssh_host_key_ed25519="k", root_authorized_keys="r", hostname="web")
    findings = judge_identities(before, before, Situation.RELOCATE, "web-1")
    assert {finding.group for finding in findings} == {"machine-id", "ssh-host-key-ed25519", "hostname"}


def test_lost_identities_are_found_in_the_records_of_a_drill(tmp_path: Path) -> None:
    before = {"web-1": observe_sample("web-1", identities=ids(machine_id="a"))}
    after = {"web-1": observe_sample("web-1", identities=ids(machine_id="b"))}
    findings = find_lost_identities(record_run(tmp_path, after, before)["web-1"])
    assert [str(finding) for finding in findings] == ["machine-id /etc/machine_id: is another than before"]


@pytest.mark.parametrize(
    "facts", [{}, {"identities": ids(machine_id="a"), "unknown": {"identities": "only root"}}], ids=["old", "unread"]
)
def test_identities_that_were_not_seen_are_unknown(tmp_path: Path, facts) -> None:
    drift = record_run(tmp_path, {"web-1": observe_sample("web-1", **facts)})["web-1"]
    with pytest.raises(UnknownFactError):
        find_shared_identities(drift)


def test_a_duplicate_is_told_at_each_endpoint_and_names_the_others(tmp_path: Path) -> None:
    seen = {"web-1": "a", "web-2": "a", "web-3": "b", "web-4": "a"}
    drifts = record_run(tmp_path, {n: observe_sample(n, identities=ids(machine_id=v)) for n, v in seen.items()})
    found = {name: [finding.detail for finding in find_shared_identities(drift)] for name, drift in drifts.items()}
    assert found == {
        "web-1": ["the same as on web-2, web-4"],
        "web-2": ["the same as on web-1, web-4"],
        "web-3": [],
        "web-4": ["the same as on web-1, web-2"],
    }


def test_what_endpoints_may_share_is_no_duplicate(tmp_path: Path) -> None:
    shared = {n: observe_sample(n, identities=ids(root_authorized_keys="a")) for n in ("web-1", "web-2")}
    assert find_shared_identities(record_run(tmp_path, shared)["web-1"]) == []


def test_one_of_several_values_is_enough_for_a_duplicate(tmp_path: Path) -> None:
    cards = {"web-1": ("m1", "m2"), "web-2": ("m2", "m3")}
    seen = {name: observe_sample(name, identities={"hardware-address": {"": macs}}) for name, macs in cards.items()}
    (finding,) = find_shared_identities(record_run(tmp_path, seen)["web-1"])
    assert (finding.subject, finding.detail) == ("hardware-address", "the same as on web-2")


def test_a_key_that_the_image_ships_is_nobodys_own(tmp_path: Path) -> None:
    key = "/etc/ssl/private/ssl-cert-snakeoil.key"
    image = manifest_of(tmp_path, "image.jsonl", file_entry(key, "ab" * 32))
    for value, number in (("ab" * 8, 1), ("cd" * 8, 0)):
        seen = {"web-1": observe_sample("web-1", identities={"self-made-tls-key": {key: (value,)}})}
        findings = find_shared_identities(record_run(tmp_path, seen, image=image)["web-1"])
        assert [finding.kind for finding in findings] == ["from the image"] * number
