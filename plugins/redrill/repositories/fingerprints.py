"""Knows a stream again, piece by piece: nobody gets a piece of the second reading that was not in the first."""

import hashlib
from collections.abc import Iterator

from redrill.errors import BackupError


class Fingerprints:
    """The digests of the chunks of one reading; another reading has to come in chunks of the same sizes."""

    def __init__(self) -> None:
        self._digests = bytearray()

    def take(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks and remember them."""
        for chunk in chunks:
            self._digests += hashlib.sha256(chunk).digest()
            yield chunk

    def compare(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Yield the chunks as long as they are those that were taken; BackupError instead of any other, or too few."""
        position = 0
        for chunk in chunks:
            digest = hashlib.sha256(chunk).digest()
            if self._digests[position : position + len(digest)] != digest:
                raise BackupError("The archive is damaged or was changed after the backup had been verified.")
            position += len(digest)
            yield chunk
        if position != len(self._digests):
            raise BackupError("The archive is cut off, or was changed after the backup had been verified.")
