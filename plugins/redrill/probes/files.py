"""Reads the manifest of a machine's files in one round trip, by one shell program that only reads."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

import zstandard

from redrill.errors import MachineError
from redrill.machine.protocol import Machine
from redrill.machine.walker import encode, walk
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest, ManifestLines, line_prefixes
from redrill.model.values import is_inside
from redrill.probes.known_files import KnownFiles, count_files, remember
from redrill.probes.manifest_program import Area, manifest_program
from redrill.probes.manifest_stream import LineMaker, Listing, read_listing

_SEEING = Lock()
"""Held while lines are made of a listing: several at once are no faster, and each takes as much memory."""


@dataclass(frozen=True, slots=True)
class Seen:
    """The manifest of each area, and how many files were not read because nothing about them had changed.

    ``known`` is what to remember for the next time; None when that is nothing new.
    """

    manifests: tuple[ManifestLines, ...]
    reused: int = 0
    known: KnownFiles | None = None


def read_manifest(machine: Machine, paths: Sequence[str], skip: Sequence[str], deadline: Deadline) -> Manifest:
    """Return the manifest of ``paths`` without the subtrees in ``skip``, both absolute; see ``walker.walk``."""
    if machine.root and not machine.has_init:
        return walk(Path(machine.root), paths, skip)
    return receive_manifest(machine, paths, skip, deadline)


def receive_manifest(machine: Machine, paths: Sequence[str], skip: Sequence[str], deadline: Deadline) -> Manifest:
    """Return what the manifest program printed on the machine; MachineError when its output is cut off."""
    (manifest,) = receive_areas(machine, [Area(tuple(paths), tuple(skip))], deadline).manifests
    return manifest.parse()


def look_at_files(machine: Machine, areas: Sequence[Area], deadline: Deadline, known: KnownFiles | None = None) -> Seen:
    """Return the manifests of several areas; an entry is in the first that it lies in. MachineError as above."""
    if machine.root and not machine.has_init:
        walked = (walk(Path(machine.root), area.paths, area.skip) for area in areas)
        return Seen(tuple(map(ManifestLines.of, walked)))
    return receive_areas(machine, areas, deadline, known)


def receive_areas(machine: Machine, areas: Sequence[Area], deadline: Deadline, known: KnownFiles | None = None) -> Seen:
    """Return what the manifest program printed on the machine; MachineError when its output is cut off."""
    command, source = manifest_program(areas), _offer(known) if known else None
    with machine.receive(command, deadline, source) if source else machine.receive(command, deadline) as chunks:
        listing = read_listing(chunks)
    if known and (listing is None or (listing.is_change and listing.offered != known.count)):
        return receive_areas(machine, areas, deadline)  # what is known was not heard as it was said
    if listing is None:
        raise MachineError(f"The manifest of '{machine.name}' ended early; nothing can be said about its files.")
    with _SEEING:
        return _see(listing, areas, known if listing.is_change else None)


def _offer(known: KnownFiles) -> Iterator[bytes]:
    """Yield the known records as the machine can unpack them: its tools are a part of its identity."""
    line, records = known.offer()
    yield line
    yield zstandard.ZstdCompressor(1).compress(records) if b" zstd" in known.identity else records


def _see(listing: Listing, areas: Sequence[Area], known: KnownFiles | None) -> Seen:
    def area_of(path: str) -> int:
        return next((i for i, area in enumerate(areas[:-1]) if is_inside(path, area.paths)), len(areas) - 1)

    maker = LineMaker(listing, area_of)
    made = list(maker.make())
    kept = known.without(listing.gone) if known else []
    lines = _split(sorted([line for _, line in kept if line] + [line for _, _, line in made]), areas)
    hidden = [[path for path in maker.unreadable if path[0] != "/" or area_of(path) == i] for i in range(len(areas))]
    manifests = tuple(
        ManifestLines(
            lines[index],
            tuple(sorted(hidden[index], key=encode)),
            has_xattrs=listing.has_xattrs,
            has_flags=listing.has_flags,
            has_nanoseconds=listing.has_nanoseconds,
        )
        for index in range(len(areas))
    )
    remembered = remember(listing, kept, made) if listing.can_be_known else None
    return Seen(manifests, count_files(kept), remembered)


def _split(lines: list[str], areas: Sequence[Area]) -> list[list[str]]:
    """Return the lines of each area; an entry is in the first that it lies in, and the last has the rest."""
    found = []
    for area in areas[:-1]:
        prefixes = line_prefixes(area.paths)
        found.append([line for line in lines if line.startswith(prefixes)])
        lines = [line for line in lines if not line.startswith(prefixes)]
    return [*found, lines]
