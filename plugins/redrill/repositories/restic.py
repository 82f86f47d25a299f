"""Snapshots in a repository of restic (0.14 and later): redrill's own, and those that the owner makes every night."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator

from redrill.errors import BackupError
from redrill.model.deadline import Deadline
from redrill.model.secret import SecretValue
from redrill.model.values import STATE_PATHS, is_inside
from redrill.repositories.protocol import DRILL, Snapshot
from redrill.repositories.staged_tree import Stage
from redrill.repositories.tool import Ran
from redrill.repositories.tool_repository import ToolRepository, ToolSettings

_INCOMPLETE, _NO_REPOSITORY, _LOCKED, _WRONG_PASSWORD = 3, 10, 11, 12
"""Exit statuses of restic; before 0.17 all but the first are 1, and only its words tell them apart."""

_INCLUDE = [word for path in STATE_PATHS for word in ("--include", path)]
_UNSET = ("RESTIC_PASSWORD", "RESTIC_PASSWORD_COMMAND", "RESTIC_REPOSITORY_FILE", "RESTIC_KEY_HINT")


_DAMAGED = re.compile(rb"^ignoring error for (?!.*: UtimesNano)(.*)$", re.MULTILINE)


def _check_depth(value: str) -> str:
    share = re.fullmatch(r"([1-9]\d?|100)%", value)
    if value not in ("snapshot", "structure", "all") and share is None:
        raise ValueError(f"{value!r} is no depth; write 'snapshot', 'structure', a share such as '10%', or 'all'")
    return value


class Settings(ToolSettings):
    """What the fleet file may say to the repository ``restic``.

    The owner's snapshots are those of ``host`` with all of these ``tags``. Every byte of the snapshot that is to be
    restored is read back in any case; ``check`` says how much of all others besides: nothing ('snapshot'), whether
    everything is there ('structure'), a share of the packs ('10%'), or 'all' of them, which can take hours.
    """

    password: SecretValue
    tags: tuple[str, ...] = ()
    check: Annotated[str, AfterValidator(_check_depth)] = "snapshot"


class ResticRepository(ToolRepository[Settings]):
    """Snapshots of one endpoint in a repository of restic."""

    Settings = Settings
    PROGRAM = PACKAGE = "restic"
    PASSWORD = ("RESTIC_PASSWORD_FILE", "/dev/fd/%d")

    def _list(self, deadline: Deadline) -> list[Snapshot]:
        found = self._run(["snapshots", "--json", "--host", self._host], deadline)
        return [snapshot for facts in _parse(found.stdout) if (snapshot := self._snapshot(facts)) is not None]

    def _snapshot(self, facts: Mapping[str, Any]) -> Snapshot | None:
        tags = tuple(facts.get("tags") or ())
        if DRILL in tags:
            is_meant = self._own_tag in tags
        else:
            is_whole = all(is_inside(path, tuple(facts["paths"])) for path in STATE_PATHS)
            is_meant = is_whole and set(self._settings.tags) <= set(tags)
        if not is_meant:
            return None
        return Snapshot(
            id=facts["id"],
            endpoint=self._endpoint.name,
            created=datetime.fromisoformat(facts["time"]),
            paths=STATE_PATHS,
            sha256=facts["tree"],
            tags=tags,
        )

    @property
    def _own_tag(self) -> str:
        """What tells a drill's own snapshots of this endpoint from those of others with the same ``host``."""
        return f"{DRILL}-of-{self._endpoint.name}"

    def _put(self, stage: Stage, run: str, created: datetime, deadline: Deadline) -> Snapshot:
        time = f"{created:%Y-%m-%d %H:%M:%S}"
        tags = f"{DRILL},{DRILL}-{run},{self._own_tag}"
        options = ["--json", "--quiet", "--force", "--host", self._host, "--tag", tags, "--time", time]
        ran = self._try(["backup", *options, *(path.strip("/") for path in STATE_PATHS)], deadline, stage)
        summary = next((each for each in _parse_lines(ran.stdout) if each.get("message_type") == "summary"), {})
        name = str(summary.get("snapshot_id", ""))
        if ran.status != 0:
            raise self._withdraw(ran, name, ["forget", name], deadline) if name else self._failed(ran)
        made = [snapshot for snapshot in self._list(deadline) if name and snapshot.id.startswith(name)]
        if len(made) != 1:
            raise BackupError(f"The snapshot '{name}' that restic made is not in the repository {self._where}.")
        return made[0].model_copy(update={"stored_size": int(summary["data_added"])})

    def _get(self, stage: Stage, snapshot: Snapshot, deadline: Deadline) -> None:
        # Without the cache, which may still have what the repository has lost.
        self._run(["restore", snapshot.id, "--no-cache", "--target", str(stage.tree), *_INCLUDE], deadline, stage)

    def _need(self, snapshot: Snapshot, deadline: Deadline) -> tuple[int, int]:
        (found,) = _parse_lines(self._run(["stats", "--json", "--mode", "restore-size", snapshot.id], deadline).stdout)
        return int(found["total_size"]), int(found["total_file_count"])

    def _count(self, snapshot: Snapshot, deadline: Deadline) -> tuple[int, int]:
        listed = _parse_lines(self._run(["ls", "--json", "--recursive", snapshot.id, *STATE_PATHS], deadline).stdout)
        return sum(int(each.get("size", 0)) for each in listed), len(listed)

    def _check(self, deadline: Deadline) -> None:
        match self._settings.check:
            case "snapshot":
                return
            case "structure":
                depth = []
            case "all":
                depth = ["--read-data"]
            case share:
                depth = [f"--read-data-subset={share}"]
        self._run(["check", *depth], deadline)

    def _environment(self) -> dict[str, str | None]:
        cache = {"RESTIC_CACHE_DIR": str(self._settings.cache)} if self._settings.cache else {}
        return {"RESTIC_REPOSITORY": self._location, **dict.fromkeys(_UNSET), **cache}

    def _explain(self, ran: Ran) -> str:
        if ran.status == _INCOMPLETE:
            return f"restic could not read everything, so this snapshot is not restorable: {ran.words.rstrip('.')}"
        if ran.status == _NO_REPOSITORY or b"Is there a repository at the following location" in ran.stderr:
            return "there is no repository of restic; correct the place, or make one with 'restic init'"
        if ran.status == _WRONG_PASSWORD or b"wrong password or no key found" in ran.stderr:
            return f"the password from {self._settings.password.origin} does not open it"
        if self._is_locked(ran):
            return (
                "it is locked, so a backup or a check of somebody else is running. Wait for its end and drill again; "
                "redrill never takes the lock of another away"
            )
        if broken := _DAMAGED.findall(ran.stderr):
            first = broken[0].decode("utf-8", "backslashreplace")
            return f"it is damaged: restic could not restore {len(broken)} files, the first of them {first}"
        return ""

    def _is_locked(self, ran: Ran) -> bool:
        return ran.status == _LOCKED or (ran.status == 1 and b"repository is already locked" in ran.stderr)


def _parse(output: bytes) -> list[dict[str, Any]]:
    try:
        found = json.loads(output)
    except ValueError:
        found = None
    if not isinstance(found, list):
        raise BackupError(f"restic listed its snapshots as nobody can read: {output[:200]!r}.")
    return found


def _parse_lines(output: bytes) -> list[dict[str, Any]]:
    try:
        return [json.loads(line) for line in output.splitlines() if line.startswith(b"{")]
    except ValueError:
        raise BackupError(f"restic answered as nobody can read: {output[:200]!r}.") from None
