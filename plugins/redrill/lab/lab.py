"""The lab: all endpoints of a fleet that are containers on this machine, brought up and taken down together."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redrill.drill.locks import forget, identify, open_locks
from redrill.drill.reach import tell_move
from redrill.errors import FleetError, GuardError, ProvisionError, RedrillError
from redrill.lab.day1 import run_day1, wait_for_order
from redrill.lab.passwords import ensure_password, files_of
from redrill.lab.removal import remove_lab
from redrill.lab.report import LabRow, Report
from redrill.lab.state import LabState, labs_of, locked, read_state, write_state
from redrill.lab.trees import bring_up_tree, take_down_tree, tree_rows, trees_of
from redrill.model.deadline import Deadline
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.record import Location
from redrill.provisioners.nspawn import NspawnProvisioner
from redrill.provisioners.nspawn_container import INOTIFY_INSTANCES, Container, describe_limits
from redrill.provisioners.nspawn_place import LabPlace
from redrill.provisioners.nspawn_tree import make_key

BOOT_SECONDS = 60.0
DAY1_SECONDS = 300.0
ORDER_SECONDS = 60.0
LOCK_SECONDS = 5.0
AT_ONCE = 8
INOTIFY_PER_ENDPOINT = 7


def up(fleet: Fleet, report: Report) -> None:
    """Bring up every endpoint of the fleet that redrill can make here, in its Day-1 state; those that run stay alone.

    ProvisionError names every endpoint that does not come up; what was made stays for ``down``.
    """
    trees = trees_of(fleet)
    for endpoint in trees:
        bring_up_tree(fleet, endpoint, report)
    if not trees or _containers(fleet):
        _bring_up_containers(fleet, report)


def down(fleet: Fleet, report: Report) -> None:
    """Take the lab down with everything that it ever made on this machine, also after a crash; safe to call twice.

    CleanupError lists what is still there.
    """
    trees = trees_of(fleet)
    for endpoint in trees:
        take_down_tree(fleet, endpoint)
        report(f"{endpoint.name}: removed.")
    if not trees or _containers(fleet):
        _take_down_containers(fleet, report)


def status(fleet: Fleet) -> list[LabRow]:
    """Return one row for each endpoint of the fleet that redrill can make here, and for each new host that is left."""
    rows = [row for endpoint in trees_of(fleet) for row in tree_rows(fleet, endpoint)]
    if rows and not _containers(fleet):
        return rows
    _require_root(fleet)
    rows += [_row(NspawnProvisioner(fleet, endpoint), endpoint) for endpoint in _containers(fleet)]
    left = (NspawnProvisioner(fleet, endpoint.relocated) for endpoint in _containers(fleet) if _moves_here(endpoint))
    return rows + [_row(each, each.endpoint) for each in left if each.place.directory.exists()]


def _bring_up_containers(fleet: Fleet, report: Report) -> None:
    _require_root(fleet)
    endpoints = _containers(fleet)
    with _all_locked(_places(fleet)):
        _prepare(fleet, endpoints)
        for endpoint in endpoints:
            NspawnProvisioner(fleet, endpoint).build_image(report)
        _warn_of_limits(len(endpoints), report)
        with ThreadPoolExecutor(AT_ONCE, "lab") as pool:
            failures = list(filter(None, pool.map(lambda endpoint: _try_bring_up(fleet, endpoint, report), endpoints)))
    if failures:
        raise ProvisionError("\n".join(failures))


def _take_down_containers(fleet: Fleet, report: Report) -> None:
    _require_root(fleet)
    # One from which the last endpoint has moved away for good is in the fleet file no more.
    places = list(dict.fromkeys([*_places(fleet), *labs_of(fleet.source)]))
    with _all_locked(places):
        for place in places:
            remove_lab(place)
            report(f"The lab '{place.name}' is down.")


def _row(provisioner: NspawnProvisioner, endpoint: Endpoint) -> LabRow:
    started = Container(provisioner.place).started
    here = "stopped" if provisioner.place.tree.exists() else "absent"
    return LabRow(endpoint.name, str(endpoint.address), "running" if started else here, started)


def _require_root(fleet: Fleet) -> None:
    if not _containers(fleet):
        kinds = "no endpoint has the provisioner 'nspawn' or 'tree', so there is no lab to speak of"
        raise FleetError(f"{fleet.source}: {kinds}")
    if os.geteuid() != 0:
        raise GuardError("The lab starts containers, which needs root; run the command with sudo.")


def _containers(fleet: Fleet) -> tuple[Endpoint, ...]:
    return tuple(each for each in fleet.endpoints if each.provisioner and each.provisioner.kind == "nspawn")


def _moves_here(endpoint: Endpoint) -> bool:
    new = endpoint.relocated.provisioner
    return endpoint.relocate is not None and new is not None and new.kind == "nspawn"


def _places(fleet: Fleet) -> list[LabPlace]:
    """Return the labs of all endpoints, and of their new hosts: a drill may have left one."""
    hosts = [*_containers(fleet), *(each.relocated for each in fleet.endpoints if _moves_here(each))]
    return list(dict.fromkeys(NspawnProvisioner(fleet, host).place.lab for host in hosts))


@contextmanager
def _all_locked(places: Sequence[LabPlace]) -> Iterator[None]:
    with ExitStack() as stack:
        for place in places:
            stack.enter_context(locked(place, Deadline.after(LOCK_SECONDS)))
        yield


def _prepare(fleet: Fleet, endpoints: tuple[Endpoint, ...]) -> None:
    """Write down what the labs will make, then make their SSH keys and passwords."""
    for place in _places(fleet):
        keys = {endpoint.ssh.key for endpoint in endpoints if endpoint.ssh.key}
        passwords = {file for endpoint in endpoints for file in files_of(endpoint)}
        _refuse_takeover(place, fleet)
        before = read_state(place)
        made = {file for file in keys | passwords if not file.exists()} | set(before.made_keys if before else ())
        write_state(place, LabState(name=place.name, source=fleet.source, made_keys=tuple(sorted(made))))
        for key in keys:
            _ensure_key(key)
        for password in passwords:
            ensure_password(password)


def _refuse_takeover(place: LabPlace, fleet: Fleet) -> None:
    state = read_state(place)
    if state and state.source != fleet.source and _is_any_running(place):
        raise GuardError(
            f"A lab '{place.name}' is running, brought up from '{state.source}'; take it down first "
            f"(`redrill lab down {state.source}`), or give this fleet another name."
        )


def _is_any_running(place: LabPlace) -> bool:
    names = [path.name for path in place.endpoints.iterdir()] if place.endpoints.exists() else []
    return any(Container(place.endpoint(name)).is_running for name in names)


def _ensure_key(key: Path) -> None:
    if not key.exists():
        key.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key.with_name(f"{key.name}.pub").unlink(missing_ok=True)
        make_key(key, "redrill lab")


def _warn_of_limits(count: int, report: Report) -> None:
    if count * INOTIFY_PER_ENDPOINT > int(INOTIFY_INSTANCES.read_text()):
        report(f"{count} endpoints are too many for this machine as it is set up.{describe_limits()}")


def _try_bring_up(fleet: Fleet, endpoint: Endpoint, report: Report) -> str | None:
    try:
        _bring_up(fleet, endpoint, report)
    except RedrillError as error:
        return f"The endpoint '{endpoint.name}' is not up: {error}"
    return None


def _bring_up(fleet: Fleet, endpoint: Endpoint, report: Report) -> None:
    provisioner = NspawnProvisioner(fleet, endpoint)
    day1 = provisioner.place.day1
    if provisioner.is_of_a_drill:  # its state is from a backup, and Day-1 in it; a new host that took over has no mark
        day1.touch()
    if provisioner.locate() and day1.exists():
        report(f"{endpoint.name}: runs already.")
        return
    if not provisioner.place.tree.exists() and (words := tell_move(fleet, endpoint)):
        raise GuardError(f"it is not made anew: it is not up{words}")
    location = _boot(provisioner, report, endpoint, fleet)
    if not day1.exists():
        run_day1(fleet, endpoint, location, Deadline.after(DAY1_SECONDS))
        day1.touch()
    wait_for_order(endpoint, location, Deadline.after(ORDER_SECONDS))
    report(f"{endpoint.name}: up at {location.address}.")


def _boot(provisioner: NspawnProvisioner, report: Report, endpoint: Endpoint, fleet: Fleet) -> Location:
    deadline = Deadline.after(BOOT_SECONDS)
    if provisioner.place.day1.exists() and provisioner.is_stopped:
        report(f"{endpoint.name}: starting again.")
        return provisioner.boot(deadline)
    provisioner.place.day1.unlink(missing_ok=True)
    report(f"{endpoint.name}: deploying.")
    location = provisioner.redeploy(deadline)
    forget(open_locks(fleet), endpoint.name, identify(location), "the lab made it anew")
    return location
