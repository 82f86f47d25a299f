"""Kernel and environment as they are read, and the rules by which volatile values are left out."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from redrill.probes.facts.catalogue import FACTS
from redrill.probes.facts.volatile import read_rules, settle_items
from selftests.support.certificates import make_certificate


def parse(name: str, text: str, kind: str = "") -> Any:
    return next(fact for fact in FACTS if fact.name == name).parse(text)["runtime"][kind or name]


def test_kernel_parameters_leave_out_what_moves_by_itself() -> None:
    text = "kernel/random/uuid:1\nnet/ipv4/ip_forward:1\nfs/file-nr:1 2 3\nkernel/random/poolsize:256\n"
    assert parse("sysctls", text) == {"net.ipv4.ip_forward": "1", "kernel.random.poolsize": "256"}


def test_a_kernel_parameter_of_several_lines_stays_whole() -> None:
    assert parse("sysctls", "fs/example:one\nfs/example:two\n") == {"fs.example": "one\ntwo"}


def test_the_first_file_of_a_name_declares_and_the_last_name_wins() -> None:
    text = (
        "\x1e/etc/sysctl.d/50-shop.conf\nnet.ipv4.ip_forward = 1\n"
        "\x1e/etc/sysctl.d/99-last.conf\nnet/ipv4/tcp_rmem = 4096  87380\t6291456\n-kernel.sysrq=0\n"
        "\x1e/usr/lib/sysctl.d/50-shop.conf\nnet.ipv4.ip_forward = 0\n"
        "\x1e/usr/lib/sysctl.d/10-first.conf\nkernel.sysrq=176\nnet.ipv4.conf.*.rp_filter = 2\n"
        "-net.ipv4.conf.all.rp_filter\n"
    )
    assert parse("declared sysctls", text) == {
        "kernel.sysrq": "0",
        "net.ipv4.ip_forward": "1",
        "net.ipv4.tcp_rmem": "4096 87380 6291456",
    }


def test_mounts_are_told_without_what_names_the_disk() -> None:
    text = (
        "/dev/vda1 / ext4 rw,relatime,discard 0 0\nproc /proc proc rw,nosuid 0 0\ncgroup /sys/fs/cgroup cgroup ro 0 0\n"
        "tmpfs /run/user/1000 tmpfs rw 0 0\n"
        "files:/export /srv/my\\040data nfs4 rw,noexec,vers=4.2,addr=192.0.2.1 0 0\n\x1e\n"
        "# <file system> <mount point>\nUUID=4711 / ext4 errors=remount-ro 0 1\n/dev/vdb none swap sw 0 0\nbroken\n"
    )
    assert parse("mounts", text) == {"/": "ext4 rw,discard", "/srv/my data": "nfs4 rw,noexec from files:/export"}
    assert parse("mounts", text, "declared mounts") == {"/": "ext4", "none": "swap"}


def test_the_kernel_command_line_keeps_no_secret() -> None:
    words = parse(
        "command line", "BOOT_IMAGE=/vmlinuz root=UUID=4711 console=tty0 console=ttyS0 quiet my.password=hunter2"
    )
    assert words == {"console": "tty0, ttyS0", "my.password": "sha256:f52fbd32b2b3b86f", "quiet": ""}


def test_security_modules_are_told_by_profile() -> None:
    text = "apparmor enabled Y\nprofile /usr/sbin/ntpd (enforce)\nprofile lsb_release (complain)\n"
    assert parse("security modules", text) == {
        "apparmor enabled": "Y",
        "profile /usr/sbin/ntpd": "(enforce)",
        "profile lsb_release": "(complain)",
    }


def test_time_tells_the_zone_by_its_name() -> None:
    text = "zone /usr/share/zoneinfo/Europe/Berlin\nhardware-clock UTC\nsynchronised no\n"
    assert parse("time", text) == {"zone": "Europe/Berlin", "hardware-clock": "UTC", "synchronised": "no"}


def test_variables_of_the_service_manager_are_hashed_unless_harmless() -> None:
    variables = parse("manager environment", "LANG=C.UTF-8\nhttps_proxy=http://user:hunter2@192.0.2.8\nPATH=/usr/bin")
    assert variables["LANG"] == "C.UTF-8"
    assert re.fullmatch("sha256:[0-9a-f]{16}", variables["https_proxy"])


def test_limits_of_log_ins_and_services_and_of_the_first_process_are_one_list() -> None:
    text = (
        "@admin  hard nofile 65536\n\x1e\nDefaultLimitNOFILE=524288\nDefaultTasksMax=28909\n\x1e\n"
        "Max open files            20000                524288               files     \n"
        "Max processes             96365                96365                processes \n"
    )
    assert parse("limits", text) == {
        "@admin hard nofile": "65536",
        "pid 1 Max open files": "20000 524288",
        "systemd DefaultLimitNOFILE": "524288",
    }


def test_container_images_are_read_from_the_indexes_of_podman_and_docker() -> None:
    podman = '[{"id": "4711", "names": ["shop.example/till:1.4", "shop.example/till:latest"]}, {"id": "4712"}]'
    docker = '{"Repositories": {"nginx": {"nginx:1.27": "sha256:ab", "nginx@sha256:cd": "sha256:ab"}}}'
    assert parse("container images", f"{podman}\n\x1e\n{docker}\x1e") == {
        "nginx:1.27": "sha256:ab",
        "shop.example/till:1.4": "4711",
        "shop.example/till:latest": "4711",
    }


def test_certificates_are_read_by_path_and_number() -> None:
    end = datetime(2027, 1, 2, 3, 4, 5, tzinfo=UTC)
    one, two = make_certificate("one.example", end), make_certificate("two.example", end + timedelta(days=1))
    text = (
        f"\x1e/etc/nginx/shop.pem\n{one}\x1e/etc/nginx/shop.pem\n{two}\x1e/etc/bad.crt\n-----BEGIN CERTIFICATE-----\n"
    )
    found = next(fact for fact in FACTS if fact.name == "certificates").parse(text)["certificates"]
    assert {path: (each.subject, each.not_after) for path, each in found.items()} == {
        "/etc/nginx/shop.pem": ("CN=one.example", end),
        "/etc/nginx/shop.pem#2": ("CN=two.example", end + timedelta(days=1)),
        "/etc/bad.crt": (found["/etc/bad.crt"].subject, None),
    }
    assert found["/etc/bad.crt"].subject.startswith("not understood: ")


def test_every_volatile_rule_has_a_reason_and_says_something() -> None:
    for rule in read_rules():
        assert rule.reason
        assert rule.glob or rule.regex or rule.value or rule.strip, rule


@pytest.mark.parametrize(
    ("kind", "item", "value"),
    [
        ("sysctls", "net.ipv4.conf.veth1234.rp_filter", "1"),
        ("units", "session-c7.scope", ""),
        ("units", "user@1000.service", ""),
        ("units", "5f" * 32 + ".timer", ""),
        ("overrides", "/run/systemd/transient/session-3.scope.d/50-After.conf", ""),
        ("listeners", "udp 0.0.0.0:41641", "tailscaled of tailscaled.service"),
        ("listeners", "tcp 0.0.0.0:39173", ""),
        ("listeners", "unix @0a1b2", "x"),
        ("listeners", "tcp 127.0.0.1:6010", "sshd of ssh.service"),
        ("addresses", "fe80::1", "host0"),
        ("mounts", "/run/user/1000", "tmpfs rw"),
        ("mounts", "/var/lib/docker/overlay2/ab/merged", "overlay rw"),
        ("command line", "BOOT_IMAGE", "/vmlinuz"),
        ("efi variables", "Boot0001-8be4df61-93ca-11d2-aa0d-00e098032b8c", ""),
    ],
)
def test_what_is_volatile_is_left_out(kind: str, item: str, value: str) -> None:
    assert settle_items(kind, {item: value}) == {}


@pytest.mark.parametrize(
    ("kind", "item", "value"),
    [
        ("sysctls", "net.ipv4.conf.eth0.rp_filter", "1"),
        ("units", "nginx.service", ""),
        ("overrides", "/run/systemd/system/ssh.service.d/50-incident.conf", ""),
        ("listeners", "tcp 0.0.0.0:2049", ""),
        ("listeners", "tcp 0.0.0.0:39173", "shop of shop.service"),
        ("listeners", "udp 0.0.0.0:53", "named of named.service"),
        ("addresses", "192.0.2.10", "eth0"),
        ("mounts", "/srv/data", "tmpfs rw"),
        ("command line", "mitigations", "off"),
        ("efi variables", "BootOrder-8be4df61-93ca-11d2-aa0d-00e098032b8c", ""),
    ],
)
def test_what_is_a_setting_is_kept(kind: str, item: str, value: str) -> None:
    assert settle_items(kind, {item: value}) == {item: value}
