"""The phases before anything is destroyed: preflight, plant, observe, back up, verify the backup."""

import secrets
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from redrill.drill.bench import Bench
from redrill.drill.checkpoint import save_checkpoint
from redrill.drill.evidence import SUFFIX, read_manifest, write_manifest
from redrill.drill.guards.schedule import judge_times
from redrill.drill.guards.state import require_all
from redrill.drill.image import learn_image, learn_running_image
from redrill.drill.last_seen import LastSeen
from redrill.drill.markers import choose_markers, plant_markers
from redrill.drill.mounts import refuse_mounts
from redrill.drill.steady import wait_for_system
from redrill.drill.texts import add_texts
from redrill.drill.vendor_evidence import write_vendor
from redrill.drill.way_back import prove_way_back
from redrill.drill.witness import Witness
from redrill.errors import BackupError, MachineError
from redrill.machine.protocol import Machine
from redrill.model.churn import churn_rules
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint
from redrill.model.manifest import Manifest, compare, unexplained
from redrill.model.observation import Observation
from redrill.model.record import LogMessage, SnapshotFacts
from redrill.model.values import is_inside
from redrill.model.vendor import VendorFacts
from redrill.probes.facts.catalogue import facts_about
from redrill.probes.observe import Kept, observe
from redrill.probes.vendor.catalogue import CONTENT_FACTS

_LOGGER = 'PATH="$ROOT/usr/bin:$PATH"; logger -t redrill -- '


def preflight(bench: Bench, deadline: Deadline) -> None:
    """Connect over the pinned host keys, learn the image, and refuse a bad time and what a backup would not hold.

    An endpoint that is still starting is waited for: what it is on its way to be is what must come back.
    """
    if bench.mode.is_destructive:
        # A later wave must not even take an endpoint out of service for a wipe that would be refused.
        states = judge_times(bench.fleet, [bench.endpoint], datetime.now(UTC))
        require_all(states, f"The drill of '{bench.endpoint.name}' must not begin:")
    machine = bench.connect(bench.locate(), deadline)
    wait_for_system(machine, deadline)
    if bench.provisioner:
        bench.evidence.image_wanted = image = learn_image(bench, bench.provisioner)
        bench.evidence.image_running = learn_running_image(bench, bench.provisioner)
        bench.detail = f"image {image.name} {image.version}"
    if bench.mode.is_destructive:
        refuse_mounts(machine, bench.endpoint, deadline)


def plant(bench: Bench, deadline: Deadline) -> None:
    """Plant survivors and stains, send the message before the wipe, and start the numbered writes."""
    machine = bench.machine
    # Known before it is done: whatever was planted must be found again by whoever stands down.
    bench.evidence.markers = choose_markers(machine, bench.run, deadline)
    plant_markers(machine, bench.evidence.markers, deadline)
    if bench.collector:
        bench.evidence.messages.append(send_message(bench, "before", deadline))
    for name, application in bench.endpoint.applications.items():
        if application.canary:
            bench.witnesses[name] = Witness(machine, application.canary)
            bench.witnesses[name].start()
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
    observation = observe(bench.machine, keep, deadline, facts, LastSeen(bench.fleet, bench.endpoint))
    if observation.reused_digests:
        bench.detail = f"{observation.reused_digests} files as in the last observation of this boot"
    return add_texts(bench, observation, moment, deadline) if moment == "after" else observation


def back_up(bench: Bench, deadline: Deadline) -> None:
    """Stop the numbered writes and the owners of the data, then cut the backup of the state paths."""
    if bench.repository is None:
        raise BackupError(
            f"Endpoint '{bench.endpoint.name}' has no repository; give it 'repository:' in the fleet file."
        )
    bench.canaries = {name: witness.stop() for name, witness in bench.witnesses.items()}
    bench.is_quiesced = True
    save_checkpoint(bench)
    quiesce(bench.machine, bench.endpoint, deadline)
    bench.snapshot = bench.repository.create(bench.machine, bench.run, deadline)
    bench.detail = f"{bench.snapshot.entries} entries, {bench.snapshot.stored_size / 1e6:.1f} MB stored"


def quiesce(machine: Machine, endpoint: Endpoint, deadline: Deadline) -> None:
    """Stop the units that own the endpoint's data and close the journal's files; MachineError when one stays."""
    if not machine.has_init:
        return
    units = [unit for application in endpoint.applications.values() for unit in application.units]
    commands = ["journalctl --rotate --quiet", "journalctl --sync --quiet"]
    if units:
        words = " ".join(map(shlex.quote, units))
        commands.insert(0, f"systemctl stop -- {words} && ! systemctl is-active --quiet -- {words}")
    for result in machine.batch(commands, deadline):
        result.checked()


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
            "Nothing was wiped. Look after the repository and who writes to it, then drill again; every drill makes a "
            "backup of its own."
        ) from error
    _require_survivors(bench, manifest)
    _require_likeness(bench, manifest)
    file = write_manifest(manifest, bench.folder / f"backup{SUFFIX}")
    bench.snapshot_manifest = manifest
    bench.detail = prove_way_back(bench, deadline)
    bench.evidence.snapshot = SnapshotFacts(
        id=snapshot.id,
        entries=snapshot.entries,
        size=snapshot.size,
        stored_size=snapshot.stored_size,
        sha256=snapshot.sha256,
        manifest=bench.relative(file),
        warnings=snapshot.warnings,
    )


def _require_survivors(bench: Bench, manifest: Manifest) -> None:
    missing = [m.path for m in bench.evidence.markers if m.is_survivor and m.path not in manifest.entries]
    if missing:
        raise BackupError(
            f"The backup of '{bench.endpoint.name}' lacks what was planted just before: {', '.join(missing)}. "
            "It is of another run or of another host. Nothing was wiped; look after the repository, then drill again."
        )


def _require_likeness(bench: Bench, manifest: Manifest) -> None:
    before = bench.evidence.before
    if before is None or before.state_manifest is None:
        raise MachineError(
            f"The state paths of '{bench.endpoint.name}' could not be observed; the backup has no witness."
        )
    observed = read_manifest(bench.run_dir, before.state_manifest)
    quiet = ("/etc", "/home")
    differences = compare(_only(observed, quiet), _only(manifest, quiet))
    unlike = [d for d in unexplained(differences, churn_rules(bench.endpoint.churn)) if d.expected != "socket"]
    if unlike:
        shown = "; ".join(map(str, unlike[:5]))
        raise BackupError(
            f"The backup of '{bench.endpoint.name}' is not what was observed just before ({len(unlike)} differences): "
            f"{shown}. Stop what changes these paths, or declare them as 'churn'."
        )


def _only(manifest: Manifest, parents: tuple[str, ...]) -> Manifest:
    entries = {path: entry for path, entry in manifest.entries.items() if is_inside(path, parents)}
    return replace(manifest, entries=entries)
