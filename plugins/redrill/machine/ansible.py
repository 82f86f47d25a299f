"""Asks Ansible what a playbook would change on an endpoint, without changing anything."""

import difflib
import json
import os
import shlex
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import yaml

from redrill.errors import MachineError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.ssh_client_config import write_client_config
from redrill.machine.ssh_config import resolve_hops
from redrill.model.deadline import Deadline
from redrill.model.desired_state import DesiredState, PlaybookResult, TaskResult
from redrill.model.fleet import Endpoint
from redrill.model.record import Location
from redrill.private import write_private
from redrill.redaction import is_sensitive, redact

_CALLBACKS = Path(__file__).with_name("ansible_callback")
_MOST_TEXT = 4000
_HANDED_ON = ("HOME", "SSH_AUTH_SOCK")


def check_playbook(endpoint: Endpoint, wanted: DesiredState, location: Location, deadline: Deadline) -> PlaybookResult:
    """Return what ``ansible-playbook --check --diff`` says of an endpoint.

    The endpoint is the only host; it is in groups named like its role and its tags. What stands in the way of an answer
    is told as ``unknown``.
    """
    program = Path(sys.executable).with_name("ansible-playbook")
    if not program.exists():
        return PlaybookResult(unknown=f"'{program.name}' is not installed; install 'redrill[ansible]'")
    with tempfile.TemporaryDirectory(prefix="redrill-ansible-") as made:
        folder = Path(made)
        try:
            alias = write_client_config(resolve_hops(endpoint.name, endpoint.ssh, location), folder)
            write_private(folder / "inventory.yml", yaml.safe_dump(_inventory(endpoint, alias, folder)))
            command = _command(program, wanted, folder)
            result = LocalMachine("the controller", wanted.playbook.parent).run(command, deadline)
        except MachineError as error:
            return PlaybookResult(unknown=str(error))
        lines = _read_lines(folder / "tasks.jsonl")
        if result.exit_status != 0 and not any(line["status"] in ("failed", "unreachable") for line in lines):
            words = (result.stderr + result.stdout).decode("utf-8", "replace").strip()
            return PlaybookResult(unknown=redact(f"ansible-playbook ended with {result.exit_status}: {words[-500:]}"))
        return _sum_up(lines)


def _inventory(endpoint: Endpoint, alias: str, folder: Path) -> Mapping[str, object]:
    own = {
        "ansible_host": alias,
        "ansible_ssh_common_args": f"-F {shlex.quote(str(folder / 'ssh_config'))}",
        "ansible_python_interpreter": "auto_silent",
        "ansible_remote_tmp": "/tmp",  # noqa: S108 - on the endpoint; Ansible makes a folder of its own and removes it
    }
    groups = dict.fromkeys(filter(None, (endpoint.role, *endpoint.tags)))
    children: dict[str, object] = {group.replace("-", "_"): {"hosts": {endpoint.name: {}}} for group in groups}
    return {"all": {"hosts": {endpoint.name: own}, "children": children}}


def _command(program: Path, wanted: DesiredState, folder: Path) -> str:
    settings = {
        **{name: os.environ[name] for name in _HANDED_ON if name in os.environ},
        **{name: value for name, value in os.environ.items() if name.startswith("ANSIBLE_")},
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_HOME": str(folder),
        "ANSIBLE_NOCOLOR": "1",
        "ANSIBLE_RETRY_FILES_ENABLED": "0",
        "ANSIBLE_PIPELINING": "1",
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(folder / "cp"),
        "ANSIBLE_SSH_ARGS": "-o ControlMaster=auto -o ControlPersist=5s",
        "ANSIBLE_CALLBACK_PLUGINS": str(_CALLBACKS),
        "ANSIBLE_CALLBACKS_ENABLED": "redrill_tasks",
        "REDRILL_TASKS": str(folder / "tasks.jsonl"),
    }
    words = [f"{name}={value}" for name, value in settings.items()]
    inventory = str(folder / "inventory.yml")
    return shlex.join(["env", *words, str(program), "--check", "--diff", "-i", inventory, "--", str(wanted.playbook)])


def _read_lines(file: Path) -> list[dict[str, object]]:
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def _sum_up(lines: Iterable[Mapping[str, object]]) -> PlaybookResult:
    by_status: dict[object, list[Mapping[str, object]]] = {}
    for line in lines:
        by_status.setdefault(line["status"], []).append(line)
    failed = by_status.get("failed", []) + by_status.get("unreachable", [])
    if not by_status:
        return PlaybookResult(unknown="the playbook has no task for this endpoint; look at its 'hosts:'")
    return PlaybookResult(
        fine=len(by_status.get("ok", ())),
        skipped=len(by_status.get("skipped", ())),
        changes=tuple(map(_task, by_status.get("changed", ()))),
        failed=tuple(map(_task, failed)),
    )


def _task(line: Mapping[str, object]) -> TaskResult:
    diffs = line["diff"] if isinstance(line["diff"], list) else []
    return TaskResult(
        task=str(line["task"]),
        place=str(line["place"]),
        message=redact(str(line["message"]))[:_MOST_TEXT],
        diff=redact("\n".join(filter(None, map(_tell_diff, diffs))))[:_MOST_TEXT],
    )


def _tell_diff(diff: Mapping[str, object]) -> str:
    """Return a diff of Ansible as text; of what may hold secrets only that it differs."""
    if diff.get("prepared"):
        return str(diff["prepared"])
    header = str(diff.get("after_header") or diff.get("before_header") or "")
    path = header.partition(" ")[0]
    if is_sensitive(path):
        return f"{header}: differs; not shown, for it may hold secrets"
    before, after = (_as_text(diff.get(side)) for side in ("before", "after"))
    unified = difflib.unified_diff(before, after, str(diff.get("before_header", "")), header, n=1, lineterm="")
    return "\n".join(unified)


def _as_text(side: object) -> list[str]:
    text = side if isinstance(side, str) else json.dumps(side, indent=1, default=str)
    return text.splitlines()
