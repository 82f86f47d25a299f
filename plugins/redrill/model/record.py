"""The frozen evidence of one endpoint's drill: the hinge between acting and judging."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path

from redrill.errors import Exit
from redrill.model.desired_state import PlaybookResult
from redrill.model.observation import Observation
from redrill.model.values import Mode, Value

SCHEMA = 1


class Step(StrEnum):
    """The phases of a drill, in their order."""

    PREFLIGHT = "preflight"
    PLANT = "plant"
    OBSERVE = "observe"
    BACK_UP = "back up"
    VERIFY_BACKUP = "verify backup"
    ARM = "arm"
    REDEPLOY = "redeploy"
    RESTORE = "restore"
    VERIFY_RESTORE = "verify restore"
    SETTLE = "settle"
    OBSERVE_AFTER = "observe after"
    RELEASE = "release"


class Outcome(StrEnum):
    """How a phase ended."""

    DONE = "done"
    FAILED = "failed"


class Phase(Value):
    """One phase: its true times (UTC), the seconds it was allowed, how it ended and what it has to tell."""

    step: Step
    started: datetime
    ended: datetime
    budget: float
    outcome: Outcome
    detail: str = ""

    @property
    def seconds(self) -> float:
        """How long the phase took."""
        return (self.ended - self.started).total_seconds()


class Failure(Value):
    """The first cause that broke a drill; everything later is blocked by it."""

    step: Step
    error: str
    message: str
    exit_code: Exit

    @property
    def is_of_clean_up(self) -> bool:
        """Whether the drill got to its end, and only could not remove all that it had made."""
        return self.step is Step.RELEASE and self.exit_code is Exit.CLEANUP


class Location(Value):
    """Where an endpoint answers now: an address with the host keys that it must show, or a directory."""

    address: str = ""
    port: int = 22
    host_keys: tuple[str, ...] = ()
    root: Path | None = None


class Marker(Value):
    """A planted file: a survivor must come back byte for byte, a stain must vanish. ``found`` is its content after."""

    path: str
    nonce: str
    is_survivor: bool
    found: str | None = None


class LogMessage(Value):
    """A numbered message: sent by the endpoint before the wipe or after recovery, and what the sink has of it."""

    stage: str
    nonce: str
    boot_id: str
    hostname: str
    arrived: bool = False
    arrived_boot_id: str | None = None
    arrived_hostname: str | None = None
    unknown: str | None = None


class CheckResult(Value):
    """The last answer of one health check."""

    check: str
    healthy: bool
    detail: str = ""


class ApplicationResult(Value):
    """How an application came back.

    ``recovered_after`` is the time in seconds from the wipe to the first healthy answer of the streak that was then
    held for ``held`` seconds (from the start of settling when nothing was wiped). ``writes`` are the canary numbers
    that were acknowledged before the backup was cut, ``survived`` those that were there after the recovery; None when
    no canary is declared.
    """

    checks: tuple[CheckResult, ...]
    healthy: bool
    recovered_after: float | None = None
    held: float = 0.0
    writes: tuple[int, ...] | None = None
    survived: tuple[int, ...] | None = None


class SnapshotFacts(Value):
    """The backup that a drill made: sizes in bytes, and the sha256 of the archive file.

    ``warnings`` name what it does not hold.
    """

    id: str
    entries: int
    size: int
    stored_size: int
    sha256: str
    manifest: Path
    warnings: tuple[str, ...] = ()


class ImageFacts(Value):
    """An image as the provisioner knows it; ``digest`` is that of its manifest, a file of the run directory."""

    name: str
    version: str
    digest: str
    manifest: Path | None = None


class DrillRecord(Value):
    """Everything that a judgement of one endpoint needs; paths are relative to the run directory.

    ``image_running`` is the image that the endpoint was made from before, without a name. ``image_packages`` is the
    package database of the fresh system, ``image_users`` and ``image_groups`` are its accounts by name, read before
    anything was restored over them; ``restored`` says how the state came back: offline or live.
    """

    schema_version: int = SCHEMA
    run: str
    endpoint: str
    mode: Mode
    started: datetime
    ended: datetime
    phases: tuple[Phase, ...]
    failure: Failure | None = None
    location: Location | None = None
    restored: str | None = None
    image_running: ImageFacts | None = None
    image_wanted: ImageFacts | None = None
    image_deployed: ImageFacts | None = None
    image_packages: dict[str, str] | None = None
    image_users: dict[str, int] | None = None
    image_groups: dict[str, int] | None = None
    before: Observation | None = None
    after: Observation | None = None
    snapshot: SnapshotFacts | None = None
    restored_manifest: Path | None = None
    wiped_at: datetime | None = None
    markers: tuple[Marker, ...] = ()
    messages: tuple[LogMessage, ...] = ()
    applications: dict[str, ApplicationResult] = {}
    playbook: PlaybookResult | None = None
