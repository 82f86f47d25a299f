"""The phases that destroy and put back: redeploy, restore (offline or live), verify the restored trees."""

import re
from datetime import UTC, datetime

from redrill.drill.bench import Bench
from redrill.drill.checkpoint import save_checkpoint
from redrill.drill.evidence import SUFFIX, write_manifest
from redrill.drill.guards.stops import require_go
from redrill.drill.locks import EndpointLock
from redrill.drill.owners import stop_owners
from redrill.errors import GuardError, ProvisionError, RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
from redrill.machine.ssh_machine import OldBoot
from redrill.model.churn import restore_churn
from redrill.model.deadline import Deadline
from redrill.model.manifest import unexplained
from redrill.model.values import STATE_PATHS
from redrill.probes.files import read_manifest
from redrill.probes.fresh import read_fresh
from redrill.provisioners.protocol import Fenced, OfflineRestore
from redrill.repositories.restore import fidelity, restore_snapshot

OLD_BOOT_SECONDS = 10.0
"""A provisioner that returned has destroyed the old system: what answers from it so long after was never destroyed."""

REBOOT_SECONDS = 180.0
"""How long the interim system may go on answering: twice what systemd gives processes to end."""

# Later and by a unit of its own: the connection must not wait for an answer that the reboot may swallow.
_REBOOT = "systemd-run --quiet --on-active=0.05 --timer-property=AccuracySec=1ms systemctl reboot --force"
_JOURNALS = (
    "cat /etc/machine-id; find /var/log/journal -mindepth 1 -maxdepth 1 -type d -printf '%f\\n' 2>/dev/null; true"
)


def redeploy(bench: Bench, deadline: Deadline) -> None:
    """Destroy the endpoint and rebuild it from the image: booted, or stopped where it is restored offline.

    A resumed drill that had begun to wipe goes on with it: the only way for the endpoint is forward.
    """
    provisioner, is_resumed = bench.provisioner, bench.evidence.wiped_at is not None
    is_ready = bench.endpoint.expendable and bench.snapshot_manifest is not None
    if provisioner is None or bench.lock is None or not is_ready or not (bench.is_armed or is_resumed):
        raise GuardError(f"Endpoint '{bench.endpoint.name}' must not be wiped: it is not armed.")
    if not is_resumed:
        require_go(bench.fleet)
    bench.is_armed = False
    if bench.evidence.before and bench.location:
        bench.old_boot = OldBoot(bench.evidence.before.boot_id, bench.location.host_keys, OLD_BOOT_SECONDS)
    is_offline = _is_offline(bench)
    # The last things that may refuse: until here the connection is needed to put the endpoint back into service.
    bench.lock.hold_for_recovery("it was wiped and has not recovered yet")
    _remember_wipe(bench, bench.lock, is_resumed=is_resumed)
    if not is_resumed:
        bench.outage.begin()
    bench.disconnect()
    if isinstance(provisioner, Fenced):
        provisioner.fence(bench.run)
    if is_offline:
        bench.fresh_root = provisioner.redeploy_stopped(deadline)  # type: ignore[attr-defined]  # _is_offline checked it
    else:
        bench.location = provisioner.redeploy(deadline)
    bench.evidence.image_deployed = provisioner.describe_image()


def _remember_wipe(bench: Bench, lock: EndpointLock, *, is_resumed: bool) -> None:
    """Write down that the endpoint is wiped, before it is; OSError when that cannot be: then it is not wiped."""
    bench.evidence.wiped_at = bench.evidence.wiped_at or datetime.now(UTC)
    try:
        save_checkpoint(bench)
    except OSError:
        if not is_resumed:
            bench.evidence.wiped_at = None
            lock.recovered()
        raise


def _is_offline(bench: Bench) -> bool:
    can = isinstance(bench.provisioner, OfflineRestore)
    if bench.endpoint.restore == "offline" and not can:
        raise ProvisionError(f"The provisioner of '{bench.endpoint.name}' cannot restore offline; say 'restore: live'.")
    return can and bench.endpoint.restore != "live"


def restore(bench: Bench, deadline: Deadline) -> None:
    """Put the state paths back as the backup has them; nothing that owns them runs meanwhile."""
    bench.evidence.restored = "offline" if bench.fresh_root else "live"
    bench.detail = bench.evidence.restored
    machine = _target(bench, deadline)
    if not bench.knows_fresh:
        evidence = bench.evidence
        evidence.image_packages, evidence.image_users, evidence.image_groups = read_fresh(machine, deadline)
        bench.knows_fresh = True
        save_checkpoint(bench)
    if machine.has_init:
        stop_owners(machine, bench.endpoint, deadline)
    elif isinstance(bench.provisioner, OfflineRestore):
        bench.provisioner.clear(STATE_PATHS)
    if bench.snapshot is None or bench.repository is None:
        raise RestoreError(f"Endpoint '{bench.endpoint.name}' has no backup to restore.")
    restore_snapshot(machine, bench.repository, bench.snapshot, deadline, bench.snapshot_manifest)


def _target(bench: Bench, deadline: Deadline) -> Machine:
    if bench.fresh_root is not None:
        return LocalMachine(bench.endpoint.name, bench.fresh_root)
    if bench.location is None:
        raise RestoreError(f"Endpoint '{bench.endpoint.name}' is nowhere after its redeploy.")
    return bench.connect(bench.location, deadline, bench.old_boot)


def verify_restore(bench: Bench, deadline: Deadline) -> None:
    """Compare the restored trees with the backup exactly, before anything that owns them starts.

    A difference is no error here but evidence: the drift suite judges it.
    """
    machine = bench.machine if bench.is_connected else _target(bench, deadline)
    found = read_manifest(machine, STATE_PATHS, (), deadline)
    file = write_manifest(found, bench.folder / f"restored{SUFFIX}")
    bench.evidence.restored_manifest = bench.relative(file)
    if bench.snapshot_manifest is not None:
        unlike = unexplained(fidelity(bench.snapshot_manifest, found), restore_churn(bench.evidence.restored))
        bench.detail = f"{len(found.entries)} entries, {len(unlike)} differences"


def boot_restored(bench: Bench, deadline: Deadline) -> None:
    """Boot, or reboot, into what was restored."""
    if bench.fresh_root is not None:
        _boot_stopped(bench, deadline)
    else:
        _reboot(bench, deadline)


def _boot_stopped(bench: Bench, deadline: Deadline) -> None:
    if not isinstance(bench.provisioner, OfflineRestore):
        raise ProvisionError(f"The provisioner of '{bench.endpoint.name}' cannot boot a stopped root.")
    location = bench.provisioner.boot(deadline)
    bench.connect(location, deadline, bench.old_boot)


def _reboot(bench: Bench, deadline: Deadline) -> None:
    """Reboot over SSH; afterwards the endpoint must show the host keys that were just restored, and no others.

    The reboot is forced: a clean one would have the interim system write its own state (seeds, clocks, leases, who was
    logged in) over what was just restored. Everything is synced and unmounted all the same.
    """
    machine = bench.machine if bench.is_connected else _target(bench, deadline)
    interim = bench.location
    if interim is None or not machine.has_init:
        return
    boot_id = machine.run("cat /proc/sys/kernel/random/boot_id", deadline).checked().text
    if bench.interim_boot in {None, boot_id}:
        restored = interim.model_copy(update={"host_keys": _restored_keys(machine, deadline)})
        # A drill that dies now is resumed not knowing whether the reboot has happened: either key may answer then.
        bench.interim_boot = boot_id
        bench.location = restored.model_copy(update={"host_keys": (*restored.host_keys, *interim.host_keys)})
        save_checkpoint(bench)
        machine.run(_REBOOT, deadline).checked()
        machine = bench.connect(restored, deadline, OldBoot(boot_id, interim.host_keys, REBOOT_SECONDS))
    _drop_interim_journals(bench, machine, deadline)


def _restored_keys(machine: Machine, deadline: Deadline) -> tuple[str, ...]:
    """Return the host keys as 'type key'; RestoreError when there is none: nobody could tell who answers afterwards."""
    text = machine.run("cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null; true", deadline).checked().text
    keys = tuple(" ".join(line.split()[:2]) for line in text.splitlines() if line.startswith(("ssh-", "ecdsa-")))
    if not keys:
        raise RestoreError(
            f"The backup of '{machine.name}' has no public host key in /etc/ssh, so nobody could tell who answers "
            "after the reboot. Keep 'ssh_host_*_key.pub' beside the host keys."
        )
    return keys


def _drop_interim_journals(bench: Bench, machine: Machine, deadline: Deadline) -> None:
    """Remove the journals of the boots before the restore: each would enter the next backup and stay for ever."""
    entries = bench.snapshot_manifest.entries if bench.snapshot_manifest else {}
    own, *names = machine.run(_JOURNALS, deadline).checked().text.splitlines()
    foreign = [n for n in names if re.fullmatch("[0-9a-f]{32}", n) and n != own]
    foreign = [name for name in foreign if f"/var/log/journal/{name}" not in entries]
    if foreign:
        machine.run(f"cd /var/log/journal && rm -rf -- {' '.join(foreign)}", deadline).checked()
