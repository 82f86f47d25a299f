"""The digest that stands for an image: that of everything it holds outside the state paths and in them."""

import hashlib

from redrill.model.manifest import CONTENT_ATTRIBUTES, Manifest

_DIGESTED = tuple(name for name in CONTENT_ATTRIBUTES if name != "flags")
"""Flags may not survive where an image is unpacked, so they are no part of what it is."""


def manifest_digest(manifest: Manifest) -> str:
    """Return 'sha256:…' over the content of every entry; times do not count, so an unpacked copy has the same."""
    digest = hashlib.sha256()
    for path in sorted(manifest.entries):
        entry = manifest.entries[path]
        values = [getattr(entry, name) for name in _DIGESTED]
        digest.update(repr((path, values)).encode("utf-8", "surrogateescape"))
    return f"sha256:{digest.hexdigest()}"
