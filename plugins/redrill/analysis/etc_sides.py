"""The sides of an endpoint's /etc, read from its evidence once."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from redrill.analysis.drift import Drift
from redrill.drill.evidence import read_manifest, read_part
from redrill.drill.text_evidence import Texts, read_stored_texts
from redrill.drill.vendor_evidence import read_vendor
from redrill.errors import UnknownFactError
from redrill.model.manifest import Entry, EntryKind
from redrill.model.observation import Observation
from redrill.model.three_way import NOTHING, Side
from redrill.model.values import is_inside
from redrill.model.vendor import VendorFacts
from redrill.probes.etc_rules import etc_rules

Entries = Mapping[str, Entry]


def vendor_of(drift: Drift, observation: Observation) -> VendorFacts:
    """Return what the oracles said in an observation; UnknownFactError when none was asked."""
    if observation.vendor is None:
        raise UnknownFactError(f"The vendor of '{drift.endpoint.name}' was not asked; observe it again.")
    return read_vendor(drift.run_dir, observation.vendor)


@dataclass(frozen=True)
class EtcSides:
    """What is here, what the vendor's defaults were, and what they are now; paths are absolute.

    ``here`` is everything on the endpoint. The others are of /etc and of where its defaults may be: ``before`` what the
    endpoint had outside the state paths before a drill, ``running`` what the image held that it was made from,
    ``wanted`` what the wanted one holds: None where nobody knows.
    """

    here: Entries
    before: Entries
    running: Entries | None
    wanted: Entries | None
    old_vendor: VendorFacts
    vendor: VendorFacts
    texts: Texts
    versions: tuple[Mapping[str, str], Mapping[str, str]]
    planted: frozenset[str]

    @cached_property
    def paths(self) -> list[str]:
        """All paths of /etc that some side has, but for those that belong to one host and to the drill itself."""
        rules = etc_rules()
        sides = (self.here, self.running or {}, self.wanted or {}, self.old_vendor.conffiles)
        defaults = {f"/etc{path.removeprefix('/usr/etc')}" for path in self.before if path.startswith("/usr/etc/")}
        found = {path for side in sides for path in side if path.startswith("/etc/")}
        found |= defaults if self.is_ostree else set()
        return sorted(path for path in found - self.planted if not rules.is_instance(path))

    @property
    def is_ostree(self) -> bool:
        """Whether /usr/etc holds the defaults of all of /etc."""
        return "ostree" in self.old_vendor.states

    def mine(self, path: str) -> Side:
        """Return what is here."""
        conffile = self.vendor.conffiles.get(path)
        return Side.of(self.here.get(path), conffile.found if conffile else None)

    def old(self, path: str) -> Side | None:
        """Return the default of the vendor before; None when it is not known."""
        if self.running is not None:
            return Side.of(self.running.get(path))
        if self.is_ostree:
            return Side.of(self.before.get(f"/usr{path}"))
        conffile = self.old_vendor.conffiles.get(path)
        return Side(EntryKind.FILE, frozenset({conffile.digest})) if conffile else None

    def new(self, path: str) -> Side | None:
        """Return the default of the wanted image; None when there is no image to know it from."""
        return None if self.wanted is None else Side.of(self.wanted.get(path), self.texts.md5.get(path))

    def hidden(self, path: str) -> Iterator[tuple[str, Side, Side]]:
        """Yield the vendor's files that a file of /etc hides, as they were and as they are; contents only."""
        is_copy = self.is_ostree and path.startswith("/etc/")
        for hidden in etc_rules().hidden_by(path):
            if is_copy and hidden == f"/usr{path}":
                continue
            now = self.wanted if self.wanted is not None else self.here
            old, new = (Side.of(side.get(hidden), has_mode=False) for side in (self.before, now))
            if new is not NOTHING or old is not NOTHING:
                yield hidden, old, new

    def is_same_version(self, package: str) -> bool:
        """Whether the fresh image had the version of a package that was installed before."""
        old, new = ({n.partition(":")[0]: v for n, v in versions.items()} for versions in self.versions)
        return package in old and old.get(package) == new.get(package)


def read_sides(drift: Drift) -> EtcSides:
    """Return the sides; UnknownFactError when neither an image nor an oracle knows any default."""
    latest, earliest, record = drift.latest, drift.earliest, drift.record
    vendor, old_vendor = vendor_of(drift, latest), vendor_of(drift, earliest)
    if record.image_wanted is None and not old_vendor.is_known:
        why = old_vendor.why_unknown
        raise UnknownFactError(f"Nobody knows the defaults of /etc on '{drift.endpoint.name}': {why}.")
    running, wanted = (image.manifest if image else None for image in (record.image_running, record.image_wanted))
    system = _known(drift, latest.system_manifest, "system_manifest")
    state = _known(drift, latest.state_manifest, "state_manifest")
    wanted_entries = None if wanted is None else _read_defaults(drift, wanted)
    return EtcSides(
        here=_read(drift, system) | _read(drift, state),
        before=_read_defaults(drift, _known(drift, earliest.system_manifest, "system_manifest")),
        running=wanted_entries if running == wanted else None if running is None else _read_defaults(drift, running),
        wanted=wanted_entries,
        old_vendor=old_vendor,
        vendor=vendor,
        texts=read_stored_texts(drift.run_dir, latest.texts),
        versions=(earliest.packages, record.image_packages or {}),
        planted=frozenset(marker.path for marker in record.markers),
    )


def _known(drift: Drift, manifest: Path | None, name: str) -> Path:
    if manifest is None:
        why = drift.latest.unknown.get(name, "it was not read")
        raise UnknownFactError(f"The files of '{drift.endpoint.name}' are unknown: {why}")
    return manifest


def _read(drift: Drift, manifest: Path) -> dict[str, Entry]:
    return read_manifest(drift.run_dir, manifest).entries


def _read_defaults(drift: Drift, manifest: Path) -> dict[str, Entry]:
    """Return the entries of /etc and of the folders that may hold a default of it."""
    folders = [folder for shadow in etc_rules().shadows for folder in shadow.vendor]
    return read_part(drift.run_dir, manifest, ("/etc", "/usr/etc", *folders))


def is_volatile(path: str) -> bool:
    """Whether a path is made anew at every boot, so that nobody can say whether it should be there."""
    return is_inside(path, etc_rules().volatile)
