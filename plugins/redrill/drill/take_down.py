"""The one gate to every step that takes an endpoint down: it is armed, or its drill had begun to do so already."""

from redrill.drill.bench import Bench
from redrill.drill.checkpoint import save_checkpoint
from redrill.drill.guards.stops import require_go
from redrill.drill.locks import EndpointLock
from redrill.drill.outage import clock_now
from redrill.errors import GuardError
from redrill.machine.ssh_machine import OldBoot
from redrill.model.values import Mode
from redrill.provisioners.protocol import Provisioner

OLD_BOOT_SECONDS = 10.0
"""A provisioner that returned has destroyed the old system: what answers from it so long after was never destroyed."""

_REASONS = {Mode.RELOCATE: "it was stopped for its new host and is not back yet"}
_REASON = "it was wiped and has not recovered yet"


def require_armed(bench: Bench) -> Provisioner:
    """Return what rebuilds the endpoint, which may be taken down now; whoever asks uses the right up.

    GuardError when it is not armed, StoppedError when somebody has stopped drills.

    A resumed drill that had begun goes on with it: the only way for the endpoint is forward.
    """
    is_ready = bench.endpoint.expendable and bench.snapshot_manifest is not None
    is_begun = bench.evidence.wiped_at is not None
    if bench.builder is None or bench.lock is None or not is_ready or not (bench.is_armed or is_begun):
        raise GuardError(f"Endpoint '{bench.endpoint.name}' must not be wiped: it is not armed.")
    if not is_begun:
        require_go(bench.fleet)
    bench.is_armed = False
    return bench.builder


def take_down(bench: Bench) -> None:
    """Hold the lock until the endpoint is back, and write down that it goes, before it does.

    The last thing that may refuse (GuardError, OSError): until here the connection is needed to put the endpoint back
    into service.
    """
    if bench.lock is None:
        raise GuardError(f"The lock of '{bench.endpoint.name}' is not held.")
    bench.lock.hold_for_recovery(_REASONS.get(bench.mode, _REASON))
    _remember(bench, bench.lock)


def _remember(bench: Bench, lock: EndpointLock) -> None:
    """Write down that the endpoint is taken down; OSError when that cannot be: then it is not."""
    before = bench.evidence.wiped_at
    bench.evidence.wiped_at = before or clock_now()
    try:
        bench.canaries.log.sync()
        save_checkpoint(bench)
    except OSError:
        if before is None:
            bench.evidence.wiped_at = None
            lock.recovered()
        raise


def remember_boot(bench: Bench) -> None:
    """Note the boot that answered last: nothing that is still of it is believed to be rebuilt."""
    seen, location = bench.evidence.before, bench.location
    if bench.evidence.vanilla:
        seen, location = bench.evidence.vanilla.observation, bench.evidence.vanilla.location
    if seen and location:
        bench.old_boot = OldBoot(seen.boot_id, location.host_keys, OLD_BOOT_SECONDS)


def begin_outage(bench: Bench, *, is_resumed: bool) -> None:
    """Start the clock of the recovery; one that died with its process is set by the moment that was written down."""
    if bench.outage.began_at is not None:
        return
    if is_resumed and bench.evidence.wiped_at and bench.mode is not Mode.VANILLA:
        bench.outage.resume(bench.evidence.wiped_at, ())
    else:
        bench.outage.begin()
