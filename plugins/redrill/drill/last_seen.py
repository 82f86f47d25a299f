"""What this controller remembers of an endpoint's files; anything about it that is not whole is as good as nothing."""

import hashlib
from contextlib import suppress
from pathlib import Path

import zstandard

from redrill.drill.guards.schedule import state_folder
from redrill.drill.line_file import compress
from redrill.errors import GuardError
from redrill.model.fleet import Endpoint, Fleet
from redrill.private import write_private_bytes
from redrill.probes.known_files import KnownFiles
from redrill.redaction import redact_known


class LastSeen:
    """The files of one endpoint of one fleet, as this controller saw them last.

    ``is_rebuilt`` says that the endpoint was rebuilt since: nothing is recalled then, for it would not be believed.
    """

    def __init__(self, fleet: Fleet, endpoint: Endpoint, *, is_rebuilt: bool = False) -> None:
        self._is_rebuilt = is_rebuilt
        self._name = hashlib.sha256(f"{fleet.name}\0{endpoint.name}".encode()).hexdigest()[:32]

    def recall(self) -> KnownFiles | None:
        """Return what is known; None when that is nothing, or cannot be read whole.

        Whether it is about the machine, and the boot, that answers now is for that machine to say.
        """
        if self._is_rebuilt:
            return None
        try:
            packed = self._file().read_bytes()
            return KnownFiles.parse(zstandard.ZstdDecompressor().decompressobj().decompress(packed))
        except (OSError, ValueError, zstandard.ZstdError, GuardError):
            return None

    def keep(self, known: KnownFiles) -> None:
        """Remember this instead, unless a name in it is a secret; where that cannot be, only time is lost."""
        with suppress(OSError, GuardError):
            if redact_known(known.lines) != known.lines:
                self._file().unlink(missing_ok=True)
            else:
                write_private_bytes(self._file(), compress(known.dump()))

    def _file(self) -> Path:
        return state_folder() / "seen" / f"{self._name}.zst"
