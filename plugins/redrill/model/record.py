"""The frozen evidence of one endpoint's drill: the hinge between acting and judging."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path, PurePosixPath

from redrill.errors import Exit
from redrill.model.canary import Consistency
from redrill.model.desired_state import PlaybookResult
from redrill.model.manifest import Difference
from redrill.model.observation import Observation
from redrill.model.recovery import ApplicationResult, CanaryResult, NeighbourResult, Span
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
    TRIALS = "trials"
    VANILLA = "vanilla"
    STOP = "stop"
    REDEPLOY = "redeploy"
    RESTORE = "restore"
    VERIFY_RESTORE = "verify restore"
    SETTLE = "settle"
    OBSERVE_AFTER = "observe after"
    RELEASE = "release"
    HAND_BACK = "hand back"


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
        return self.step in (Step.RELEASE, Step.HAND_BACK) and self.exit_code is Exit.CLEANUP


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


class SnapshotFacts(Value):
    """The backup that a drill restored: sizes in bytes, and the sha256 of the archive file.

    ``warnings`` name what it does not hold. ``taken`` is the moment, by the controller's clock, of which it holds the
    data; None in records of old. ``is_own``: the drill made it; else it was the owner's already. ``consistency`` says
    what it holds of the data of each application, where the drill made it. ``source`` is the manifest of what had to be
    in it, where a tool stands between that and the backup and may have lost something; ``stored_size`` is None when the
    repository does not tell.
    """

    id: str
    entries: int
    size: int
    stored_size: int | None
    sha256: str
    manifest: Path
    source: Path | None = None
    warnings: tuple[str, ...] = ()
    taken: datetime | None = None
    is_own: bool = True
    consistency: dict[str, Consistency] = {}


class ImageFacts(Value):
    """An image as the provisioner knows it; ``digest`` is that of its manifest, a file of the run directory."""

    name: str
    version: str
    digest: str
    manifest: Path | None = None


class VanillaFacts(Value):
    """An endpoint that was rebuilt and got nothing back, as it was seen after its first boot.

    ``state`` is how the system says that it is; ``units`` is what became of each unit that is to run. ``made`` are the
    files that its provisioner writes, ``leaked`` those markers of the old endpoint that were found.
    """

    location: Location
    state: str
    observation: Observation
    units: dict[str, str] | None = None
    made: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()


class RelocationFacts(Value):
    """The move of an endpoint to a new host called ``name`` at ``new``; ``old`` is where it was, and is locked as.

    ``regenerated`` are the paths, with the class of identities that each is of, which are the new host's own and not
    the backup's. ``kept`` says which host is left: 'old' or 'new'; None while that is open.
    """

    name: str
    old: Location
    new: Location
    regenerated: dict[str, str] = {}
    kept: str | None = None

    def explains(self, difference: Difference) -> bool:
        """Whether the new host differs from the backup there for having something of its own.

        The folder of such a file shows another time.
        """
        folders = {str(PurePosixPath(path).parent) for path in self.regenerated}
        is_folder = difference.attribute == "mtime_ns" and difference.path in folders
        return is_folder or difference.path in self.regenerated


class DrillRecord(Value):
    """Everything that a judgement of one endpoint needs; paths are relative to the run directory.

    ``image_running`` is the image that the endpoint was made from before, without a name. ``image_packages`` is the
    package database of the fresh system, ``image_users`` and ``image_groups`` are its accounts by name, read before
    anything was restored over them; ``restored`` says how the state came back: offline or live.

    ``wiped_at`` is when the endpoint began to be destroyed, or was stopped for its new host to take over;
    ``outage_at`` is when the outage began whose end is measured: later than that where the endpoint was first rebuilt
    without its state (``vanilla``). ``timeline`` is what happened since then.

    ``recovery_log`` is what its logs say of recoveries from a crash, where the backup is of one.
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
    vanilla: VanillaFacts | None = None
    relocation: RelocationFacts | None = None
    wiped_at: datetime | None = None
    outage_at: datetime | None = None
    timeline: tuple[Span, ...] = ()
    canaries: dict[str, CanaryResult] = {}
    neighbours: tuple[NeighbourResult, ...] = ()
    markers: tuple[Marker, ...] = ()
    messages: tuple[LogMessage, ...] = ()
    applications: dict[str, ApplicationResult] = {}
    playbook: PlaybookResult | None = None
    recovery_log: tuple[str, ...] = ()

    def consistency_of(self, application: str) -> Consistency | None:
        """Return what the backup held of an application's data; None when nobody knows."""
        return self.snapshot.consistency.get(application) if self.snapshot else None

    @property
    def home(self) -> Location | None:
        """Where the endpoint was when its drill began to change anything, which is what its lock is for."""
        return self.relocation.old if self.relocation else self.location
