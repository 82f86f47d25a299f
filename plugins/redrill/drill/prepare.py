"""The phases before anything is destroyed: preflight, plant, observe, back up, verify the backup."""

import secrets
import shlex
from datetime import UTC, datetime
from pathlib import Path

from redrill.drill.bench import Bench
from redrill.drill.choose_backup import choose_snapshot, tell_snapshot
from redrill.drill.evidence import SUFFIX, write_manifest
from redrill.drill.guards.schedule import Outage, judge_times
from redrill.drill.guards.state import require_all
from redrill.drill.image import learn_image, learn_running_image
from redrill.drill.last_seen import LastSeen
from redrill.drill.likeness import (
    read_observed,
    require_likeness,
    require_survivors,
    require_true_links,
    tell_changes,
    tell_excluded,
    tell_losses,
)
from redrill.drill.markers import choose_markers, plant_markers
from redrill.drill.mounts import refuse_mounts
from redrill.drill.outage import clock_now
from redrill.drill.quiesce import (
    file_classes,
    go_on,
    held_classes,
    quiesce,
    require_still,
    run_hooks_before,
    stopped_classes,
)
from redrill.drill.steady import wait_for_system
from redrill.drill.steady_state import require_steady_state
from redrill.drill.texts import add_texts
from redrill.drill.vendor_evidence import write_vendor
from redrill.drill.way_back import prove_way_back, require_young
from redrill.errors import BackupError
from redrill.model.canary import Consistency
from redrill.model.choice import SnapshotChoice
from redrill.model.churn import churn_rules
from redrill.model.deadline import Deadline, pause
from redrill.model.manifest import Manifest
from redrill.model.observation import Observation
from redrill.model.record import LogMessage, SnapshotFacts
from redrill.model.values import spell_duration
from redrill.model.vendor import VendorFacts
from redrill.probes.facts.catalogue import facts_about
from redrill.probes.observe import Kept, observe
from redrill.probes.vendor.catalogue import CONTENT_FACTS
from redrill.repositories.protocol import LossyRepository, Repository, Snapshot

_CONNECT_SECONDS = 120.0
"""How long an endpoint may take to answer, and then to start what it has to start."""

_LOOK_SECONDS = 0.5
"""How often a drill that lets its endpoint work looks whether it is to stop."""

_LOGGER = 'PATH="$ROOT/usr/bin:$PATH"; logger -t redrill -- '


def preflight(bench: Bench, deadline: Deadline) -> None:
    """Connect over the pinned host keys, learn the image, and refuse a bad time and what a backup would not hold.

    An endpoint that is still starting is waited for: what it is on its way to be is what must come back.
    """
    if bench.mode.is_destructive:
        # A later wave must not even take an endpoint out of service for a wipe that would be refused.
        outage = bench.permit.outage if bench.permit else Outage(bench.mode)
        states = judge_times(bench.fleet, [bench.endpoint], datetime.now(UTC), outage)
        require_all(states, f"The drill of '{bench.endpoint.name}' must not begin:")
    machine = bench.connect(bench.locate(), deadline.within(_CONNECT_SECONDS))
    wait_for_system(machine, deadline.within(_CONNECT_SECONDS))
    if bench.provisioner:
        bench.evidence.image_wanted = image = learn_image(bench, bench.builder or bench.provisioner)
        bench.evidence.image_running = learn_running_image(bench, bench.provisioner)
        bench.detail = f"image {image.name} {image.version}"
    if bench.mode.is_destructive:
        refuse_mounts(machine, bench.endpoint, deadline)
        require_steady_state(bench, deadline)


def plant(bench: Bench, deadline: Deadline) -> None:
    """Plant survivors and stains, send the message before the wipe, and start the numbered writes."""
    machine = bench.machine
    # Known before it is done: whatever was planted must be found again by whoever stands down.
    markers = choose_markers(machine, bench.run, deadline)
    # In a snapshot that the owner has already, nothing that is planted now can be.
    bench.evidence.markers = [m for m in markers if bench.endpoint.backup.snapshot is None or not m.is_survivor]
    plant_markers(machine, bench.evidence.markers, deadline)
    if bench.collector:
        bench.evidence.messages.append(send_message(bench, "before", deadline))
    bench.canaries.start(machine, deadline)
    survivors = sum(marker.is_survivor for marker in bench.evidence.markers)
    bench.detail = f"{survivors} survivors, {len(bench.evidence.markers) - survivors} stains"


def send_message(bench: Bench, stage: str, deadline: Deadline) -> LogMessage:
    """Have the endpoint log a message with a fresh nonce the way everything on it logs."""
    nonce = secrets.token_hex(16)
    machine = bench.machine
    identity = machine.run(
        'cat "$ROOT/run/boot-id" 2>/dev/null || cat /proc/sys/kernel/random/boot_id; cat "$ROOT/etc/hostname"', deadline
    )
    boot_id, hostname = identity.checked().text.split()
    text = f"redrill run {bench.run}: message {stage} the redeploy, nonce {nonce}"
    machine.run(_LOGGER + shlex.quote(text), deadline).checked()
    return LogMessage(stage=stage, nonce=nonce, boot_id=boot_id.replace("-", ""), hostname=hostname)


def observe_before(bench: Bench, deadline: Deadline) -> None:
    """Take the observation that everything after is compared with."""
    bench.evidence.before = take_observation(bench, "before", deadline)


def take_observation(bench: Bench, moment: str, deadline: Deadline) -> Observation:
    """Observe the endpoint; the manifests become evidence files of that moment."""

    def keep(name: str, kept: Kept) -> Path:
        file = bench.folder / moment / f"{name}{SUFFIX}"
        return bench.relative(write_vendor(kept, file) if isinstance(kept, VendorFacts) else write_manifest(kept, file))

    facts = facts_about(bench.endpoint.references) + (() if bench.evidence.image_wanted else CONTENT_FACTS)
    seen = LastSeen(bench.fleet, bench.endpoint, is_rebuilt=bench.outage.began_at is not None)
    observation = observe(bench.machine, keep, deadline, facts, seen)
    if observation.reused_digests:
        bench.detail = f"{observation.reused_digests} files as in the last observation of this boot"
    return add_texts(bench, observation, moment, deadline) if moment == "after" else observation


def back_up(bench: Bench, deadline: Deadline) -> None:
    """Cut the backup of the state paths while the data of the applications stands still, as far as they declare it.

    BackupError when something of them did not. Where a snapshot of the owner's is restored nothing is cut, and
    everything goes on until the outage.
    """
    if bench.repository is None:
        raise BackupError(
            f"Endpoint '{bench.endpoint.name}' has no repository; give it 'repository:' in the fleet file."
        )
    if bench.endpoint.backup.snapshot is not None:
        _take_owners(bench, bench.repository, bench.endpoint.backup.snapshot)
        return
    held, stopped = held_classes(bench.endpoint), stopped_classes(bench.endpoint)
    bench.canaries.hold(held)
    quiesce(bench, deadline)
    files = file_classes(bench.endpoint)
    bench.canaries.hold(files)
    # From here on all that was acknowledged must be in the backup; a hook may freeze its moment at any time.
    bench.taken = clock_now()
    run_hooks_before(bench, deadline)
    bench.snapshot = bench.repository.create(bench.machine, bench.run, deadline)
    require_still(bench, deadline)
    go_on(bench, deadline, is_whole=False)
    bench.canaries.go_on({*held, *files} - set(stopped))
    bench.detail = f"{bench.snapshot.entries} entries, {(bench.snapshot.stored_size or 0) / 1e6:.1f} MB stored"


def _take_owners(bench: Bench, repository: Repository, choice: SnapshotChoice) -> None:
    """Take the owner's snapshot that the fleet file means; BackupError when there is none, or it is too old."""
    now = datetime.now(UTC)
    bench.snapshot = choose_snapshot(bench.endpoint.name, repository, choice, now)
    require_young(bench, bench.snapshot)
    bench.detail = f"the owner's snapshot {tell_snapshot(bench.snapshot, now)}"


def verify_backup(bench: Bench, deadline: Deadline) -> None:
    """Read the whole backup again: intact, with all survivors, and equal to what was observed in /etc and /home."""
    snapshot, repository = bench.snapshot, bench.repository
    if snapshot is None or repository is None:
        raise BackupError(f"Endpoint '{bench.endpoint.name}' has no backup of this run.")
    try:
        manifest = repository.verify(snapshot, deadline)
    except BackupError as error:
        raise BackupError(
            f"The backup '{snapshot.id}' of '{bench.endpoint.name}' would not bring it back: {str(error).rstrip('.')}. "
            "Nothing was wiped. Look after the repository and who writes to it, then drill again; "
            f"{_next_backup(bench)}."
        ) from error
    warnings, source = _judge_backup(bench, repository, snapshot, manifest)
    file = write_manifest(manifest, bench.folder / f"backup{SUFFIX}")
    bench.snapshot_manifest = manifest
    bench.detail = prove_way_back(bench, deadline)
    bench.evidence.snapshot = SnapshotFacts(
        id=snapshot.id,
        entries=len(manifest.entries),
        size=sum(entry.size for entry in manifest.entries.values()),
        stored_size=snapshot.stored_size,
        sha256=snapshot.sha256,
        manifest=bench.relative(file),
        source=bench.relative(write_manifest(source, bench.folder / f"source{SUFFIX}")) if source else None,
        warnings=(*snapshot.warnings, *warnings),
        taken=bench.taken or snapshot.created,
        is_own=bench.endpoint.backup.snapshot is None,
        consistency=_consistency(bench),
    )
    _go_on_working(bench)


def _next_backup(bench: Bench) -> str:
    is_own = bench.endpoint.backup.snapshot is None
    return "every drill makes a backup of its own" if is_own else "another snapshot can be chosen as 'backup.snapshot'"


def _consistency(bench: Bench) -> dict[str, Consistency]:
    """Return what the backup holds of each application's data; of an owner's backup nobody but the owner knows that."""
    endpoint = bench.endpoint
    own = endpoint.backup.snapshot is None
    return {name: endpoint.consistency_of(name) for name in endpoint.applications} if own else {}


def _go_on_working(bench: Bench) -> None:
    """Leave the endpoint at work for the time between a backup and an outage, or until the drill is to stop."""
    lead = bench.endpoint.backup.lead
    if lead is None:
        return
    until = Deadline.after(lead.total_seconds())
    while not until.is_over and bench.halt.reason is None:
        pause(until.within(_LOOK_SECONDS).remaining)
    bench.detail += f"; then {spell_duration(lead)} at work"


def _judge_backup(
    bench: Bench, repository: Repository, snapshot: Snapshot, manifest: Manifest
) -> tuple[tuple[str, ...], Manifest | None]:
    """Return warnings, and what the repository's tool was given, if one made the backup; BackupError when it is wrong.

    An owner's snapshot was made before anything was planted, and the endpoint may have changed since.
    """
    if bench.endpoint.backup.snapshot is not None:
        observed, rules = read_observed(bench), churn_rules(bench.endpoint.churn)
        changes = tell_changes(bench, observed, manifest)
        return (*changes, *tell_excluded(observed, manifest, snapshot.created, rules)), None
    source = repository.read_source(snapshot) if isinstance(repository, LossyRepository) else None
    require_survivors(bench, manifest)
    observed = read_observed(bench)
    require_likeness(bench, observed, source or manifest)
    require_true_links(bench.endpoint.name, observed, source or manifest)
    return (tell_losses(source, manifest) if source else ()), source
