"""What the fleet file must say of a new host so that it can stand for the old one; told with its place in the file."""

from collections.abc import Iterable

from redrill.drill.reach import destination_of, make_builder, make_provisioner
from redrill.errors import FleetError
from redrill.model.fleet import Endpoint, Fleet
from redrill.model.strict_yaml import DocPath, Document, Mistake, parse_yaml
from redrill.provisioners.protocol import Destined, Provisioner, Removable, Stoppable


def require_new_hosts(fleet: Fleet, endpoints: Iterable[Endpoint]) -> None:
    """Raise FleetError with a mistake for each endpoint whose new host can never be made, or never take over."""
    faults = [(("endpoints", each.name, *key), why) for each in endpoints for key, why in _faults(fleet, each)]
    if faults:
        document = _read(fleet)
        raise FleetError(
            *(Mistake(document.mark_at(path), path, why).render(str(fleet.source)) for path, why in faults)
        )


def _faults(fleet: Fleet, endpoint: Endpoint) -> list[tuple[DocPath, str]]:
    """Return what is wrong and where below the endpoint: the first thing only, for the rest may follow from it."""
    new = endpoint.relocate
    try:
        old, builder = make_provisioner(fleet, endpoint), make_builder(fleet, endpoint)
        is_other = builder is not None and _makes_directories(builder) is not _makes_directories(old)
        if builder is not None:
            destination_of(endpoint, builder)
    except FleetError as error:
        return [(("relocate",), f"the new host cannot be made: {error}")]
    if new is None or builder is None:
        return []
    if is_other:
        why = "a directory cannot stand for a system that boots, nor the other way round; name a provisioner that makes"
        kind = endpoint.provisioner.kind if endpoint.provisioner else ""
        return [(("relocate", "provisioner", "kind"), f"{why} what '{kind}' makes.")]
    return _lacking(old, builder, is_rehearsal=new.keep == "old")


def _lacking(old: Provisioner | None, builder: Provisioner, *, is_rehearsal: bool) -> list[tuple[DocPath, str]]:
    """Return what the provisioners cannot do of all that is needed."""
    if not isinstance(old, Stoppable):
        return [(("provisioner",), "it cannot stop and start what it has made, so no new host can take over from it.")]
    if is_rehearsal and not isinstance(builder, Removable):
        return [(("relocate",), "the provisioner cannot remove the new host in the end; say 'keep: new', or another.")]
    if not is_rehearsal and not isinstance(old, Removable):
        return [(("relocate", "keep"), "the provisioner of the old host cannot remove it in the end; say 'keep: old'.")]
    return []


def _makes_directories(provisioner: Provisioner | None) -> bool:
    return isinstance(provisioner, Destined) and provisioner.destination().root is not None


def _read(fleet: Fleet) -> Document:
    """Return the fleet file, for its places; an empty one when it is gone, as after a drill that is resumed."""
    try:
        return parse_yaml(fleet.source.read_bytes(), str(fleet.source))
    except OSError:
        return Document()
