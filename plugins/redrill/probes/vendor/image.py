"""The oracle that needs no endpoint: the manifest of the golden image says what every file should be."""

from collections.abc import Callable

from redrill.model.manifest import Entry, EntryKind, Manifest
from redrill.model.vendor import Expected, OracleState, VendorFacts


def expect_image(name: str, image: Manifest, is_judged: Callable[[str], bool]) -> VendorFacts:
    """Return what an image says of every path that is judged: all of it, contents too."""
    paths = {path: _expect(name, entry) for path, entry in image.entries.items() if is_judged(path)}
    reason = f"{len(image.unreadable)} of its files could not be read" if image.unreadable else ""
    return VendorFacts(states={"image": OracleState(not reason, reason, is_thorough=True)}, paths=paths)


def _expect(name: str, entry: Entry) -> Expected:
    is_link = entry.kind is EntryKind.SYMLINK
    return Expected(
        name,
        entry.kind,
        has_digest=entry.sha256 is not None,
        sha256=entry.sha256,
        mode=None if is_link else entry.mode,
        user=str(entry.uid),
        group=str(entry.gid),
        target=entry.target,
    )
