"""Archives in a repository of BorgBackup (1.2 and later): redrill's own, and those that the owner makes every night."""

import json
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import Field

from redrill.errors import BackupError
from redrill.model.deadline import Deadline
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import DRILL, Snapshot
from redrill.repositories.staged_tree import Stage
from redrill.repositories.tool import Ran
from redrill.repositories.tool_repository import ToolRepository, ToolSettings

_TOPS = [path.strip("/") for path in STATE_PATHS]
_UNSET = ("BORG_PASSPHRASE", "BORG_PASSCOMMAND")
_WARNINGS = (1, *range(100, 128))
"""Exit statuses of borg (from 1.4 on also those of three digits) with which it has made an archive all the same."""

_LOCKED = frozenset({"LockTimeout", "LockError", "LockErrorT", "LockFailed"})


class Settings(ToolSettings):
    """What the fleet file may say to the repository ``borg``.

    The owner's archives are those made on ``host`` whose name fits ``archives``, a glob. Every byte of the archive that
    is to be restored is read back in any case; ``check`` says how much of all others besides: nothing ('snapshot'), all
    as borg check does ('structure'), or with the checksum of every file's content ('all'), which can take hours.
    """

    archives: str = "*"
    check: Annotated[str, Field(pattern="^(snapshot|structure|all)$")] = "snapshot"


class BorgRepository(ToolRepository[Settings]):
    """Archives of one endpoint in a repository of BorgBackup."""

    Settings = Settings
    PROGRAM, PACKAGE = "borg", "borgbackup"
    PASSWORD = ("BORG_PASSPHRASE_FD", "%d")

    def _list(self, deadline: Deadline) -> list[Snapshot]:
        # Archives that were interrupted are called checkpoints and not listed.
        form = ("--json", "--format", "{hostname}{comment}{id}{start}")
        owners = self._ask(["list", *form, "--glob-archives", self._settings.archives], deadline)["archives"]
        own = self._ask(["list", *form, "--glob-archives", f"*-{DRILL}-*"], deadline)["archives"]
        found = {facts["name"]: self._snapshot(facts) for facts in owners if self._is_owners(facts)}
        found |= {facts["name"]: self._snapshot(facts) for facts in own if self._is_own(facts)}
        return [snapshot for name, snapshot in found.items() if snapshot]

    def _is_owners(self, facts: dict[str, Any]) -> bool:
        # What drills of other endpoints have made has the name of the controller, which may be a host with backups.
        return bool(facts["hostname"] == self._host) and str(facts["comment"]).split()[:1] != [DRILL]

    def _is_own(self, facts: dict[str, Any]) -> bool:
        return str(facts["comment"]).split()[:2] == [DRILL, self._endpoint.name]

    def _snapshot(self, facts: dict[str, Any]) -> Snapshot:
        return Snapshot(
            id=facts["name"],
            endpoint=self._endpoint.name,
            created=datetime.fromisoformat(facts["start"]).replace(tzinfo=UTC),  # the tool runs with TZ=UTC
            paths=STATE_PATHS,
            sha256=facts["id"],
            tags=tuple(str(facts["comment"]).split()),
        )

    def _put(self, stage: Stage, run: str, created: datetime, deadline: Deadline) -> Snapshot:
        name = f"{self._endpoint.name}-{created:%Y%m%dT%H%M%S}-{DRILL}-{run}"
        options = ["--json", "--numeric-ids", "--sparse", "--files-cache", "disabled"]
        about = ["--comment", f"{DRILL} {self._endpoint.name} {run}", "--timestamp", f"{created:%Y-%m-%dT%H:%M:%S}"]
        ran = self._try(["--log-json", "create", *options, *about, f"::{name}", *_TOPS], deadline, stage)
        if ran.status != 0:
            has_made = ran.status in _WARNINGS
            raise self._withdraw(ran, name, ["delete", f"::{name}"], deadline) if has_made else self._failed(ran)
        made = [snapshot for snapshot in self._list(deadline) if snapshot.id == name]
        if not made:
            raise BackupError(f"The archive '{name}' that borg made is not in the repository {self._where}.")
        return made[0].model_copy(update={"stored_size": int(_parse(ran)["archive"]["stats"]["deduplicated_size"])})

    def _get(self, stage: Stage, snapshot: Snapshot, deadline: Deadline) -> None:
        self._run(["--log-json", "extract", "--numeric-ids", "--sparse", f"::{snapshot.id}", *_TOPS], deadline, stage)

    def _need(self, snapshot: Snapshot, deadline: Deadline) -> tuple[int, int]:
        stats = self._ask(["info", "--json", f"::{snapshot.id}"], deadline)["archives"][0]["stats"]
        return int(stats["original_size"]), snapshot.entries or int(stats["nfiles"])

    def _count(self, snapshot: Snapshot, deadline: Deadline) -> tuple[int, int]:
        listed = self._run(["--log-json", "list", "--format", "{size}{NL}", f"::{snapshot.id}", *_TOPS], deadline)
        sizes = listed.stdout.split()
        return sum(map(int, sizes)), len(sizes)

    def _check(self, deadline: Deadline) -> None:
        depth = self._settings.check
        if depth != "snapshot":
            self._run(["--log-json", "check", *(["--verify-data"] if depth == "all" else [])], deadline)

    def _environment(self) -> dict[str, str | None]:
        cache = {"BORG_CACHE_DIR": str(self._settings.cache)} if self._settings.cache else {}
        return {"BORG_REPO": self._location, **dict.fromkeys(_UNSET), **cache}

    def _explain(self, ran: Ran) -> str:
        messages = list(_messages(ran))
        names = {message.get("msgid") for message in messages}
        said = "; ".join(str(message["message"]).partition("\n")[0].rstrip(".") for message in messages[:5])
        if "Repository.DoesNotExist" in names:
            return "there is no repository of borg; correct the place, or make one with 'borg init'"
        if names & {"PassphraseWrong", "PasscommandFailure"} or b"passphrase" in ran.stderr.lower():
            secret = self._settings.password
            return f"the password from {secret.origin} does not open it" if secret else f"it needs a password: {said}"
        if names & _LOCKED:
            return (
                "it is locked, so a backup or a check of somebody else is running. Wait for its end and drill again; "
                "redrill never breaks the lock of another"
            )
        if ran.status in _WARNINGS:
            return f"borg has warnings, so what it has is not certain to be exact: {said}"
        return f"borg failed: {said}" if said else ""

    def _is_locked(self, ran: Ran) -> bool:
        return any(message.get("msgid") in _LOCKED for message in _messages(ran))

    def _ask(self, arguments: list[str], deadline: Deadline) -> dict[str, Any]:
        return _parse(self._run(["--log-json", *arguments], deadline))


def _parse(ran: Ran) -> dict[str, Any]:
    try:
        found = json.loads(ran.stdout)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise BackupError(f"borg answered as nobody can read: {ran.stdout[:200]!r}.")
    return found


def _messages(ran: Ran) -> Iterator[dict[str, Any]]:
    """Yield what borg has logged; lines that are no JSON are its prompts and the words of ssh."""
    for line in ran.stderr.splitlines():
        with suppress(ValueError):
            message = json.loads(line) if line.startswith(b"{") else {"message": line.decode("utf-8", "replace")}
            if message.get("message") and not str(message["message"]).startswith("Traceback"):
                yield message
