"""The last question before an endpoint is wiped, asked on the connection that the whole drill has used."""

from dataclasses import replace
from datetime import UTC, datetime

from redrill.drill.bench import Bench
from redrill.drill.guards.endpoint import is_made_here, judge_endpoint, resource_of
from redrill.drill.guards.landing import judge_landing
from redrill.drill.guards.live import read_live
from redrill.drill.guards.protection import know_controller
from redrill.drill.guards.schedule import judge_times, remember_wipe
from redrill.drill.guards.state import require_all
from redrill.drill.guards.stops import require_go
from redrill.drill.image import require_image
from redrill.errors import BackupError, GuardError
from redrill.model.deadline import Deadline
from redrill.model.values import Mode
from redrill.repositories.protocol import WatchfulRepository

MEETING_SECONDS = 30.0
"""How long an endpoint waits for those that it has needs with: meanwhile its backup grows old."""


def arm(bench: Bench, deadline: Deadline) -> None:
    """Allow the wipe of this endpoint, or raise: StoppedError, BackupError, or GuardError for all else.

    What was planned is read again: its image, who answers, its token, its clock; then the windows and the stops.
    Nobody may have touched the backup since it was verified. What has needs with others waits for them first.
    """
    name, permit, fleet = bench.endpoint.name, bench.permit, bench.fleet
    bench.is_armed = False
    late = bench.meeting.await_others(name, bench.halt, deadline.within(MEETING_SECONDS))
    if permit is None or permit.found.facts is None or bench.lock is None:
        raise GuardError(f"Endpoint '{name}' must not be wiped: no plan allows it, or its lock is not held.")
    if bench.snapshot_manifest is None or bench.evidence.snapshot is None or bench.snapshot is None:
        raise BackupError(f"Endpoint '{name}' must not be wiped: no backup of this run was verified.")
    require_go(fleet)
    now, provisioner = datetime.now(UTC), bench.provisioner
    if provisioner is not None and permit.found.image is not None:
        require_image(bench, provisioner, permit.found.image)
    if isinstance(bench.repository, WatchfulRepository):
        bench.repository.require_untouched(bench.snapshot)
    facts = read_live(bench.machine, fleet.guards, resource_of(provisioner), deadline)
    found = replace(permit.found, location=bench.location, facts=facts, is_made_here=is_made_here(provisioner))
    if facts.identity != permit.found.identity or facts.boot_id != permit.found.facts.boot_id:
        raise GuardError(
            f"Endpoint '{name}' must not be wiped: what answers now is not the machine that the plan was made for."
        )
    states = judge_times(fleet, [bench.endpoint], now, permit.outage)
    states += judge_endpoint(fleet, know_controller(), found, now)
    if bench.mode is Mode.RELOCATE:
        states.append(judge_landing(fleet, know_controller(), bench.endpoint))
    require_all(states, f"Endpoint '{name}' must not be wiped:")
    if fleet.guards.min_interval:
        remember_wipe(facts.identity, name, bench.run, now)
    bench.is_armed = True
    without = f", not together with {', '.join(late)}" if late else ""
    bench.detail = f"plan {permit.plan}, {len(states)} guards{without}"
