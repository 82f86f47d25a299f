"""Trees of state paths that somebody else keeps on this machine, such as a mirror or the folders of rsnapshot."""

from datetime import UTC, datetime
from pathlib import Path

from redrill.errors import BackupError
from redrill.model.manifest import Manifest
from redrill.model.values import STATE_PATHS
from redrill.repositories.protocol import Snapshot

_FAKE_SUPER = "user.rsync.%stat"


def find_trees(directory: Path, endpoint: str, pattern: str, stamp: str | None) -> list[Snapshot]:
    """Return the trees of an endpoint as snapshots, oldest first; the path below the directory is the id.

    What they hold is not known before they are verified. One that a link such as 'latest' leads to has its own name:
    the next backup has the link lead to another one. BackupError when somebody may not look.
    """
    root, found = directory.resolve(), dict[Path, Path]()
    try:
        for tree in sorted(root.glob(pattern.replace("{endpoint}", endpoint)), key=_is_linked):
            if _is_tree(tree):
                found.setdefault(tree.resolve(), tree)
    except OSError as error:
        raise BackupError(f"The backups in '{directory}' cannot be looked through: {error}.") from error
    snapshots = [_describe(root, tree, endpoint, stamp) for tree in found.values()]
    return sorted(snapshots, key=lambda snapshot: (snapshot.created, snapshot.id))


def _is_linked(tree: Path) -> bool:
    return tree.resolve() != tree


def _is_tree(tree: Path) -> bool:
    return tree.is_dir() and all((tree / path[1:]).is_dir() for path in STATE_PATHS)


def _describe(directory: Path, tree: Path, endpoint: str, stamp: str | None) -> Snapshot:
    timed = tree / stamp if stamp else tree
    try:
        written = timed.stat().st_mtime
    except OSError as error:
        raise BackupError(
            f"When the backup '{tree}' was made is not known: '{timed}' cannot be read ({error.strerror}). Have what "
            "makes it write this file last, or name another one as 'repository.stamp'."
        ) from error
    return Snapshot(
        id=str(tree.relative_to(directory)),
        endpoint=endpoint,
        created=datetime.fromtimestamp(written, UTC),
        paths=STATE_PATHS,
        sha256="",
    )


def refuse_fake_super(tree: Path, manifest: Manifest) -> None:
    """Raise BackupError when a tree keeps its owners where only rsync reads them."""
    faked = [path for path, entry in manifest.entries.items() if any(name == _FAKE_SUPER for name, _ in entry.xattrs)]
    if faked:
        raise BackupError(
            f"The tree '{tree}' was written with 'rsync --fake-super': the owners of {len(faked)} entries, such as "
            f"{faked[0]!r}, stand in attributes that only rsync reads back. Keep it as root, without that option."
        )
