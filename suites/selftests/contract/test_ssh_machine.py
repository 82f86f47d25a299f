"""What holds for SSH alone: host keys, log-in, jump hosts, lost connections, silent servers; all with a real sshd."""

import signal
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from redrill.errors import HostKeyError, MachineError
from redrill.machine.host_keys import parse_key
from redrill.machine.protocol import Result
from redrill.machine.ssh_machine import OldBoot, OldBootError, SshMachine, wait_for_ssh
from redrill.model.deadline import Deadline, wait_until
from redrill.model.record import Location
from selftests.support.sshd import Sshd, make_key, running_sshd

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[Sshd]:
    with running_sshd(tmp_path / "sshd") as server:
        yield server


@pytest.fixture
def machine(sshd: Sshd) -> Iterator[SshMachine]:
    with closing(SshMachine("web-1", sshd.ssh(), sshd.location)) as made:
        yield made


def soon(seconds: float = 20) -> Deadline:
    return Deadline.after(seconds)


def started(machine: SshMachine, directory: Path, pool: ThreadPoolExecutor) -> Future[Result]:
    """Start a command that waits for ever and return its future when it runs."""
    future = pool.submit(machine.run, f"echo x > {directory}/started; sleep 60", soon())
    wait_until(lambda _: (directory / "started").exists() or None, soon())
    return future


# Host keys


def test_another_host_key_is_refused_before_any_log_in(sshd: Sshd, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    machine = SshMachine("web-1", sshd.ssh(), sshd.location.model_copy(update={"host_keys": (other,)}))
    with pytest.raises(HostKeyError) as caught:
        machine.run("touch /nothing-was-sent", soon())
    shown, pinned = parse_key(sshd.host_key).fingerprint, parse_key(other).fingerprint
    assert all(word in str(caught.value) for word in ("web-1", f"127.0.0.1:{sshd.port}", shown, pinned))
    assert "userauth" not in sshd.log.read_text()


def test_the_pinned_host_key_lets_the_log_in_happen(sshd: Sshd, machine: SshMachine) -> None:
    machine.connect(soon())
    assert "userauth" in sshd.log.read_text()


def test_without_a_pinned_key_nothing_is_contacted(sshd: Sshd) -> None:
    before = sshd.log.read_text().count("Connection from")
    machine = SshMachine("web-1", sshd.ssh(), Location(address="127.0.0.1", port=sshd.port))
    with pytest.raises(HostKeyError, match=r"no host key is pinned.*ssh-keyscan"):
        machine.run("true", soon())
    assert sshd.log.read_text().count("Connection from") == before


def test_a_pinned_type_that_the_host_does_not_have_is_refused_before_any_log_in(sshd: Sshd, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "ecdsa")], check=True)
    line = (tmp_path / "ecdsa.pub").read_text().strip()
    machine = SshMachine("web-1", sshd.ssh(), sshd.location.model_copy(update={"host_keys": (line,)}))
    with pytest.raises(HostKeyError, match=r"no acceptable host key.*ecdsa-sha2-nistp256"):
        machine.run("true", soon())
    assert "userauth" not in sshd.log.read_text()


def test_an_rsa_host_key_is_checked_too(tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "2048", "-N", "", "-f", str(tmp_path / "rsa")], check=True)
    line = (tmp_path / "rsa.pub").read_text().strip()
    with running_sshd(tmp_path / "sshd", f"HostKey {tmp_path}/rsa") as sshd:
        location = sshd.location.model_copy(update={"host_keys": (line,)})
        with closing(SshMachine("web-1", sshd.ssh(), location)) as machine:
            assert machine.run("echo in", soon()).text == "in"


def test_a_known_hosts_file_pins_as_well(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "known").write_text(f"[127.0.0.1]:{sshd.port} {sshd.host_key}\n")
    place = Location(address="127.0.0.1", port=sshd.port)
    with closing(SshMachine("web-1", sshd.ssh(known_hosts=tmp_path / "known"), place)) as machine:
        assert machine.run("echo in", soon()).text == "in"


# Log-in


def test_a_key_that_the_server_does_not_know_is_named(sshd: Sshd, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    machine = SshMachine("web-1", sshd.ssh(key=tmp_path / "stranger"), sshd.location)
    with pytest.raises(MachineError, match=rf"did not let '{sshd.user}' in; tried: '.*/stranger'"):
        machine.connect(soon())


def test_a_key_file_that_is_not_there_is_named(sshd: Sshd, tmp_path: Path) -> None:
    machine = SshMachine("web-1", sshd.ssh(key=tmp_path / "none"), sshd.location)
    with pytest.raises(MachineError, match="none' does not exist"):
        machine.connect(soon())


def test_a_key_from_an_agent_logs_in(sshd: Sshd, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    agent_socket = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(agent_socket)], stdout=subprocess.DEVNULL)
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(agent_socket))
        monkeypatch.setenv("HOME", str(tmp_path))
        add = ["ssh-add", "-q", str(sshd.key)]
        wait_until(lambda _: subprocess.run(add, check=False, capture_output=True).returncode == 0 or None, soon())
        with closing(SshMachine("web-1", sshd.ssh(key=None), sshd.location)) as machine:
            assert machine.run("echo in", soon()).text == "in"
    finally:
        agent.terminate()
        agent.wait()


def test_an_identity_file_of_the_configuration_logs_in(sshd: Sshd, tmp_path: Path) -> None:
    (tmp_path / "config").write_text(f"Host 127.0.0.1\n  IdentityFile {sshd.key}\n  IdentitiesOnly yes\n")
    ssh = sshd.ssh(key=None, config=tmp_path / "config")
    with closing(SshMachine("web-1", ssh, sshd.location)) as machine:
        assert machine.run("echo in", soon()).text == "in"


# Jump hosts


def test_a_jump_host_leads_to_the_endpoint(sshd: Sshd, tmp_path: Path) -> None:
    with running_sshd(tmp_path / "jump") as jump:
        jump.authorize(sshd.key.with_suffix(".pub").read_text())
        (tmp_path / "known").write_text(f"[127.0.0.1]:{jump.port} {jump.host_key}\n")
        way = f"{jump.user}@127.0.0.1:{jump.port}"
        with closing(SshMachine("web-1", sshd.ssh(proxy_jump=way, known_hosts=tmp_path / "known"), sshd.location)) as m:
            assert m.run("echo through", soon()).text == "through"
            assert m.send("wc -c", iter([bytes(3_000_000)]), soon()).text.strip() == "3000000"
        assert "direct-tcpip" in jump.log.read_text()


def test_a_jump_host_with_another_key_is_refused(sshd: Sshd, tmp_path: Path) -> None:
    with running_sshd(tmp_path / "jump") as jump:
        (tmp_path / "known").write_text(f"[127.0.0.1]:{jump.port} {make_key(tmp_path / 'other')}\n")
        way = f"127.0.0.1:{jump.port}"
        machine = SshMachine("web-1", sshd.ssh(proxy_jump=way, known_hosts=tmp_path / "known"), sshd.location)
        with pytest.raises(HostKeyError, match=f"127.0.0.1:{jump.port}"):
            machine.connect(soon())
        assert "userauth" not in jump.log.read_text()


# Sessions and lost connections


def test_streams_find_room_beside_the_shell_when_a_connection_allows_one_session(tmp_path: Path) -> None:
    with (
        running_sshd(tmp_path / "sshd", "MaxSessions 1") as sshd,
        closing(SshMachine("web-1", sshd.ssh(), sshd.location)) as machine,
    ):
        assert machine.run("echo shell", soon()).text == "shell"
        with machine.receive("echo first; sleep 0.2", soon()) as chunks:
            assert next(chunks) == b"first\n"
            assert machine.send("cat", iter([b"second"]), soon()).text == "second"
            assert machine.run("echo shell", soon()).text == "shell"


def test_a_server_that_allows_no_session_says_so(tmp_path: Path) -> None:
    with (
        running_sshd(tmp_path / "sshd", "MaxSessions 0") as sshd,
        closing(SshMachine("web-1", sshd.ssh(), sshd.location)) as machine,
        pytest.raises(MachineError, match="refuses"),
    ):
        machine.run("true", soon())


def test_a_connection_lost_between_commands_is_made_anew(sshd: Sshd, machine: SshMachine) -> None:
    machine.run("true", soon())
    sshd.drop_connections()
    wait_until(lambda _: None if sshd.connection_pids else True, soon())
    assert machine.run("echo again", soon()).text == "again"


def test_a_connection_lost_in_a_command_is_an_error_and_not_a_second_try(
    sshd: Sshd, machine: SshMachine, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(1) as pool:
        future = started(machine, tmp_path, pool)
        (tmp_path / "started").unlink()
        sshd.drop_connections()
        with pytest.raises(MachineError, match=r"lost while .*sleep 60"):
            future.result(20)
    assert not (tmp_path / "started").exists()
    assert machine.run("echo again", soon()).text == "again"


def test_a_torn_receive_never_looks_whole(sshd: Sshd, machine: SshMachine) -> None:
    with pytest.raises(MachineError, match="lost"), machine.receive("echo part; sleep 60", soon()) as chunks:
        drop_and_read_on(sshd, chunks)


def drop_and_read_on(sshd: Sshd, chunks: Iterator[bytes]) -> None:
    assert next(chunks) == b"part\n"
    sshd.drop_connections()
    list(chunks)
    pytest.fail("the stream ended as if it were whole")


def test_a_send_over_a_lost_connection_is_an_error(sshd: Sshd, machine: SshMachine) -> None:
    def torn() -> Iterator[bytes]:
        yield b"x"
        sshd.drop_connections()
        yield from (bytes(1 << 16) for _ in range(1000))

    with pytest.raises(MachineError, match="lost"):
        machine.send("cat >/dev/null", torn(), soon())


def test_a_shell_that_its_command_kills_is_replaced(machine: SshMachine) -> None:
    with pytest.raises(MachineError, match="shell itself ended"):
        machine.run("kill -9 $$", soon())
    assert machine.run("echo again", soon()).text == "again"


def test_a_command_waits_for_its_turn_no_longer_than_its_deadline(machine: SshMachine, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        future = started(machine, tmp_path, pool)
        with pytest.raises(MachineError, match="busy"):
            machine.run("true", soon(0.2))
        machine.close()
        with pytest.raises(MachineError, match="lost"):
            future.result(20)


def test_a_closed_machine_stays_closed(machine: SshMachine) -> None:
    machine.run("true", soon())
    machine.close()
    with pytest.raises(MachineError, match="was closed"):
        machine.run("true", soon())


# Servers that say nothing


def test_a_stopped_server_cannot_outlast_a_deadline(sshd: Sshd, machine: SshMachine) -> None:
    machine.run("true", soon())
    sshd.signal_all(signal.SIGSTOP)
    try:
        with pytest.raises(MachineError, match="deadline"):
            machine.run("echo late", soon(0.5))
        with pytest.raises(MachineError, match="web-1"):
            machine.send("cat", iter(lambda: bytes(1 << 20), None), soon(0.5))
        with pytest.raises(MachineError, match="silent"):
            SshMachine("web-1", sshd.ssh(), sshd.location).connect(soon(0.5))
    finally:
        sshd.signal_all(signal.SIGCONT)
    assert machine.run("echo back", soon()).text == "back"


def test_a_server_that_stops_in_the_middle_of_a_send_cannot_outlast_the_deadline(
    sshd: Sshd, machine: SshMachine
) -> None:
    def endless() -> Iterator[bytes]:
        yield bytes(1 << 20)
        sshd.signal_all(signal.SIGSTOP)
        yield from iter(lambda: bytes(1 << 20), None)

    try:
        with pytest.raises(MachineError, match="web-1"):
            machine.send("cat", endless(), soon(1))
    finally:
        sshd.signal_all(signal.SIGCONT)


def test_a_closed_port_is_told_at_once(sshd: Sshd) -> None:
    location = sshd.location.model_copy(update={"port": 1})
    with pytest.raises(MachineError, match=r"127.0.0.1:1\) cannot be reached: Connection refused"):
        SshMachine("web-1", sshd.ssh(), location).connect(soon())


# Waiting for a system


def test_waiting_ends_when_the_server_comes_up(tmp_path: Path) -> None:
    ready: list[Sshd] = []
    done = threading.Event()

    def serve() -> None:
        with running_sshd(tmp_path / "sshd") as sshd:
            ready.append(sshd)
            done.wait(30)

    def make() -> SshMachine:
        if not ready:
            return SshMachine("web-1", nobody.ssh(), nobody.location)
        return SshMachine("web-1", ready[0].ssh(), ready[0].location)

    nobody = Sshd(0, 1, make_key(tmp_path / "id"), tmp_path, "root")
    server = threading.Thread(target=serve)
    server.start()
    try:
        with closing(wait_for_ssh(make, soon(), OldBoot("of-another-time"))) as machine:
            assert machine.run("cat /proc/sys/kernel/random/boot_id", soon()).text == BOOT_ID.read_text().strip()
    finally:
        done.set()
        server.join()


def test_the_old_boot_is_not_taken_for_the_new_one(sshd: Sshd) -> None:
    old = BOOT_ID.read_text().strip()
    with pytest.raises(MachineError, match=f"still answers from the boot {old}"):
        wait_for_ssh(lambda: SshMachine("web-1", sshd.ssh(), sshd.location), soon(0.3), OldBoot(old))


def test_the_old_boot_is_final_once_its_grace_is_over(sshd: Sshd) -> None:
    old = OldBoot(BOOT_ID.read_text().strip(), grace=0.1)
    with pytest.raises(OldBootError):
        wait_for_ssh(lambda: SshMachine("web-1", sshd.ssh(), sshd.location), soon(30), old)


def test_another_host_key_ends_the_waiting_unless_an_old_boot_may_answer(sshd: Sshd, tmp_path: Path) -> None:
    location = sshd.location.model_copy(update={"host_keys": (make_key(tmp_path / "other"),)})
    attempts: list[SshMachine] = []

    def make() -> SshMachine:
        attempts.append(SshMachine("web-1", sshd.ssh(), location))
        return attempts[-1]

    with pytest.raises(HostKeyError):
        wait_for_ssh(make, soon())
    assert len(attempts) == 1
    with pytest.raises(HostKeyError):
        wait_for_ssh(make, soon(0.5), OldBoot("of-another-time"))
    assert len(attempts) > 2


def test_a_host_key_of_neither_boot_ends_the_waiting_at_once(sshd: Sshd, tmp_path: Path) -> None:
    new, old = make_key(tmp_path / "new"), make_key(tmp_path / "old")
    location = sshd.location.model_copy(update={"host_keys": (new,)})
    attempts: list[SshMachine] = []

    def make() -> SshMachine:
        attempts.append(SshMachine("web-1", sshd.ssh(), location))
        return attempts[-1]

    with pytest.raises(HostKeyError):
        wait_for_ssh(make, soon(), OldBoot("of-another-time", (old,)))
    assert len(attempts) == 1


def test_the_host_key_of_the_old_boot_is_waited_out_for_its_grace(sshd: Sshd, tmp_path: Path) -> None:
    location = sshd.location.model_copy(update={"host_keys": (make_key(tmp_path / "new"),)})
    attempts: list[SshMachine] = []

    def make() -> SshMachine:
        attempts.append(SshMachine("web-1", sshd.ssh(), location))
        return attempts[-1]

    with pytest.raises(HostKeyError):
        wait_for_ssh(make, soon(30), OldBoot("of-another-time", sshd.location.host_keys, grace=0.3))
    assert len(attempts) > 2


def test_a_missing_pin_ends_the_waiting_at_once(sshd: Sshd) -> None:
    with pytest.raises(HostKeyError, match="no host key is pinned"):
        wait_for_ssh(
            lambda: SshMachine("web-1", sshd.ssh(), Location(address="127.0.0.1", port=sshd.port)),
            soon(),
            OldBoot("old"),
        )
