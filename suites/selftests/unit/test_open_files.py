"""Who has what open, as the fact reads it."""

from pathlib import Path

from redrill.machine.local_machine import LocalMachine
from redrill.model.deadline import Deadline
from redrill.probes.facts.open_files import OPEN_FILE_FACTS

FACT = OPEN_FILE_FACTS[0]


def test_a_process_and_its_unit_are_told_for_each_path() -> None:
    text = (
        "/proc/7/fd/3\0/opt/feed/queue\0/proc/7/exe\0/usr/bin/dash\0/proc/8/cwd\0/opt/feed\0\x1e\n"
        "/proc/1/cgroup:1:name=systemd:/init.scope\n/proc/7/cgroup:1:name=systemd:/system.slice/feed.service\n\x1e\n"
        "/proc/7/comm:sh\n/proc/8/comm:bash\n"
    )
    assert FACT.parse(text)["open_files"] == {
        "/opt/feed": "bash",
        "/opt/feed/queue": "sh (feed.service)",
        "/usr/bin/dash": "sh (feed.service)",
    }


def test_a_process_that_has_ended_is_left_out() -> None:
    assert FACT.parse("/proc/9/cwd\0/opt\0\x1e\n\x1e\n")["open_files"] == {}


def test_the_running_interpreter_is_found_on_this_machine() -> None:
    result = LocalMachine("here", Path("/")).run(FACT.command, Deadline.after(30))
    assert any(who.startswith(("python", "pytest")) for who in FACT.parse(result.checked().text)["open_files"].values())
