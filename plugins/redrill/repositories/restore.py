"""Puts the state paths of an archive back onto a machine, exactly as they were: what the archive lacks goes away."""

from collections.abc import Iterator
from dataclasses import replace

from redrill.errors import BackupError, RestoreError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.manifest import Difference, EntryKind, Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.streams import compress
from redrill.repositories.tar_command import EXTRACT

# Two things happen before the archive is unpacked.
# New files inherit the default ACL of the directory that the fresh image has there. Extracting bare directories with
# --acls takes these ACLs away, with nothing but tar; the archive brings its own.
# What tar removes because the archive lacks it includes the files of a volume that is mounted there. --one-file-system
# prevents that, but an overlay of several file systems then keeps files that must go: so only where there is a volume.
_PROGRAM = r"""
export LC_ALL=C
cd "${ROOT-}/" || exit
set --
for path in @MEMBERS@; do
  if [ -d "$path" ] && [ ! -h "$path" ]; then set -- "$@" "$path"; fi
done
guard=
for path in "$@"; do
  if [ "$(find "$path" -xdev -type d -printf '%D\n' | sort -u | wc -l)" -gt 1 ]; then guard=--one-file-system; fi
done
for path in "$@"; do find "$path" -xdev -type d -print0; done |
  tar --format=posix --no-recursion --null --verbatim-files-from -T - -cf - |
  tar --acls --numeric-owner -xpf - || exit
exec @EXTRACT@ $guard @UNPACK@ -xpf -
"""


def restore_tree(machine: Machine, stream: Iterator[bytes], deadline: Deadline) -> None:
    """Make the state paths of a machine what the uncompressed archive in ``stream`` holds.

    Without root what needs root (owners, devices) is not restored. RestoreError with tar's words when anything failed,
    or when the backup turns out to be damaged on the way.
    """
    is_packed = machine.has_init and machine.run("command -v zstd", deadline).exit_status == 0
    source = compress(stream, 1) if is_packed else stream
    try:
        result = machine.send(_command(is_packed=is_packed), source, deadline)
        if result.exit_status != 0:
            words = (result.stderr or result.stdout).decode("utf-8", "backslashreplace").strip()[-2000:]
            raise RestoreError(f"On '{machine.name}' tar ended with status {result.exit_status}: {words}")
        for _ in source:  # what tar did not ask for still takes part in the check of the archive's digest
            pass
    except BackupError as error:
        raise RestoreError(f"The backup could not be restored to '{machine.name}': {error}") from error


def fidelity(expected: Manifest, found: Manifest) -> list[Difference]:
    """Return how what was found differs from what was backed up; sockets do not count, for tar never stores them."""
    return compare(_without_sockets(expected), _without_sockets(found))


def _command(*, is_packed: bool) -> str:
    members = " ".join(path.strip("/") for path in STATE_PATHS)
    program = _PROGRAM.replace("@MEMBERS@", members).replace("@EXTRACT@", EXTRACT)
    return program.replace("@UNPACK@", "-I zstd" if is_packed else "")


def _without_sockets(manifest: Manifest) -> Manifest:
    entries = {path: entry for path, entry in manifest.entries.items() if entry.kind is not EntryKind.SOCKET}
    return replace(manifest, entries=entries)
