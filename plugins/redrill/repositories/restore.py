"""Puts the state paths of an archive back onto a machine, exactly as they were: what the archive lacks goes away."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace

from redrill.errors import BackupError, RedrillError, RestoreError
from redrill.machine.protocol import Machine
from redrill.machine.walker import encode
from redrill.model.deadline import Deadline
from redrill.model.manifest import Difference, EntryKind, Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.flags import apply_flags, drop_flags
from redrill.repositories.protocol import ExactRepository, PackedRepository, Repository, Snapshot
from redrill.repositories.staging import discard_command, swap_command, unpack_command
from redrill.repositories.streams import compress, decompress, inspect
from redrill.repositories.tar_command import EXTRACT
from redrill.repositories.tar_filter import ExtentOf, select, select_members
from redrill.repositories.tar_stream import read_archive

_DISCARD_SECONDS = 120.0

# Two things happen before the archive is unpacked in place, where nothing runs.
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


def restore_snapshot(
    machine: Machine,
    repository: Repository,
    snapshot: Snapshot,
    deadline: Deadline,
    manifest: Manifest | None = None,
) -> None:
    """Make the state paths of a machine what a snapshot holds; as it is stored where the machine can unpack that.

    RestoreError as ``restore_tree``.
    """
    # To look at all members again takes as long as to unpack them.
    is_known = (
        isinstance(repository, ExactRepository) and manifest is not None and repository.yields_only(snapshot, manifest)
    )
    try:
        if isinstance(repository, PackedRepository) and _has_zstd(machine, deadline):
            with repository.open_packed(snapshot) as packed:
                source = packed if is_known else _inspected(packed, manifest, deadline, is_packed=True)
                _restore(machine, source, deadline, manifest, is_packed=True)
        else:
            with repository.open(snapshot, deadline) as stream:
                source = stream if is_known else _inspected(stream, manifest, deadline, is_packed=False)
                _restore_plain(machine, source, deadline, manifest)
    except BackupError as error:
        raise _unrestorable(machine, error) from error


def restore_tree(
    machine: Machine, stream: Iterator[bytes], deadline: Deadline, manifest: Manifest | None = None
) -> None:
    """Make the state paths of a machine what the uncompressed archive in ``stream`` holds.

    With ``manifest``, that of the verified backup, nothing is sent before it was found to be what is listed there, and
    the flags of chattr are set again last. A machine that runs keeps its old state until all has arrived. Without root
    what needs root (owners, devices) is not restored. RestoreError with tar's words when anything failed, or when the
    backup turns out to be damaged on the way.
    """
    _restore_plain(machine, _inspected(stream, manifest, deadline, is_packed=False), deadline, manifest)


def _restore_plain(machine: Machine, source: Iterator[bytes], deadline: Deadline, manifest: Manifest | None) -> None:
    is_packed = _has_zstd(machine, deadline)
    _restore(machine, compress(source, 1) if is_packed else source, deadline, manifest, is_packed=is_packed)


def restore_part(
    machine: Machine,
    repository: Repository,
    snapshot: Snapshot,
    deadline: Deadline,
    manifest: Manifest,
    *,
    part: ExtentOf,
    stale: Sequence[str],
) -> None:
    """Put a part of a snapshot onto a fresh system, which keeps all else as its image has it.

    ``stale`` are the paths that are removed first. It happens in place, so nothing that owns these files may run.
    RestoreError as ``restore_tree``.
    """
    chosen = select(manifest, part)
    try:
        remove_paths(machine, stale, deadline)
        with repository.open(snapshot, deadline) as stream:
            members = select_members(stream, manifest, part, deadline)
            source = _inspected(members, chosen, deadline, is_packed=False)
            _send(machine, _command(is_packed=False), source, deadline)
        apply_flags(machine, chosen.flags, deadline)
    except BackupError as error:
        raise _unrestorable(machine, error) from error


def remove_paths(machine: Machine, paths: Sequence[str], deadline: Deadline) -> None:
    """Remove absolute paths with all that is below them; RestoreError when one stays."""
    names = b"".join(encode(path[1:]) + b"\0" for path in paths)
    if names:
        _send(machine, 'cd "${ROOT-}/" && xargs -0 rm -rf --one-file-system --', iter([names]), deadline)


def _inspected(
    source: Iterator[bytes], manifest: Manifest | None, deadline: Deadline, *, is_packed: bool
) -> Iterator[bytes]:
    """Yield what was compared with the manifest; contents excepted, which the digest of the archive speaks for."""
    if manifest is None:
        return source

    def look(chunks: Iterator[bytes]) -> None:
        read_archive(decompress(chunks) if is_packed else chunks, deadline, manifest, with_hashes=False)

    return inspect(source, look)


def _has_zstd(machine: Machine, deadline: Deadline) -> bool:
    """Whether sending compressed bytes is worth it: over a network, to a machine that can unpack them."""
    return machine.has_init and machine.run("command -v zstd", deadline).exit_status == 0


def _restore(
    machine: Machine, source: Iterator[bytes], deadline: Deadline, manifest: Manifest | None, *, is_packed: bool
) -> None:
    flags = manifest.flags if manifest else {}
    drop_flags(machine, flags, deadline)
    if machine.has_init:
        _exchange(machine, source, deadline, is_packed=is_packed)
    else:
        _send(machine, _command(is_packed=is_packed), source, deadline)
    apply_flags(machine, flags, deadline)


def _exchange(machine: Machine, source: Iterator[bytes], deadline: Deadline, *, is_packed: bool) -> None:
    """Unpack beside the old state and swap when all has arrived; what was unpacked is removed when it has not."""
    token = secrets.token_hex(8)
    try:
        _send(machine, unpack_command(token, is_packed=is_packed), source, deadline)
    except BaseException:
        with suppress(RedrillError):
            machine.send(discard_command(token), iter(()), Deadline.after(_DISCARD_SECONDS))
        raise
    _send(machine, swap_command(token), iter(()), deadline)


def _send(machine: Machine, command: str, source: Iterator[bytes], deadline: Deadline) -> None:
    try:
        result = machine.send(command, source, deadline)
        if result.exit_status != 0:
            words = (result.stderr or result.stdout).decode("utf-8", "backslashreplace").strip()[-2000:]
            raise RestoreError(f"On '{machine.name}' tar ended with status {result.exit_status}: {words}")
        for _ in source:  # what tar did not ask for still takes part in the check of the archive's digest
            pass
    except BackupError as error:
        raise _unrestorable(machine, error) from error


def _unrestorable(machine: Machine, error: BackupError) -> RestoreError:
    return RestoreError(f"The backup could not be restored to '{machine.name}': {error}")


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
