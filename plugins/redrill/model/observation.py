"""All facts of an endpoint at one moment."""

from datetime import datetime
from pathlib import Path

from redrill.model.values import Value


class Unit(Value):
    """A systemd unit: ``enabled`` is its unit file state, ``active`` its active state, as systemctl names them."""

    enabled: str
    active: str


class Account(Value):
    """A user of /etc/passwd."""

    uid: int
    gid: int
    home: str
    shell: str


class Observation(Value):
    """What was seen. A fact named in ``unknown`` (with the reason) could not be seen, one in ``absent`` does not apply.

    ``sockets`` are 'tcp 0.0.0.0:22' and the like (listening only); ``packages`` are versions by 'name:architecture';
    the manifests are files of the run directory, relative to it. ``os_release`` is what /etc shows,
    ``vendor_release`` what /usr does.
    """

    taken_at: datetime
    hostname: str
    machine_id: str
    boot_id: str
    root_id: str
    kernel: str = ""
    os_release: dict[str, str] = {}
    vendor_release: dict[str, str] = {}
    packages: dict[str, str] = {}
    users: dict[str, Account] = {}
    groups: dict[str, int] = {}
    units: dict[str, Unit] = {}
    sockets: tuple[str, ...] = ()
    sysctls: dict[str, str] = {}
    state_manifest: Path | None = None
    system_manifest: Path | None = None
    unknown: dict[str, str] = {}
    absent: dict[str, str] = {}
