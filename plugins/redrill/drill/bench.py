"""The workbench of one endpoint's drill: its backends, its live handle, and the evidence so far."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from redrill.backends import load_backend
from redrill.collectors.protocol import Collector
from redrill.drill.authorize import Permit
from redrill.drill.canaries import Canaries
from redrill.drill.halt import Halt
from redrill.drill.health.asking import Target
from redrill.drill.health.probe import Moment
from redrill.drill.health.site import Site
from redrill.drill.journal import Journal
from redrill.drill.locks import EndpointLock
from redrill.drill.meeting import Meeting
from redrill.drill.outage import OutageClock
from redrill.drill.reach import locate, make_builder, make_provisioner, reach
from redrill.errors import MachineError
from redrill.machine.protocol import Machine
from redrill.machine.ssh_machine import OldBoot
from redrill.model.deadline import Deadline
from redrill.model.desired_state import PlaybookResult
from redrill.model.fleet import Backend, Endpoint, Fleet
from redrill.model.manifest import Manifest
from redrill.model.observation import Observation
from redrill.model.record import (
    DrillRecord,
    Failure,
    ImageFacts,
    Location,
    LogMessage,
    Marker,
    Phase,
    RelocationFacts,
    SnapshotFacts,
    Step,
    VanillaFacts,
)
from redrill.model.recovery import ApplicationResult, CanaryResult, NeighbourResult
from redrill.model.values import Mode
from redrill.repositories.protocol import Repository, Snapshot


@dataclass(slots=True)
class Evidence:
    """What is known so far; becomes the record."""

    phases: list[Phase] = field(default_factory=list)
    failure: Failure | None = None
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
    canaries: dict[str, CanaryResult] = field(default_factory=dict)
    neighbours: list[NeighbourResult] = field(default_factory=list)
    markers: list[Marker] = field(default_factory=list)
    messages: list[LogMessage] = field(default_factory=list)
    applications: dict[str, ApplicationResult] = field(default_factory=dict)
    playbook: PlaybookResult | None = None
    recovery_log: list[str] = field(default_factory=list)


class Bench:
    """Everything that the phases of one endpoint share. One thread works at it at a time.

    ``provisioner`` has made the endpoint as it is, ``builder`` makes what it comes up on again: the same one, but for a
    new host.
    """

    def __init__(
        self, fleet: Fleet, endpoint: Endpoint, mode: Mode, run_dir: Path, permit: Permit | None = None
    ) -> None:
        self.fleet = fleet
        self.endpoint = endpoint
        self.mode = mode
        self.run_dir = run_dir
        self.permit = permit
        self.is_armed = False
        self.halt = Halt()
        self.journal: Journal | None = None
        self.started = datetime.now(UTC)
        self.evidence = Evidence()
        self.outage = OutageClock()
        self.site = Site(fleet, [self])
        self.meeting = Meeting([endpoint])
        self.watched_since: float | None = None
        self.is_coming_back = self.is_back = False
        self.snapshot: Snapshot | None = None
        self.snapshot_manifest: Manifest | None = None
        self.location: Location | None = None
        self.old_boot: OldBoot | None = None
        self.canaries = Canaries(endpoint, self.run, self.folder)
        self.taken: datetime | None = None
        self.hooked: tuple[str, ...] = ()
        self.is_quiesced = self.is_still = False
        self.is_over = False
        self.done: list[Step] = []
        self.knows_fresh = False
        self.interim_boot: str | None = None
        self.lock: EndpointLock | None = None
        self.fresh_root: Path | None = None
        self.detail = ""
        self._machine: Machine | None = None
        self.provisioner = make_provisioner(fleet, endpoint)
        self.builder = make_builder(fleet, endpoint) if mode is Mode.RELOCATE else self.provisioner
        self.repository = self._make_repository(endpoint.repository)
        self.collector = self._make_collector(endpoint.log_sink)

    def _make_repository(self, backend: Backend | None) -> Repository | None:
        return None if backend is None else load_backend("repositories", backend.kind)(self.fleet, self.endpoint)

    def _make_collector(self, backend: Backend | None) -> Collector | None:
        if backend is None:
            return None
        made: Collector = load_backend("collectors", backend.kind)(self.fleet, self.endpoint, self._reach_sink)
        return made

    def _reach_sink(self, sink: Endpoint, deadline: Deadline) -> Machine:
        return reach(sink, locate(self.fleet, sink), deadline)

    @property
    def run(self) -> str:
        """The id of the run."""
        return self.run_dir.name

    @property
    def folder(self) -> Path:
        """Where this endpoint's evidence files go."""
        return self.run_dir / "records" / self.endpoint.name

    @property
    def machine(self) -> Machine:
        """The live handle; MachineError when there is none at this moment."""
        if self._machine is None:
            raise MachineError(f"Endpoint '{self.endpoint.name}' has no live connection at this moment.")
        return self._machine

    @property
    def is_connected(self) -> bool:
        """Whether there is a live handle."""
        return self._machine is not None

    @property
    def moment(self) -> Moment:
        """What is going on with its applications."""
        if self.outage.began_at is None or Step.SETTLE in self.done:
            return Moment.STEADY
        return Moment.BOOTING if self.is_coming_back else Moment.DOWN

    @property
    def target(self) -> Target:
        """Where its applications are asked; nothing is asked on the system that a live restore goes on in.

        Nor while they stand still for the backup: what is frozen never answers, and keeps a shell busy with that.
        """
        has_own_system = self.is_back or (self.outage.began_at is None and not self.is_still)
        address = self.location.address if self.location else ""
        return Target(address, self._machine if has_own_system else None)

    def locate(self) -> Location:
        """Return where the endpoint is now; MachineError when it is nowhere."""
        return locate(self.fleet, self.endpoint)

    def connect(self, location: Location, deadline: Deadline, old: OldBoot | None = None) -> Machine:
        """Drop the old handle and wait for the endpoint at ``location`` to answer, from another boot than the old."""
        self.disconnect()
        self.location = location
        self._machine = reach(self.endpoint, location, deadline, old)
        return self._machine

    def reconnect(self, deadline: Deadline) -> Machine:
        """Return the live handle, connecting to where the endpoint was last when there is none."""
        return self.machine if self.is_connected else self.connect(self.location or self.locate(), deadline)

    def disconnect(self) -> None:
        """Drop the live handle, and end the canaries: called before every event in the life of the host."""
        self.canaries.end()
        if self._machine is not None:
            self._machine.close()
            self._machine = None
        self.canaries.join()

    def forget(self) -> None:
        """Drop everything that is known of the endpoint: its drill begins anew."""
        self.evidence = Evidence()
        self.outage = OutageClock()
        self.watched_since, self.is_coming_back, self.is_back = None, False, False
        self.done, self.hooked, self.taken = [], (), None
        self.snapshot = self.snapshot_manifest = self.location = self.old_boot = None
        self.is_quiesced = self.is_still = self.knows_fresh = False

    def relative(self, file: Path) -> Path:
        """Return an evidence file as the record names it."""
        return file.relative_to(self.run_dir)

    def freeze(self) -> DrillRecord:
        """Return the record of all that is known."""
        evidence = self.evidence
        values = {name: getattr(evidence, name) for name in Evidence.__slots__}
        values = {name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
        return DrillRecord(
            run=self.run,
            endpoint=self.endpoint.name,
            mode=self.mode,
            started=self.started,
            ended=datetime.now(UTC),
            location=self.location,
            outage_at=self.outage.began_at,
            timeline=tuple(self.outage.spans),
            **values,
        )
