"""Taking down all that a lab made on this machine, whatever state a crash has left it in."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from redrill.errors import CleanupError, RedrillError
from redrill.lab.state import read_state
from redrill.model.deadline import Deadline
from redrill.provisioners import images
from redrill.provisioners.cgroups import Group
from redrill.provisioners.nspawn_container import PROPAGATION
from redrill.provisioners.nspawn_network import is_link, ports_of, remove_link
from redrill.provisioners.nspawn_place import LABS, EndpointPlace, LabPlace
from redrill.provisioners.nspawn_tree import remove_tree, unmount

DEATH_SECONDS = 30.0


def remove_lab(place: LabPlace) -> None:
    """Remove processes, links, mounts, groups, keys and directories of a lab; CleanupError lists what stays."""
    failures: list[str] = []
    for step in (_remove_processes, _remove_links, _remove_mounts, _remove_keys, _remove_directories):
        _try(step, place, failures)
    left = [*list_leftovers(place), *failures]
    if left:
        listed = "\n".join(f"  - {each}" for each in left)
        raise CleanupError(f"The lab '{place.name}' is not quite gone; still there:\n{listed}")


def list_leftovers(place: LabPlace) -> list[str]:
    """Return what is still there of a lab, one sentence part each; nothing when it is gone."""
    links = [name for name in (place.bridge, *ports_of(place.bridge)) if is_link(name)]
    return [
        *(f"the process {pid}" for pid in sorted(Group(place.group).processes())),
        *(f"the control group '{place.group}'" for _ in [0] if Group(place.group).exists()),
        *(f"the interface '{name}'" for name in links),
        *(f"the mount '{path}'" for path in mounts_below(place.directory)),
        *(f"the directory '{place.directory}'" for _ in [0] if place.directory.exists()),
    ]


def mounts_below(directory: Path) -> list[Path]:
    """Return the mount points below a directory, the deepest first."""
    lines = Path("/proc/self/mountinfo").read_bytes().splitlines()
    points = (Path(line.split()[4].decode("unicode_escape")) for line in lines)
    return sorted((path for path in points if path.is_relative_to(directory)), reverse=True)


def _try(step: Callable[[LabPlace], None], place: LabPlace, failures: list[str]) -> None:
    try:
        step(place)
    except (RedrillError, OSError) as error:
        failures.append(str(error))


def _remove_processes(place: LabPlace) -> None:
    Group(place.group).empty(Deadline.after(DEATH_SECONDS))
    parent = Group(str(Path(place.group).parent))
    parent.remove_if_empty()


def _remove_links(place: LabPlace) -> None:
    known = [endpoint.link for endpoint in _endpoints(place)]
    for name in {*ports_of(place.bridge), *known}:
        remove_link(name)
    remove_link(place.bridge)


def _remove_mounts(place: LabPlace) -> None:
    for path in mounts_below(place.directory):
        unmount(path)
    for endpoint in _endpoints(place):
        with suppress(OSError):
            (PROPAGATION / endpoint.machine).rmdir()


def _remove_keys(place: LabPlace) -> None:
    state = read_state(place)
    for key in state.made_keys if state else ():
        key.unlink(missing_ok=True)
        key.with_name(f"{key.name}.pub").unlink(missing_ok=True)


def _remove_directories(place: LabPlace) -> None:
    remove_tree(place.directory)
    for parent in (LABS, LABS.parent):
        # Another lab may be at home there.
        with suppress(OSError):
            parent.rmdir()
    images.sweep()


def _endpoints(place: LabPlace) -> Iterator[EndpointPlace]:
    if place.endpoints.exists():
        for path in place.endpoints.iterdir():
            yield place.endpoint(path.name)
