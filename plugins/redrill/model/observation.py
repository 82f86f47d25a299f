"""All facts of an endpoint at one moment."""

from datetime import datetime
from pathlib import Path

from redrill.model.host_reference import HostReference
from redrill.model.values import Text, Value


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


class Certificate(Value):
    """What a certificate says; ``not_after`` is None when it cannot be understood, and ``subject`` then says why."""

    subject: Text
    issuer: Text
    not_after: datetime | None
    sha256: str


class Observation(Value):
    """What was seen. A fact named in ``unknown`` (with the reason) could not be seen, one in ``absent`` does not apply.

    ``packages`` are versions by 'name:architecture', ``certificates`` lie in the files that they are named by;
    ``runtime`` is what else runs or is set, but for what is volatile: values by item by kind ('listeners', 'sysctls').
    The manifests are files of the run directory, relative to it. ``os_release`` is what /etc shows,
    ``vendor_release`` what /usr does. ``identities`` are hashes by class and path, ``own_tokens`` those by kind of what
    ``references`` are looked for. ``open_files`` says which processes (and units) use a file outside the state paths.
    ``vendor`` is the file of what the oracles of its packaging systems say, each of which ``vendor_states`` describes;
    ``texts`` that of small files of /etc, with what the image has in their place.
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
    certificates: dict[str, Certificate] | None = None
    runtime: dict[str, dict[str, str]] = {}
    identities: dict[str, dict[str, tuple[str, ...]]] = {}
    references: tuple[HostReference, ...] = ()
    own_tokens: dict[str, tuple[str, ...]] = {}
    open_files: dict[str, Text] = {}
    vendor: Path | None = None
    vendor_states: dict[str, Text] = {}
    texts: Path | None = None
    state_manifest: Path | None = None
    system_manifest: Path | None = None
    reused_digests: int = 0
    unknown: dict[str, str] = {}
    absent: dict[str, str] = {}
