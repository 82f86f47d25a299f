"""Reaching the steady state and holding it: boot what was restored, ask the applications until they stay healthy."""

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from redrill.drill.bench import Bench
from redrill.drill.health.probe import Probe
from redrill.drill.health.results import At, Recovery, Surroundings, with_needs
from redrill.drill.redeploy import boot_restored
from redrill.drill.steady import wait_for_system
from redrill.model.deadline import Deadline, wait_until
from redrill.model.recovery import NeighbourResult

_LEAST_PATIENCE = 20.0


def settle(bench: Bench, deadline: Deadline) -> None:
    """Boot into the restored state, wait for the system and for the applications.

    A system that never leaves 'starting' is a SettleTimeoutError; an application that does not come back is evidence.
    """
    began = time.monotonic()
    bench.site.begin(bench, has_neighbours=bench.mode.is_destructive)
    bench.watched_since = bench.watched_since or began
    probes = bench.site.own_probes(bench.endpoint)
    if bench.mode.is_destructive:
        _boot(bench, probes, deadline)
    at: At = bench.outage.at if bench.outage.began_at else lambda moment: moment - began
    with ThreadPoolExecutor(len(probes) or 1, thread_name_prefix=f"settle-{bench.endpoint.name}") as pool:
        watched = {name: pool.submit(_watch, bench, name, probe, deadline) for name, probe in probes.items()}
        bench.detail = wait_for_system(bench.machine, deadline)
        bench.outage.mark("system ready")
        is_up_at = time.monotonic()
        recoveries = {name: each.result() for name, each in watched.items()}
    bench.evidence.applications = {
        name: with_needs(recovery.tell(at), recovery, bench.site, -at(0.0), is_up_at)
        for name, recovery in recoveries.items()
    }
    if bench.mode.is_destructive:
        _await_others(bench, deadline)
        bench.evidence.neighbours = judge_neighbours(bench)
    bench.site.leave(bench.endpoint.name, [probe.name for probe in probes.values()])


def _boot(bench: Bench, probes: Mapping[str, Probe], deadline: Deadline) -> None:
    for probe in probes.values():
        probe.expect_return()
    bench.is_coming_back = True
    boot_restored(bench, deadline)
    bench.is_back = True
    for probe in probes.values():
        probe.confirm_return()


def _watch(bench: Bench, name: str, probe: Probe, deadline: Deadline) -> Recovery:
    """Wait until one application was healthy without a break for its hold time, or hope is given up.

    That is after twice its objective: one that comes back too late is told apart from one that never does. Where
    nothing was taken down there is nothing to come back, so what is not healthy then is waited for only a little.
    """
    objective = bench.endpoint.objectives_of(name).rto.total_seconds() if bench.mode.is_destructive else 0.0
    hold = probe.application.hold.total_seconds()
    held = probe.wait_until_held(deadline.within(max(2 * objective, _LEAST_PATIENCE) + hold))
    return Recovery(probe, held, time.monotonic())


def _await_others(bench: Bench, deadline: Deadline) -> None:
    """Wait until what needs this endpoint is back as well, or has had all the time that it may take.

    After a resume a neighbour may not have answered even once by now, so that is waited for, too.
    """

    def were_asked(is_last_try: bool) -> bool | None:
        silent = [one for one in judge_neighbours(bench) if not (one.asked or one.is_drilled)]
        return True if is_last_try or not silent else None

    def are_back(is_last_try: bool) -> bool | None:
        waiting = [one for one in judge_neighbours(bench) if one.tolerated is not None and one.back_after is None]
        hopeful = [one for one in waiting if all(bench.evidence.applications[name].healthy for name in one.needs)]
        return True if is_last_try or not hopeful else None

    wait_until(were_asked, deadline.within(_LEAST_PATIENCE), interval=0.05)
    around = [one.tolerated for one in judge_neighbours(bench) if one.tolerated is not None]
    if around:
        wait_until(are_back, deadline.within(max(around)), interval=0.05)


def judge_neighbours(bench: Bench) -> list[NeighbourResult]:
    """Return how the neighbours and dependents of the endpoint have fared until now; before a crash is forgotten."""
    if bench.watched_since is None:
        return bench.evidence.neighbours
    surroundings = Surroundings(bench.site, bench.endpoint, bench.watched_since, time.monotonic())
    return surroundings.tell(bench.evidence.applications, bench.outage.at)
