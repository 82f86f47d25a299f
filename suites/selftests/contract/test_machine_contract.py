"""What every machine keeps: a directory on the controller, and a system behind a real sshd."""

import hashlib
import io
import shlex
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from redrill.errors import CommandError, MachineError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline, wait_until
from selftests.support.sshd import Sshd, running_sshd

NAUGHTY = [
    "",
    " ",
    "'",
    '"',
    "''\"\"",
    "`touch pwned`",
    "$(touch pwned)",
    "$HOME ${IFS} $0 $$",
    "; touch pwned #",
    "a\nb\n\nc",
    "\ttab\\ttab\\\\",
    "-n",
    "--help",
    "*?[a-z]",
    "~root !! %s %d",
    "\u202e\u2066 Ω≈ç√ \U0001f4a9",
    "\udcff\udc80 not UTF-8",
    "\x01\x02\x1b[31m\x7f",
    "x" * 50_000,
    "EOF\n<<EOF",
]
BIG = 30_000_000


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with running_sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="module", params=["local", "ssh"])
def machine(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    if request.param == "local":
        yield LocalMachine("web-1", tmp_path_factory.mktemp("root"))
        return
    server: Sshd = request.getfixturevalue("sshd")
    with closing(SshMachine("web-1", server.ssh(), server.location)) as connected:
        yield connected


def soon(seconds: float = 30) -> Deadline:
    return Deadline.after(seconds)


@contextmanager
def said(*words: str) -> Iterator[None]:
    """Expect a MachineError that holds all words."""
    with pytest.raises(MachineError) as caught:
        yield
    assert all(word in str(caught.value) for word in words), str(caught.value)


@pytest.mark.parametrize("status", [0, 1, 3, 126, 255])
def test_the_exit_status_of_a_command_is_known(machine: Machine, status: int) -> None:
    assert machine.run(f"exit {status}", soon()).exit_status == status


def test_a_command_that_does_not_exist_ends_with_127(machine: Machine) -> None:
    assert machine.run("no-such-command", soon()).exit_status == 127


def test_a_command_killed_by_a_signal_ends_with_128_and_its_number(machine: Machine) -> None:
    assert machine.run("sh -c 'kill -9 $$'; exit $?", soon()).exit_status == 137


def test_both_streams_come_back_apart_and_as_bytes(machine: Machine) -> None:
    result = machine.run(r"printf '\377\0\n'; printf '\200' >&2", soon())
    assert (result.stdout, result.stderr) == (b"\xff\x00\n", b"\x80")
    assert (result.machine, result.command) == ("web-1", r"printf '\377\0\n'; printf '\200' >&2")


def test_commands_start_in_the_root_with_the_c_locale_and_no_input(machine: Machine) -> None:
    result = machine.run('cat; echo "$LC_ALL:$ROOT"; cd "${ROOT:-/}"; pwd -P', soon()).checked()
    root = machine.root or "/"
    assert result.text.splitlines() == [f"C:{machine.root}", str(Path(root).resolve())]
    assert machine.run("pwd -P", soon()).text == str(Path(root).resolve())


def test_administrators_tools_are_found(machine: Machine) -> None:
    assert machine.run("command -v ldconfig", soon()).exit_status == 0


@pytest.mark.parametrize("text", NAUGHTY, ids=range(len(NAUGHTY)))
def test_quoted_text_arrives_as_it_is(machine: Machine, text: str) -> None:
    result = machine.run(f"printf %s {shlex.quote(text)}", soon()).checked()
    assert result.stdout == text.encode("utf-8", "surrogateescape")
    assert machine.run("ls pwned", soon()).exit_status != 0


@pytest.mark.parametrize("text", NAUGHTY, ids=range(len(NAUGHTY)))
def test_quoted_text_arrives_as_it_is_in_streams_too(machine: Machine, text: str) -> None:
    command = f"cat; printf %s {shlex.quote(text)}"
    assert machine.send(command, iter([b"sent:"]), soon()).stdout == b"sent:" + text.encode("utf-8", "surrogateescape")


def test_a_nul_in_a_command_is_refused(machine: Machine) -> None:
    with said("NUL"):
        machine.run("echo a\0b", soon())


@pytest.mark.parametrize(
    "bad",
    [
        *("exit 3", "echo 'open", 'echo "open', "cat <<EOF", ") ; (", "{", "if", "return 7", "exec true", "unset PATH"),
        *("set -e; false; true", "set -u; echo $none", "cd /usr; umask 0; trap 'echo trapped' EXIT", "exec >&- 2>&-"),
    ],
)
def test_no_command_hurts_another_of_its_batch(machine: Machine, bad: str) -> None:
    results = machine.batch(["echo one; pwd", bad, "echo two; pwd"], soon())
    assert [result.text.splitlines()[0] for result in (results[0], results[2])] == ["one", "two"]
    assert results[0].text.splitlines()[1] == results[2].text.splitlines()[1]
    assert results[2].stderr == b""


def test_a_syntax_error_is_told_by_its_own_command(machine: Machine) -> None:
    result = machine.batch(["true", "echo 'open", "true"], soon())[1]
    assert result.exit_status != 0
    assert b"yntax error" in result.stderr or b"nterminated" in result.stderr


def test_a_batch_of_none_is_empty(machine: Machine) -> None:
    assert machine.batch([], soon()) == []


def test_a_batch_larger_than_any_window_comes_back_in_order(machine: Machine) -> None:
    filler = ":" + " " * 20_000
    commands = [f"{filler}; echo {number}; head -c 100000 /dev/zero" for number in range(300)]
    results = machine.batch(commands, soon())
    assert [result.stdout for result in results] == [b"%d\n" % number + bytes(100_000) for number in range(300)]


def test_twenty_megabytes_on_both_streams_at_once_arrive(machine: Machine) -> None:
    result = machine.run("head -c 20000000 /dev/zero & head -c 20000000 /dev/zero >&2; wait", soon()).checked()
    assert (result.stdout, result.stderr) == (bytes(20_000_000), bytes(20_000_000))


def test_what_a_command_leaves_behind_does_not_keep_it_waiting(machine: Machine) -> None:
    result = machine.run("sleep 60 & echo $!", soon(10)).checked()
    machine.run(f"kill {result.text}", soon()).checked()


def test_a_deadline_leaves_the_machine_usable_and_the_command_dead(machine: Machine, tmp_path: Path) -> None:
    with said("web-1", "sleep 60", "0.3 s"):
        machine.run(f"echo $$ > {tmp_path}/shell; sh -c 'echo $$ > {tmp_path}/pid; sleep 60; true'", soon(0.3))
    pid = (tmp_path / "pid").read_text().strip()
    wait_until(lambda _: True if not Path(f"/proc/{pid}").exists() else None, soon())
    assert machine.run("echo alive", soon()).text == "alive"


def test_an_endless_output_ends_at_the_deadline(machine: Machine) -> None:
    with said("yes", "deadline"):
        machine.run("yes", soon(0.3))
    assert machine.run("echo alive", soon()).text == "alive"


def test_thirty_megabytes_sent_are_the_same_at_the_other_end(machine: Machine) -> None:
    block = bytes(range(256)) * 4096
    source = (block for _ in range(BIG // len(block)))
    expected = hashlib.sha256(block * (BIG // len(block))).hexdigest()
    assert machine.send("sha256sum", source, soon()).checked().text.split()[0] == expected


def test_a_file_is_sent_and_echoed_under_flow_control(machine: Machine) -> None:
    data = bytes(range(256)) * (BIG // 256)
    assert machine.send("tee /dev/stderr", io.BytesIO(data), soon()).stdout == data


def test_an_empty_source_is_an_empty_input(machine: Machine) -> None:
    assert machine.send("wc -c", iter([b"", b""]), soon()).text.strip() == "0"


def test_a_command_that_ends_before_it_read_everything_tells_its_own_reason(machine: Machine) -> None:
    endless = iter(lambda: bytes(1 << 20), None)
    result = machine.send("head -c 10 >/dev/null; echo disk is full >&2; exit 4", endless, soon())
    assert (result.exit_status, result.stderr) == (4, b"disk is full\n")


def test_an_error_of_the_source_comes_through_and_kills_the_command(machine: Machine, tmp_path: Path) -> None:
    def torn() -> Iterator[bytes]:
        yield b"x"
        wait_until(lambda _: (tmp_path / "pid").exists() or None, soon())
        raise ValueError("checksum")

    with pytest.raises(ValueError, match="checksum"):
        machine.send(f"echo $$ > {tmp_path}/p; mv {tmp_path}/p {tmp_path}/pid; sleep 60", torn(), soon())
    pid = (tmp_path / "pid").read_text().strip()
    wait_until(lambda _: True if not Path(f"/proc/{pid}").exists() else None, soon())


def test_a_send_that_nobody_reads_ends_at_the_deadline(machine: Machine) -> None:
    with said("sleep 60", "deadline"):
        machine.send("sleep 60", iter(lambda: bytes(1 << 20), None), soon(0.5))
    assert machine.run("echo alive", soon()).text == "alive"


def test_thirty_megabytes_received_are_the_same(machine: Machine) -> None:
    digest = hashlib.sha256()
    with machine.receive(f"yes | head -c {BIG}; head -c 3000000 /dev/zero >&2", soon()) as chunks:
        for chunk in chunks:
            digest.update(chunk)
    assert digest.hexdigest() == hashlib.sha256(b"y\n" * (BIG // 2)).hexdigest()


def test_leaving_a_receive_checks_the_exit_status(machine: Machine) -> None:
    with pytest.raises(CommandError) as caught, machine.receive("echo part; echo why >&2; exit 9", soon()) as chunks:
        assert b"".join(chunks) == b"part\n"
    assert (caught.value.exit_status, caught.value.stderr) == (9, b"why\n")


def test_what_was_not_received_is_thrown_away(machine: Machine) -> None:
    with machine.receive(f"head -c {BIG} /dev/zero", soon()) as chunks:
        assert next(chunks)
    assert machine.run("echo alive", soon()).text == "alive"


def test_a_command_that_is_received_from_has_no_input(machine: Machine) -> None:
    with machine.receive("cat; echo end", soon()) as chunks:
        assert b"".join(chunks) == b"end\n"


def test_what_is_sent_while_receiving_comes_back_as_it_is(machine: Machine) -> None:
    pieces = [bytes([number]) * 100_000 for number in range(200)]
    with machine.receive("cat", soon(), iter(pieces)) as chunks:
        assert hashlib.sha256(b"".join(chunks)).digest() == hashlib.sha256(b"".join(pieces)).digest()


def test_a_command_that_is_received_from_need_not_take_what_is_sent(machine: Machine) -> None:
    with machine.receive("echo end", soon(), iter(lambda: bytes(1 << 16), None)) as chunks:
        assert b"".join(chunks) == b"end\n"
    assert machine.run("echo alive", soon()).text == "alive"


def stop_after(_chunk: bytes) -> None:
    raise ValueError("enough")


def test_an_error_while_receiving_kills_the_command(machine: Machine, tmp_path: Path) -> None:
    with (
        pytest.raises(ValueError, match="enough"),
        machine.receive(f"echo $$ > {tmp_path}/pid; echo x; sleep 60", soon()) as chunks,
    ):
        stop_after(next(chunks))
    pid = (tmp_path / "pid").read_text().strip()
    wait_until(lambda _: True if not Path(f"/proc/{pid}").exists() else None, soon())


def test_a_receive_of_nothing_ends_at_the_deadline(machine: Machine) -> None:
    with said("sleep 60", "deadline"), machine.receive("sleep 60", soon(0.3)) as chunks:
        list(chunks)


def test_only_the_last_of_much_stderr_is_kept_of_a_receive(machine: Machine) -> None:
    command = "head -c 3000000 /dev/zero >&2; echo why >&2; exit 1"
    with pytest.raises(CommandError) as caught, machine.receive(command, soon()) as chunks:
        assert list(chunks) == []
    assert len(caught.value.stderr) == 1 << 16
    assert caught.value.stderr.endswith(b"\0why\n")


def test_threads_share_a_machine(machine: Machine) -> None:
    def use(number: int) -> list[bytes]:
        found = [machine.run(f"echo {number}", soon()).stdout]
        found += [machine.send(f"cat; echo {number}", iter([b"x" * 100_000]), soon()).stdout[100_000:]]
        with machine.receive(f"echo {number}", soon()) as chunks:
            found.append(b"".join(chunks))
        return found

    with ThreadPoolExecutor(20) as pool:
        assert list(pool.map(use, range(40))) == [[b"%d\n" % number] * 3 for number in range(40)]


def test_closing_twice_is_fine(tmp_path: Path, sshd: Sshd) -> None:
    for made in (LocalMachine("web-1", tmp_path), SshMachine("web-1", sshd.ssh(), sshd.location)):
        made.run("true", soon())
        made.close()
        made.close()
