"""Where symbolic links lead, told from manifests."""

import posixpath
from collections.abc import Mapping

from redrill.analysis.etc_sides import is_volatile
from redrill.model.manifest import Entry, EntryKind

_MOST_LINKS = 40
"""As many as the kernel follows (path_resolution(7))."""


class Resolver:
    """Follows links through all entries of an endpoint, '/' included or not."""

    def __init__(self, entries: Mapping[str, Entry]) -> None:
        self._entries = entries
        self._populated = {path.rpartition("/")[0] or "/" for path in entries}

    def leads_nowhere(self, path: str) -> bool:
        """Whether a link dangles for certain: not where its target is volatile, or in a folder that nobody saw into."""
        return self._follow(path) is None

    def _follow(self, path: str) -> str | None:
        """Return what a path is in the end, or the part of it from which on nothing can be said; None for nowhere."""
        links, pending, done = 0, [part for part in path.split("/") if part], ""
        while pending:
            part = pending.pop(0)
            if part in (".", ".."):
                done = posixpath.dirname(done) if part == ".." else done
                done = "" if done == "/" else done
                continue
            step = f"{done}/{part}"
            if is_volatile(step):
                return step
            entry = self._entries.get(step)
            if entry is None:
                # A folder without entries may be another file system, which a manifest does not enter.
                return None if (done or "/") in self._populated else step
            if entry.kind is not EntryKind.SYMLINK:
                done = step
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            target = entry.target or ""
            done = "" if target.startswith("/") else done
            pending = [each for each in target.split("/") if each] + pending
        return done or "/"
