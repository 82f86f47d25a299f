"""Mode 'relocate': the old host is stopped, a new one takes over, and in the end one of the two is left."""

from functools import partial

from redrill.drill.bench import Bench
from redrill.drill.finish import put_back
from redrill.drill.guards.stops import require_go
from redrill.drill.health.asking import Asker, Target
from redrill.drill.reach import describe_move, destination_of
from redrill.drill.redeploy import read_unlike
from redrill.drill.steady import wait_for_system
from redrill.drill.take_down import begin_outage, remember_boot, require_armed, take_down
from redrill.errors import CleanupError, GuardError, ProvisionError, RedrillError, SettleTimeoutError
from redrill.model.deadline import Deadline, wait_until
from redrill.model.record import RelocationFacts
from redrill.provisioners.protocol import Provisioner, Removable, Roomy, Stoppable

_HEALTH_SECONDS = 120.0
"""How long the applications of the old host may take after its start, before somebody has to look."""


def stop(bench: Bench, deadline: Deadline) -> None:
    """Stop the old host: what depends on it must show, and nothing of it is lost."""
    is_resumed, name = bench.evidence.wiped_at is not None, bench.endpoint.name
    require_armed(bench)
    old, new = bench.provisioner, bench.endpoint.relocate
    home = bench.evidence.relocation.old if bench.evidence.relocation else bench.location
    if not isinstance(old, Stoppable) or new is None or home is None or bench.builder is None:
        raise GuardError(f"Endpoint '{name}' must not be stopped: nobody could start it again.")
    remember_boot(bench)
    bench.evidence.relocation = RelocationFacts(
        name=new.name, old=home, new=destination_of(bench.endpoint, bench.builder)
    )
    take_down(bench)
    begin_outage(bench, is_resumed=is_resumed)
    bench.disconnect()
    old.stop(deadline)
    bench.outage.mark("stop")
    bench.location = None
    bench.detail = f"'{name}' is stopped, '{new.name}' takes over"


def hand_back(bench: Bench, deadline: Deadline) -> None:
    """Leave one host: the old one is started again and the new one removed, or the new one stays for good.

    A new host on which something did not come back never replaces the old one, and is left, stopped, for whoever looks
    for the reason. CleanupError names what could not be removed of the other host.
    """
    relocation, new, missing = _relocation(bench), bench.endpoint.relocate, _missing(bench)
    is_begun = relocation.kept == "new"  # before the run died: the old host may be gone by now
    kept = "new" if is_begun or (new and new.keep == "new" and not missing) else "old"
    if kept == "new" and not is_begun:
        require_go(bench.fleet)
    bench.evidence.relocation = relocation.model_copy(update={"kept": kept})
    if kept == "new":
        take_down(bench)
        left = _remove(bench.provisioner, bench.endpoint.name, deadline)
        bench.detail = f"'{relocation.name}' has taken over for good; {describe_move(bench.endpoint)}"
    else:
        where = _leave(bench, deadline)
        start_old(bench, deadline)
        left = "" if missing else _remove(bench.builder, relocation.name, deadline)
        told = f"{where}, for {missing}" if missing else "the new one is removed"
        bench.detail = f"the old host serves again, {told}"
    if left:
        raise CleanupError(left)


def come_back(bench: Bench, deadline: Deadline) -> str:
    """Start the old host again after a drill that broke; return in words what is where now."""
    relocation = _relocation(bench)
    if relocation.kept == "new":
        raise ProvisionError(f"'{relocation.name}' has taken over and the old host is being removed; resume the run.")
    left = _leave(bench, deadline)
    start_old(bench, deadline)
    bench.evidence.relocation = relocation.model_copy(update={"kept": "old"})
    # Nothing was destroyed after all, and nothing is measured of a recovery.
    bench.evidence.wiped_at = None
    return f"Nothing was destroyed: the old host of '{bench.endpoint.name}' was started again and serves; {left}."


def start_old(bench: Bench, deadline: Deadline) -> None:
    """Start the old host, put it back into service as it was before the drill, and see that it serves.

    SettleTimeoutError when an application of it does not.
    """
    old = bench.provisioner
    if not isinstance(old, Stoppable):
        raise ProvisionError(f"The provisioner of '{bench.endpoint.name}' cannot start what it has stopped.")
    bench.disconnect()
    bench.connect(old.start(deadline), deadline)
    wait_for_system(bench.machine, deadline)
    put_back(bench, deadline)
    for name, application in bench.endpoint.applications.items():
        asker, soon = Asker(application), deadline.within(_HEALTH_SECONDS)
        wait_until(partial(_is_healthy, bench, name, asker), soon, interval=0.1)


def _is_healthy(bench: Bench, name: str, asker: Asker, is_last_try: bool) -> bool | None:
    address = bench.location.address if bench.location else ""
    ill = [check for check in asker.ask(Target(address, bench.machine)) if not check.healthy]
    if ill and is_last_try:
        raise SettleTimeoutError(
            f"The old host of '{bench.endpoint.name}' is up again, but '{name}' is not healthy: "
            f"{ill[0].check}: {ill[0].detail}"
        )
    return None if ill else True


def _relocation(bench: Bench) -> RelocationFacts:
    if bench.evidence.relocation is None:
        raise ProvisionError(f"Nobody knows whereto '{bench.endpoint.name}' was to move.")
    return bench.evidence.relocation


def _missing(bench: Bench) -> str:
    """Return why the new host cannot stand for the old one, in words; '' when it can."""
    applications, markers = bench.evidence.applications, bench.evidence.markers
    ill = [name for name in bench.endpoint.applications if name not in applications or not applications[name].healthy]
    if ill:
        return f"'{ill[0]}' did not come back"
    lost = [marker.path for marker in markers if marker.is_survivor and marker.found != marker.nonce]
    lost += [difference.path for difference in read_unlike(bench)]
    return f"'{lost[0]}' was not restored" if lost else ""


def _leave(bench: Bench, deadline: Deadline) -> str:
    """Stop the new host, so that nothing is done twice, and return in words where it is."""
    bench.disconnect()
    name, builder = _relocation(bench).name, bench.builder
    try:
        if isinstance(builder, Stoppable):
            builder.stop(deadline)
    except RedrillError as error:
        return f"the new host '{name}' could not be stopped ({error})"
    where = f" in '{builder.room()}'" if isinstance(builder, Roomy) and builder.room().exists() else ""
    return f"the new host '{name}' is left stopped{where} until the next drill"


def _remove(provisioner: Provisioner | None, name: str, deadline: Deadline) -> str:
    """Remove a host; return what could not be done, in words."""
    try:
        if not isinstance(provisioner, Removable):
            raise ProvisionError("its provisioner cannot remove it.")
        provisioner.remove(deadline)
    except (RedrillError, OSError) as error:
        return f"The host '{name}' is still there; remove it by hand: {error}"
    return ""
