"""Reaching the steady state and holding it: boot what was restored, ask the applications until they stay healthy."""

import time
from concurrent.futures import ThreadPoolExecutor

from redrill.drill.bench import Bench
from redrill.drill.health import check_application
from redrill.drill.redeploy import boot_restored
from redrill.drill.steady import wait_for_system
from redrill.drill.witness import read_canaries
from redrill.errors import MachineError
from redrill.model.deadline import Deadline, pause
from redrill.model.recovery import ApplicationResult, CheckResult

_INTERVAL = 0.05
_LEAST_PATIENCE = 20.0


def settle(bench: Bench, deadline: Deadline) -> None:
    """Boot into the restored state, wait for the system and for the applications, and read the canaries back.

    A system that never leaves 'starting' is a SettleTimeoutError; an application that does not come back is evidence.
    """
    if bench.mode.is_destructive:
        boot_restored(bench, deadline)
    names = list(bench.endpoint.applications)
    with ThreadPoolExecutor(len(names) + 1, thread_name_prefix=f"settle-{bench.endpoint.name}") as pool:
        results = {name: pool.submit(_watch, bench, name, deadline) for name in names}
        bench.detail = wait_for_system(bench.machine, deadline)
        bench.evidence.applications = {name: result.result() for name, result in results.items()}


def _watch(bench: Bench, name: str, deadline: Deadline) -> ApplicationResult:
    """Ask one application until it was healthy without a break for its hold time, or hope is given up.

    That is after twice its objective: one that comes back too late is told apart from one that never does.
    """
    application = bench.endpoint.applications[name]
    hold = application.hold.total_seconds()
    objective = bench.endpoint.objectives_of(name).rto.total_seconds()
    patience = deadline.within(max(2 * objective, _LEAST_PATIENCE) + hold)
    began = time.monotonic()
    healthy_since: float | None = None
    while True:
        asked = time.monotonic()
        checks = check_application(bench.machine, bench.location.address if bench.location else "", application)
        healthy_since = (
            (asked if healthy_since is None else healthy_since) if all(check.healthy for check in checks) else None
        )
        held = asked - healthy_since if healthy_since is not None else 0.0
        if healthy_since is not None and held >= hold:
            after = bench.outage.at(healthy_since) if bench.outage.began_at else healthy_since - began
            return _conclude(bench, name, checks, recovered_after=max(0.0, after), held=held)
        if patience.is_over:
            return _conclude(bench, name, checks, recovered_after=None, held=held)
        pause(_INTERVAL)


def _conclude(
    bench: Bench, name: str, checks: tuple[CheckResult, ...], *, recovered_after: float | None, held: float
) -> ApplicationResult:
    canary, written = bench.endpoint.applications[name].canary, bench.canaries.get(name)
    survived: tuple[int, ...] | None = None
    if canary and written is not None:
        try:
            there = read_canaries(bench.machine, canary, Deadline.after(30))
        except MachineError as error:
            checks = (*checks, CheckResult(check="read the canaries", healthy=False, detail=str(error)))
            there = frozenset()
        survived = tuple(number for number in written if number in there)
    return ApplicationResult(
        checks=checks,
        healthy=recovered_after is not None,
        recovered_after=recovered_after,
        held=held,
        writes=written,
        survived=survived,
    )
