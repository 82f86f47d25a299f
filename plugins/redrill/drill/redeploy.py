"""The phases that destroy and put back: redeploy, restore (offline or live), verify the restored trees."""

import re
from datetime import UTC, datetime

from redrill.drill.bench import Bench
from redrill.drill.evidence import write_manifest
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
from redrill.probes.observe import read_packages
from redrill.provisioners.protocol import OfflineRestore
from redrill.repositories.restore import fidelity, restore_tree

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
    """Destroy the endpoint and rebuild it from the image: booted, or stopped where it is restored offline."""
    provisioner = bench.provisioner
    if provisioner is None or not bench.endpoint.expendable or bench.snapshot_manifest is None:
        raise GuardError(f"Endpoint '{bench.endpoint.name}' must not be wiped: it is not armed.")
    bench.disconnect()
    if bench.evidence.before and bench.location:
        bench.old_boot = OldBoot(bench.evidence.before.boot_id, bench.location.host_keys, OLD_BOOT_SECONDS)
    bench.evidence.wiped_at = datetime.now(UTC)
    if _is_offline(bench):
        bench.fresh_root = provisioner.redeploy_stopped(deadline)  # type: ignore[attr-defined]  # _is_offline checked it
    else:
        bench.location = provisioner.redeploy(deadline)
    bench.evidence.image_deployed = provisioner.describe_image()


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
    bench.evidence.image_packages = read_packages(machine, deadline)
    if machine.has_init:
        stop_owners(machine, bench.endpoint, deadline)
    elif isinstance(bench.provisioner, OfflineRestore):
        bench.provisioner.clear(STATE_PATHS)
    if bench.snapshot is None or bench.repository is None:
        raise RestoreError(f"Endpoint '{bench.endpoint.name}' has no backup to restore.")
    with bench.repository.open(bench.snapshot) as stream:
        restore_tree(machine, stream, deadline)


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
    fresh_root = bench.fresh_root
    machine = LocalMachine(bench.endpoint.name, fresh_root) if fresh_root else bench.machine
    found = read_manifest(machine, STATE_PATHS, (), deadline)
    file = write_manifest(found, bench.folder / "restored.jsonl")
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
    machine, interim = bench.machine, bench.location
    if interim is None or not machine.has_init:
        return
    boot_id = machine.run("cat /proc/sys/kernel/random/boot_id", deadline).checked().text
    restored = interim.model_copy(update={"host_keys": _restored_keys(machine, deadline)})
    machine.run(_REBOOT, deadline).checked()
    fresh = bench.connect(restored, deadline, OldBoot(boot_id, interim.host_keys, REBOOT_SECONDS))
    _drop_interim_journals(bench, fresh, deadline)


def _restored_keys(machine: Machine, deadline: Deadline) -> tuple[str, ...]:
    """Return the host keys as 'type key'; RestoreError when there is none: nobody could tell who answers afterwards."""
    text = machine.run("cat /etc/ssh/ssh_host_*_key.pub 2>/dev/null; true", deadline).checked().text
    keys = tuple(" ".join(line.split()[:2]) for line in text.splitlines() if line.startswith(("ssh-", "ecdsa-")))
    if not keys:
        raise RestoreError(
            f"The backup of '{machine.name}' has no public host key in /etc/ssh, so nobody could tell who answers after "
            "the reboot. Keep 'ssh_host_*_key.pub' beside the host keys."
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
