"""Users' own testinfra checks over a machine, against a real sshd."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from testinfra.host import Host

from redrill.errors import MachineError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.ssh_machine import SshMachine
from redrill.machine.testinfra_backend import make_host
from redrill.model.deadline import Deadline
from selftests.support.sshd import running_sshd


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshMachine]:
    with (
        running_sshd(tmp_path_factory.mktemp("sshd")) as server,
        closing(SshMachine("web-1", server.ssh(), server.location)) as made,
    ):
        yield made


@pytest.fixture(scope="module")
def host(machine: SshMachine) -> Host:
    return make_host(machine)


def test_files_are_seen(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "naïve 'file' $x\n"
    path.write_text("grüße\n")
    path.chmod(0o640)
    file = host.file(str(path))
    assert (file.exists, file.is_file, file.mode, file.size) == (True, True, 0o640, 8)
    assert file.content_string == "grüße\n"
    assert not host.file(str(tmp_path / "none")).exists


def test_commands_are_quoted_and_their_parts_come_back(host: Host) -> None:
    result = host.run("printf %%s %s; echo oops >&2; exit 3", "a'b $HOME")
    assert (result.rc, result.stdout, result.stderr) == (3, "a'b $HOME", "oops\n")


def test_output_that_is_not_utf8_does_not_break_a_check(host: Host) -> None:
    result = host.run(r"printf '\377x'")
    assert (result.stdout_bytes, result.stdout) == (b"\xffx", "\udcffx")


def test_check_output_fails_the_check_when_the_command_fails(host: Host) -> None:
    assert host.check_output("echo fine") == "fine"
    with pytest.raises(AssertionError):
        host.check_output("false")


def test_packages_users_and_facts_are_seen(host: Host) -> None:
    assert host.package("bash").is_installed
    assert not host.package("no-such-package").is_installed
    assert host.user("root").uid == 0
    assert host.system_info.type == "linux"
    assert host.exists("sh")


def test_sudo_wraps_the_command(host: Host) -> None:
    with host.sudo("nobody"):
        assert host.backend.get_command("id -u") == "sudo -u nobody /bin/sh -c 'id -u'"
    assert host.backend.get_command("id -u") == "id -u"


def test_a_check_has_a_deadline(machine: SshMachine) -> None:
    with pytest.raises(MachineError, match="deadline"):
        make_host(machine, seconds=0.2).run("sleep 60")


def test_hosts_are_never_shared_by_testinfra(machine: SshMachine) -> None:
    first, second = make_host(machine), make_host(machine)
    assert first is not second
    assert first.file is not second.file
    assert not Host._host_cache


def test_a_directory_has_no_host(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="is a directory"):
        make_host(LocalMachine("web-1", tmp_path))


def test_the_machine_stays_usable_beside_its_host(machine: SshMachine, host: Host) -> None:
    assert host.run("exit 7").rc == 7
    assert machine.run("echo alive", Deadline.after(10)).text == "alive"
