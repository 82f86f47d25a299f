"""All that a drill must remember to go on after its process has died: written after every phase and before the wipe."""

from pathlib import Path

from pydantic import ValidationError

from redrill.drill.bench import Bench, Evidence
from redrill.drill.evidence import read_manifest
from redrill.errors import FleetError
from redrill.machine.ssh_machine import OldBoot
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import DrillRecord, Step
from redrill.model.values import Value
from redrill.private import write_private
from redrill.repositories.protocol import Snapshot

SCHEMA = 1


class Checkpoint(Value):
    """The state of one endpoint's drill between two phases.

    ``done`` are the phases that need not be done again; ``record`` holds the evidence so far; ``interim_boot`` is the
    boot id from which a live restore reboots; ``hooked`` are the applications that still have to hear that the backup
    is over; ``abandoned`` is why a person gave the endpoint up.
    """

    schema_version: int = SCHEMA
    record: DrillRecord
    done: tuple[Step, ...]
    snapshot: Snapshot | None = None
    old_boot_id: str | None = None
    old_host_keys: tuple[str, ...] = ()
    is_quiesced: bool = False
    hooked: tuple[str, ...] = ()
    knows_fresh: bool = False
    fresh_root: Path | None = None
    interim_boot: str | None = None
    is_over: bool = False
    abandoned: str | None = None

    @property
    def is_wiped(self) -> bool:
        """Whether the endpoint was destroyed, or may have been."""
        return self.record.wiped_at is not None

    @property
    def is_quarantined(self) -> bool:
        """Whether the endpoint was destroyed and has neither recovered nor been given up."""
        return self.is_wiped and not self.is_over and self.abandoned is None

    @property
    def is_still(self) -> bool:
        """Whether the endpoint was not destroyed, but what was stopped or frozen for its backup may still be so."""
        return not self.is_wiped and (self.is_quiesced or bool(self.hooked)) and self.abandoned is None


def checkpoint_file(run_dir: Path, endpoint: str) -> Path:
    """Return where the checkpoint of an endpoint is kept."""
    return run_dir / "records" / endpoint / "checkpoint.json"


def save_checkpoint(bench: Bench, *, is_over: bool = False) -> None:
    """Write down where the drill stands; it is on disk when this returns."""
    checkpoint = Checkpoint(
        record=bench.freeze(),
        done=tuple(bench.done),
        snapshot=bench.snapshot,
        old_boot_id=bench.old_boot.boot_id if bench.old_boot else None,
        old_host_keys=bench.old_boot.host_keys if bench.old_boot else (),
        is_quiesced=bench.is_quiesced,
        hooked=bench.hooked,
        knows_fresh=bench.knows_fresh,
        fresh_root=bench.fresh_root,
        interim_boot=bench.interim_boot,
        is_over=is_over,
    )
    write_checkpoint(bench.run_dir, checkpoint)


def write_checkpoint(run_dir: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint where ``read_checkpoint`` finds it."""
    write_private(checkpoint_file(run_dir, checkpoint.record.endpoint), checkpoint.model_dump_json(indent=1) + "\n")


def read_checkpoint(run_dir: Path, endpoint: str) -> Checkpoint | None:
    """Return the checkpoint of an endpoint, None when its drill never got so far; FleetError when it is damaged."""
    file = checkpoint_file(run_dir, endpoint)
    try:
        return Checkpoint.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise FleetError(f"{file}: this checkpoint cannot be read: {error}. Mend the endpoint by hand.") from None


def rebuild_bench(fleet: Fleet, endpoint: Endpoint, run_dir: Path, checkpoint: Checkpoint) -> Bench:
    """Return the workbench as it was at a checkpoint, without a connection; the failure that ended it is forgotten."""
    record = checkpoint.record
    bench = Bench(fleet, endpoint, record.mode, run_dir)
    for name in Evidence.__slots__:
        value = getattr(record, name)
        setattr(bench.evidence, name, list(value) if isinstance(value, tuple) else value)
    bench.evidence.failure = None
    bench.evidence.phases = [phase for phase in record.phases if phase.step in checkpoint.done]
    if Step.OBSERVE_AFTER not in checkpoint.done:
        bench.evidence.messages = [message for message in record.messages if message.stage == "before"]
    bench.started = record.started
    bench.done = list(checkpoint.done)
    bench.snapshot, bench.location = checkpoint.snapshot, record.location
    bench.is_quiesced, bench.hooked = checkpoint.is_quiesced, checkpoint.hooked
    bench.knows_fresh, bench.fresh_root = checkpoint.knows_fresh, checkpoint.fresh_root
    bench.interim_boot = checkpoint.interim_boot
    if record.outage_at is not None:
        bench.outage.resume(record.outage_at, record.timeline)
    if checkpoint.old_boot_id:
        bench.old_boot = OldBoot(checkpoint.old_boot_id, checkpoint.old_host_keys)
    if record.snapshot is not None:
        bench.snapshot_manifest = read_manifest(run_dir, record.snapshot.manifest)
    return bench
