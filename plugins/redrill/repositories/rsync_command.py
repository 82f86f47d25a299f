"""How rsync pulls the state paths of an endpoint, and what its words mean."""

import os
import re
import shlex
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from redrill.errors import BackupError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine, Result
from redrill.machine.ssh_machine import SshMachine
from redrill.machine.walker import decode, encode
from redrill.model.deadline import Deadline
from redrill.model.manifest import ChurnRule, Difference
from redrill.model.values import STATE_PATHS

# Times count to the nanosecond: else what changed within a second would be taken from the snapshot before. What is
# mounted there is told and left out.
_RSYNC = ("rsync", "-aHAXSxx", "--numeric-ids", "--modify-window=-1", "--info=mount2")
# With --super owners and devices that could not be kept without root differ, too.
_LOOK = ("--dry-run", "--delete", "--super", "--out-format=%i %n")
_HANDED_ON = ("HOME", "SSH_AUTH_SOCK")
_VANISHED = 24
"""rsync's exit status when files that it had listed were gone, and nothing else went wrong."""

_GONE = re.compile(r'\w+ has vanished: "(.*)"')
_MOUNT = re.compile(r"\[\w+\] skipping mount-point dir (.*)")
_DELETED = re.compile(r"\*deleting +(.*)")
_ITEM = re.compile(r"[<>ch.][fdLDS]([^ ]{9}) (.*)")
_ATTRIBUTES = {"p": "mode", "o": "uid", "g": "gid", "a": "xattrs", "x": "xattrs"}
_ESCAPE = re.compile(rb"\\#([0-7]{3})")


@dataclass(frozen=True, slots=True)
class Source:
    """Where rsync reads: what stands before a state path ('alias:' or a directory), and the shell that leads there."""

    machine: Machine
    prefix: str
    shell: str | None = None

    def pull(self, target: Path, options: Sequence[str], deadline: Deadline) -> Result:
        """Run rsync from the endpoint's state paths into ``target``; MachineError after the deadline."""
        shell = (f"--rsh={self.shell}",) if self.shell else ()
        paths = [f"{self.prefix}{path}" for path in STATE_PATHS]
        handed = [f"{name}={os.environ[name]}" for name in _HANDED_ON if name in os.environ]
        command = ["env", *handed, *_RSYNC, *shell, *options, "--", *paths, f"{target}/"]
        return LocalMachine("the controller", target).run(shlex.join(command), deadline)

    def look(self, target: Path, deadline: Deadline) -> list[str]:
        """Return rsync's words on how the state paths differ from ``target`` now; BackupError when it cannot tell."""
        return check_words(self.pull(target, _LOOK, deadline))

    def path_of(self, name: str) -> str:
        """Return the path, as the endpoint sees it, of a name in rsync's words."""
        plain = decode(_ESCAPE.sub(lambda found: bytes([int(found[1], 8)]), encode(name))).removesuffix("/")
        if self.shell is None and plain.startswith(f"{self.prefix}/"):
            return plain.removeprefix(self.prefix)
        return f"/{plain.lstrip('/')}"


@contextmanager
def source_on(machine: Machine) -> Iterator[Source]:
    """Yield how rsync reads a machine: over SSH as redrill itself reaches it, with the same pins and no others."""
    if not isinstance(machine, SshMachine):
        yield Source(machine, machine.root)
        return
    with tempfile.TemporaryDirectory(prefix="redrill-rsync-") as made:
        alias = machine.write_client_config(Path(made))
        yield Source(machine, f"{alias}:", shlex.join(["ssh", "-F", f"{made}/ssh_config", "-a", "-x", "-T"]))


def check_words(result: Result) -> list[str]:
    """Return the lines of a run of rsync; BackupError unless it did all, or all but what had vanished meanwhile."""
    lines = [*decode(result.stdout).splitlines(), *decode(result.stderr).splitlines()]
    if result.exit_status not in (0, _VANISHED):
        words = "; ".join(lines[-12:])[-2000:]
        is_missing = result.exit_status in (12, 127) and "not found" in words
        advice = ". Install rsync on the endpoint and on this machine, or use a repository 'tar'." if is_missing else ""
        raise BackupError(f"rsync ended with status {result.exit_status}: {words}{advice}")
    return lines


def judge_changes(source: Source, lines: Iterable[str], rules: Sequence[ChurnRule]) -> tuple[str, ...]:
    """Return warnings for what changed while it was copied, or was left out; BackupError for what must not."""
    told: dict[str, bool] = {}
    for line in lines:
        if found := _read(source, line):
            words, possible = found
            told[words] = all(any(rule.covers(difference) for rule in rules) for difference in possible)
    if fatal := [words for words, is_allowed in told.items() if not is_allowed]:
        root = " Only root can keep the owners of others, devices and attributes of the system." if os.geteuid() else ""
        raise BackupError(
            f"The backup is not exact: {'; '.join(fatal[:10])}. Stop what owns these files before the backup, or list "
            f"them under 'churn' when they may differ or be missing.{root}"
        )
    return tuple(told)


def _read(source: Source, line: str) -> tuple[str, list[Difference]] | None:
    """Return what a line of rsync tells in our words, and how the path may then differ; None for any other line."""
    if found := _GONE.match(line):
        path = source.path_of(found[1])
        return f"{path}: was removed before it was copied", [Difference(path, "missing")]
    if found := _MOUNT.fullmatch(line):
        path = source.path_of(found[1])
        return f"{path}: is on a different file system and was not copied", [Difference(path, "missing")]
    if found := _DELETED.fullmatch(line):
        path = source.path_of(found[1])
        return f"{path}: was removed when it had been copied", [Difference(path, "unexpected")]
    if found := _ITEM.fullmatch(line):
        letters, name = found.groups()
        path = source.path_of(name)
        return f"{path}: is not as it was copied", list(_differences(path, letters, is_folder=name.endswith("/")))
    return None


def _differences(path: str, letters: str, *, is_folder: bool) -> Iterator[Difference]:
    """Read the letters 'cstpoguax' of an item: what of it differs, or '+++++++++' for something new."""
    if "+" in letters:
        yield Difference(path, "missing")
        return
    if set("cstT") & set(letters):
        yield Difference(path, "mtime_ns" if is_folder else "sha256")
    for letter, attribute in _ATTRIBUTES.items():
        if letter in letters:
            yield Difference(path, attribute)
