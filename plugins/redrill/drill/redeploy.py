"""The phases that destroy and put back: redeploy, restore (offline or live), verify the restored trees."""

import re

from redrill.drill.bench import Bench
from redrill.drill.checkpoint import save_checkpoint
from redrill.drill.evidence import SUFFIX, write_manifest
from redrill.drill.evidence import read_manifest as read_stored
from redrill.drill.own_identity import bring_back_own, forget_own, save_own
from redrill.drill.owners import stop_owners
from redrill.drill.take_down import begin_outage, remember_boot, require_armed, take_down
from redrill.errors import ProvisionError, RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
from redrill.machine.ssh_machine import OldBoot
from redrill.model.churn import restore_churn
from redrill.model.deadline import Deadline
from redrill.model.manifest import Difference, Manifest, unexplained
from redrill.model.values import STATE_PATHS
from redrill.probes.files import read_manifest
from redrill.probes.fresh import read_fresh
from redrill.provisioners.protocol import Fenced, OfflineRestore, Provisioner, Telling
from redrill.repositories.restore import fidelity, restore_snapshot

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
    is_resumed = bench.evidence.wiped_at is not None
    provisioner = begin_wipe(bench)
    begin_outage(bench, is_resumed=is_resumed)
    rebuild(bench, provisioner, bench.run, deadline)
    bench.evidence.image_deployed = provisioner.describe_image()


def begin_wipe(bench: Bench) -> Provisioner:
    """Pass the last gate and write down that the endpoint is wiped; return what may wipe it now, and again.

    GuardError when it is not armed, StoppedError when somebody has stopped drills, OSError when nothing can be written
    down; the endpoint is untouched then, unless it was wiped before.
    """
    builder = require_armed(bench)
    remember_boot(bench)
    _is_offline(bench)
    take_down(bench)
    return builder


def rebuild(bench: Bench, provisioner: Provisioner, fence: str, deadline: Deadline) -> None:
    """Destroy the endpoint and rebuild it, at most once for each ``fence``; afterwards it is booted or stopped."""
    bench.disconnect()
    if isinstance(provisioner, Fenced):
        provisioner.fence(fence)
    told = len(bench.outage.spans)
    if isinstance(provisioner, Telling):
        provisioner.tell(bench.outage.mark)
    if _is_offline(bench):
        bench.fresh_root = provisioner.redeploy_stopped(deadline)  # type: ignore[attr-defined]  # _is_offline checked it
    else:
        bench.location = provisioner.redeploy(deadline)
    if len(bench.outage.spans) == told:  # nothing was told, as when a drill is resumed that had come so far
        bench.outage.mark("redeploy")


def _is_offline(bench: Bench) -> bool:
    can = isinstance(bench.builder, OfflineRestore)
    if bench.endpoint.restore == "offline" and not can:
        raise ProvisionError(f"The provisioner of '{bench.endpoint.name}' cannot restore offline; say 'restore: live'.")
    return can and bench.endpoint.restore != "live"


def restore(bench: Bench, deadline: Deadline) -> None:
    """Put the state paths back as the backup has them; nothing that owns them runs meanwhile."""
    bench.evidence.restored = "offline" if bench.fresh_root else "live"
    bench.detail = bench.evidence.restored
    machine = reach_rebuilt(bench, deadline)
    if bench.fresh_root is None:
        bench.outage.mark("boot")
    if not bench.knows_fresh:
        evidence = bench.evidence
        evidence.image_packages, evidence.image_users, evidence.image_groups = read_fresh(machine, deadline)
        bench.knows_fresh = True
        save_checkpoint(bench)
    save_own(bench, machine, deadline)
    if machine.has_init:
        stop_owners(machine, bench.endpoint, deadline)
    elif isinstance(bench.builder, OfflineRestore):
        bench.builder.clear(STATE_PATHS)
    if bench.snapshot is None or bench.repository is None:
        raise RestoreError(f"Endpoint '{bench.endpoint.name}' has no backup to restore.")
    restore_snapshot(machine, bench.repository, bench.snapshot, deadline, bench.snapshot_manifest)
    bring_back_own(bench, machine, deadline)
    bench.outage.mark("restore")


def reach_rebuilt(bench: Bench, deadline: Deadline) -> Machine:
    """Return the fresh system, or its root where it does not run yet, to restore something to."""
    if bench.fresh_root is not None:
        return LocalMachine(bench.endpoint.name, bench.fresh_root)
    if bench.location is None:
        raise RestoreError(f"Endpoint '{bench.endpoint.name}' is nowhere after its redeploy.")
    return bench.connect(bench.location, deadline, bench.old_boot)


def verify_restore(bench: Bench, deadline: Deadline) -> None:
    """Compare the restored trees with the backup exactly, before anything that owns them starts.

    A difference is no error here but evidence: the drift suite judges it.
    """
    machine = bench.machine if bench.is_connected else reach_rebuilt(bench, deadline)
    found = read_manifest(machine, STATE_PATHS, (), deadline)
    file = write_manifest(found, bench.folder / f"restored{SUFFIX}")
    bench.evidence.restored_manifest = bench.relative(file)
    bench.detail = f"{len(found.entries)} entries, {len(_unlike(bench, found))} differences"
    bench.outage.mark("verify restore")


def read_unlike(bench: Bench) -> list[Difference]:
    """Return how what was restored differed from the backup, but for what is the host's own."""
    file = bench.evidence.restored_manifest
    return _unlike(bench, read_stored(bench.run_dir, file)) if file else []


def _unlike(bench: Bench, found: Manifest) -> list[Difference]:
    if bench.snapshot_manifest is None:
        return []
    unlike = unexplained(fidelity(bench.snapshot_manifest, found), restore_churn(bench.evidence.restored))
    relocation = bench.evidence.relocation
    return [each for each in unlike if relocation is None or not relocation.explains(each)]


def boot_restored(bench: Bench, deadline: Deadline) -> None:
    """Boot, or reboot, into what was restored."""
    if bench.fresh_root is not None:
        _boot_stopped(bench, deadline)
    else:
        _reboot(bench, deadline)


def _boot_stopped(bench: Bench, deadline: Deadline) -> None:
    if not isinstance(bench.builder, OfflineRestore) or bench.fresh_root is None:
        raise ProvisionError(f"The provisioner of '{bench.endpoint.name}' cannot boot a stopped root.")
    forget_own(bench, LocalMachine(bench.endpoint.name, bench.fresh_root), deadline)
    location = bench.builder.boot(deadline)
    bench.connect(location, deadline, bench.old_boot)
    bench.outage.mark("boot")


def _reboot(bench: Bench, deadline: Deadline) -> None:
    """Reboot over SSH; afterwards the endpoint must show the host keys that were just restored, and no others.

    The reboot is forced: a clean one would have the interim system write its own state (seeds, clocks, leases, who was
    logged in) over what was just restored. Everything is synced and unmounted all the same.
    """
    machine = bench.machine if bench.is_connected else reach_rebuilt(bench, deadline)
    interim = bench.location
    if interim is None or not machine.has_init:
        forget_own(bench, machine, deadline)
        return
    boot_id = machine.run("cat /proc/sys/kernel/random/boot_id", deadline).checked().text
    if bench.interim_boot in {None, boot_id}:
        restored = interim.model_copy(update={"host_keys": _restored_keys(machine, deadline)})
        # A drill that dies now is resumed not knowing whether the reboot has happened: either key may answer then.
        bench.interim_boot = boot_id
        bench.location = restored.model_copy(update={"host_keys": (*restored.host_keys, *interim.host_keys)})
        save_checkpoint(bench)
        forget_own(bench, machine, deadline)
        machine.run(_REBOOT, deadline).checked()
        machine = bench.connect(restored, deadline, OldBoot(boot_id, interim.host_keys, REBOOT_SECONDS))
    bench.outage.mark("reboot")
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
