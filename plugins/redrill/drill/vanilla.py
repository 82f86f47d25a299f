"""Mode 'vanilla': what the image alone makes of an endpoint, before its state comes back."""

from redrill.drill.bench import Bench
from redrill.drill.markers import read_markers
from redrill.drill.prepare import take_observation
from redrill.drill.redeploy import begin_wipe
from redrill.drill.steady import wait_for_system
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.record import VanillaFacts
from redrill.probes.started import parse_started, started_program
from redrill.provisioners.protocol import Configurer, Fenced

FENCE = "vanilla"
"""What the token of this rebuild has besides the run: the one that is restored to must destroy it again."""


def boot_vanilla(bench: Bench, deadline: Deadline) -> None:
    """Rebuild the endpoint, restore nothing, boot it, and take down what it is then.

    It may be done again by a resumed drill. The system that comes of it is thrown away by the redeploy after it.
    """
    provisioner = begin_wipe(bench)
    bench.disconnect()
    if isinstance(provisioner, Fenced):
        provisioner.fence(f"{bench.run} {FENCE}")
    location = provisioner.redeploy(deadline)
    machine = bench.connect(location, deadline, bench.old_boot)
    state = wait_for_system(machine, deadline)
    observation = take_observation(bench, "vanilla", deadline)
    markers = read_markers(machine, bench.evidence.markers, deadline)
    bench.evidence.vanilla = VanillaFacts(
        location=location,
        state=state,
        observation=observation,
        units=_read_units(bench, machine, deadline),
        made=provisioner.own_files() if isinstance(provisioner, Configurer) else (),
        leaked=tuple(marker.path for marker in markers if marker.found is not None),
    )
    bench.detail = f"{state}, nothing restored"


def _read_units(bench: Bench, machine: Machine, deadline: Deadline) -> dict[str, str] | None:
    if not machine.has_init:
        return None
    units = bench.endpoint.vanilla.units
    return parse_started(machine.run(started_program(units), deadline).checked().text, units)
