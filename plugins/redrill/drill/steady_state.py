"""The steady state before a drill: what is not healthy now cannot be seen to come back, so it is not drilled."""

import time

from redrill.drill.bench import Bench
from redrill.drill.health.probe import Probe
from redrill.drill.health.results import around_not_drilled
from redrill.errors import GuardError
from redrill.model.deadline import Deadline

_PATIENCE = 10.0
"""Seconds for which an application is waited for, besides its hold time: its system has started all it has to start."""


def require_steady_state(bench: Bench, deadline: Deadline) -> None:
    """Begin to ask the endpoint's applications and its neighbours; GuardError unless all are healthy and hold."""
    site, endpoint = bench.site, bench.endpoint
    site.begin(bench, has_neighbours=True)
    own = [(f"application '{name}'", probe) for name, probe in site.own_probes(endpoint).items()]
    around = around_not_drilled(site, site.around(endpoint))
    others = [(f"neighbour '{name}'", probe) for name in around if (probe := site.probe(name))]
    patience = {probe: _patience_with(probe, deadline) for _, probe in (*own, *others)}
    unsteady = [
        f"{what}: {probe.trouble}" for what, probe in (*own, *others) if probe.wait_until_held(patience[probe]) is None
    ]
    bench.watched_since = time.monotonic()
    if unsteady:
        raise GuardError(
            f"Endpoint '{endpoint.name}' is not drilled, for not all was healthy before: {'; '.join(unsteady)}. "
            "Nothing was touched. Mend that first: nobody could tell what the drill had done to it."
        )


def watch_again(bench: Bench) -> None:
    """Ask from now on what was asked before the drill was interrupted; how it fared meanwhile, nobody knows."""
    bench.site.begin(bench, has_neighbours=True)
    bench.watched_since = time.monotonic()


def _patience_with(probe: Probe, deadline: Deadline) -> Deadline:
    return deadline.within(probe.application.hold.total_seconds() + _PATIENCE)
