"""Reading the small facts: from what the commands print to typed values."""

from redrill.probes.facts.catalogue import FACTS
from redrill.probes.facts.system import parse_os_release, parse_packages


def parse(name: str, text: str) -> dict[str, object]:
    return next(fact for fact in FACTS if fact.name == name).parse(text)


def test_listening_sockets_are_read_from_the_kernel() -> None:
    text = (
        "tcp    0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1\n"
        "tcp    1: 0100007F:1F90 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 2\n"
        "tcp 1002: 0B07C612:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 3\n"
        "tcp6    0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 4\n"
        "udp    5: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 5\n"
    )
    assert parse("sockets", text) == {
        "sockets": ("tcp 0.0.0.0:22", "tcp 18.198.7.11:443", "tcp6 [::]:22", "udp 0.0.0.0:68")
    }


def test_units_join_files_and_states_and_leave_out_transient_ones() -> None:
    text = (
        "nginx.service enabled enabled\nredis.service disabled enabled\n\x1e\n"
        "nginx.service loaded active running A web server\nrun-r1.scope loaded active running Something\n"
        "session-3.scope loaded active running Session 3\nghost.service not-found inactive dead ghost.service\n"
    )
    units = parse("units", text)["units"]
    assert isinstance(units, dict)
    assert {name: (unit.enabled, unit.active) for name, unit in units.items()} == {
        "ghost.service": ("none", "inactive (dead)"),
        "nginx.service": ("enabled", "active (running)"),
        "redis.service": ("disabled", "inactive (dead)"),
    }


def test_kernel_parameters_leave_out_what_moves_by_itself() -> None:
    text = "kernel/random/uuid:1\nnet/ipv4/ip_forward:1\nfs/file-nr:1 2 3\nkernel/random/poolsize:256\n"
    assert parse("sysctls", text) == {"sysctls": {"net.ipv4.ip_forward": "1", "kernel.random.poolsize": "256"}}


def test_a_kernel_parameter_of_several_lines_stays_whole() -> None:
    assert parse("sysctls", "fs/example:one\nfs/example:two\n") == {"sysctls": {"fs.example": "one\ntwo"}}


def test_os_release_is_unquoted() -> None:
    text = "# comment\nNAME=\"Debian GNU/Linux\"\nIMAGE_VERSION='1.10'\nID=debian\n"
    assert parse_os_release(text) == {"NAME": "Debian GNU/Linux", "IMAGE_VERSION": "1.10", "ID": "debian"}


def test_only_installed_packages_count() -> None:
    text = "tar:amd64\t1.34\tinstalled\nold:amd64\t1\tconfig-files\n"
    assert parse_packages(text) == {"tar:amd64": "1.34"}


def test_users_that_are_no_lines_of_passwd_are_ignored() -> None:
    users = parse("users", "root:x:0:0:root:/root:/bin/bash\n+::::::\nbroken\n".replace("+::::::\n", ""))["users"]
    assert isinstance(users, dict)
    assert users["root"].shell == "/bin/bash"
