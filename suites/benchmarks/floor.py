"""What the floor script gets: one file of variables an endpoint, with the provisioner's own way to start it."""

import shlex
from pathlib import Path

from redrill.model.application import Application
from redrill.model.fleet import Endpoint, Fleet
from redrill.provisioners.cgroups import Group
from redrill.provisioners.nspawn import NspawnProvisioner
from redrill.provisioners.nspawn_container import KEEPER, Container
from redrill.provisioners.nspawn_tree import NETWORK
from redrill.repositories.tar_command import CREATE, EXTRACT

SCRIPT = Path(__file__).with_name("drill_floor.sh")


def write_floor_files(fleet: Fleet, names: tuple[str, ...], folder: Path) -> None:
    """Write ``folder``/<endpoint>.env for each endpoint, and beside it what starts its container and its network."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        _write(NspawnProvisioner(fleet, fleet.endpoint(name)), fleet.endpoint(name), folder)


def _write(provisioner: NspawnProvisioner, endpoint: Endpoint, folder: Path) -> None:
    place, name = provisioner.place, endpoint.name
    group = Group(place.group)
    network, start = folder / f"{name}.network", folder / f"{name}.start"
    network.write_text(NETWORK.format(interface=f"{endpoint.address}/24"))
    start.write_text(_starter(provisioner, name))
    application = next(iter(endpoint.applications.values()))
    http, (question, expect) = application.http, _question(application)
    variables = {
        "NAME": name,
        "ADDRESS": endpoint.address,
        "KEY": endpoint.ssh.key,
        "TREE": place.tree,
        "MERGED": place.merged,
        "TRASH": place.lab.trash,
        "LINK": place.link,
        "GOLDEN": provisioner.build_image().root,
        "BOX": group.child("box").membership_files()[0].parent,
        "KEEPER": group.child("keeper").membership_files()[0].parent,
        "NETWORK": network,
        "START": start,
        "UNITS": " ".join(application.units),
        "URL": f"http://{endpoint.address}:{http.port}{http.path}" if http else "",
        "HEALTH": question,
        "EXPECT": (http.expect if http else "") or expect,
        "TAR_CREATE": CREATE,
        "TAR_EXTRACT": EXTRACT,
    }
    lines = (f"{key}={shlex.quote(str(value))}\n" for key, value in variables.items())
    (folder / f"{name}.env").write_text("".join(lines))


def _question(application: Application) -> tuple[str, str]:
    """Return what is asked on the endpoint itself, with its own clients, and what the answer must hold; '' for none."""
    if (check := application.postgresql) is not None:
        place = f"postgresql://{check.user}@127.0.0.1:{check.port}/{check.database}?passfile=/etc/shop/pgpass"
        return f"psql -Atc {shlex.quote(check.query)} {shlex.quote(place)}", check.expect
    return (application.command.run, application.command.expect) if application.command else ("", "")


def _starter(provisioner: NspawnProvisioner, hostname: str) -> str:
    """Return a script that does what ``Container.start`` does, by the same keeper and the same arguments."""
    place = provisioner.place
    keeper, box = Group(place.group).child("keeper"), Group(place.group).child("box")
    files = {"REDRILL_KEEPER": keeper.membership_files(), "REDRILL_BOX": box.membership_files()}
    directories = [file.parent for found in files.values() for file in found]
    command = ["setsid", "--fork", "sh", "-c", KEEPER, "redrill-keeper", *Container(place)._nspawn(hostname)]
    return "\n".join(
        [
            "set -eu",
            "cd /",
            f"mkdir -p {shlex.join(map(str, directories))}",
            *(f"export {name}={shlex.quote(' '.join(map(str, found)))}" for name, found in files.items()),
            "export SYSTEMD_NSPAWN_LOCK=0",
            f"exec {shlex.join(command)} </dev/null >>{shlex.quote(str(place.console))} 2>&1",
            "",
        ]
    )
