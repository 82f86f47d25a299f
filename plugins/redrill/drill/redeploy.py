"""The phases that destroy and put back: redeploy, restore (offline or live), verify the restored trees."""

import re
from datetime import UTC, datetime

from redrill.drill.bench import Bench
from redrill.drill.evidence import write_manifest
from redrill.drill.owners import stop_owners
from redrill.errors import GuardError, ProvisionError, RestoreError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Machine
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


def redeploy(bench: Bench, deadline: Deadline) -> None:
    """Destroy the endpoint and rebuild it from the image: booted, or stopped where it is restored offline."""
    provisioner = bench.provisioner
    if provisioner is None or not bench.endpoint.expendable or bench.snapshot_manifest is None:
        raise GuardError(f"Endpoint '{bench.endpoint.name}' must not be wiped: it is not armed.")
    bench.disconnect()
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
    return bench.connect(bench.location, deadline, _old_boot_id(bench), OLD_BOOT_SECONDS)


def _old_boot_id(bench: Bench) -> str | None:
    return bench.evidence.before.boot_id if bench.evidence.before else None


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
    bench.connect(location, deadline, _old_boot_id(bench), OLD_BOOT_SECONDS)


def _reboot(bench: Bench, deadline: Deadline) -> None:
    """Reboot over SSH; afterwards the endpoint must show the host keys that were just restored, and no others."""
    machine, location = bench.machine, bench.location
    if location is None or not machine.has_init:
        return
    boot_id = machine.run("cat /proc/sys/kernel/random/boot_id", deadline).checked().text
    keys = machine.run("cat /etc/ssh/ssh_host_*_key.pub", deadline).checked().text
    machine.run(
        "systemd-run --quiet --on-active=0.05 --timer-property=AccuracySec=1ms systemctl reboot", deadline
    ).checked()
    restored = tuple(" ".join(line.split()[:2]) for line in keys.splitlines())
    fresh = bench.connect(location.model_copy(update={"host_keys": restored}), deadline, boot_id)
    _drop_interim_journals(bench, fresh, deadline)


def _drop_interim_journals(bench: Bench, machine: Machine, deadline: Deadline) -> None:
    """Remove the journals of the boots before the restore: each would enter the next backup and stay for ever."""
    command = "cd /var/log/journal 2>/dev/null && find . -mindepth 1 -maxdepth 1 -type d -printf '%f\\n'; exit 0"
    names = machine.run(command, deadline).checked().text.splitlines()
    entries = bench.snapshot_manifest.entries if bench.snapshot_manifest else {}
    foreign = [n for n in names if re.fullmatch("[0-9a-f]{32}", n) and f"/var/log/journal/{n}" not in entries]
    if foreign:
        machine.run(f"cd /var/log/journal && rm -rf -- {' '.join(foreign)}", deadline).checked()
