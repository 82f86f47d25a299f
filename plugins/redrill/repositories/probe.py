"""Whether a target can hold what a backup has: one file of each kind goes there and back, through the same tar."""

from collections.abc import Iterator
from dataclasses import replace

from redrill.errors import BackupError
from redrill.machine.flags import KEPT
from redrill.machine.protocol import Machine
from redrill.machine.walker import encode
from redrill.model.deadline import Deadline
from redrill.model.manifest import Difference, Entry, EntryKind, Manifest, compare
from redrill.model.values import STATE_PATHS
from redrill.repositories.tar_command import CREATE, EXTRACT
from redrill.repositories.tar_stream import read_archive
from redrill.repositories.tar_writer import write_archive

_EMPTY = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
_SPECIAL = (EntryKind.FIFO, EntryKind.BLOCK, EntryKind.CHARACTER)
_MEMBERS = " ".join(path.strip("/") for path in STATE_PATHS)
_PROGRAM = rf"""
export LC_ALL=C
umask 077
cd "${{ROOT-}}/@PLACE@" || exit
folder=$(mktemp -d .redrill-probe-XXXXXXXX) || exit
trap 'rm -rf "$PWD/../$folder"' EXIT
cd "$folder" || exit
{EXTRACT} -xpf - >&2 || exit
for letter in @FLAGS@; do
  : > flag
  chattr "+$letter" flag && case $(lsattr -d flag) in *$letter*' '*) ;; *) false ;; esac ||
    echo "@flag $letter" >&2
  chattr "-$letter" flag
  rm -f flag
done
{CREATE} -cf - {_MEMBERS}
"""


def require_room_for_attributes(machine: Machine, place: str, manifest: Manifest, deadline: Deadline) -> int:
    """Return how many kinds of entries were tried below ``place``, relative to the root; nothing stays there.

    BackupError naming, for each kind that did not come back as it was, a path of the backup that needs it.
    """
    chosen = choose_samples(manifest)
    flags = sorted(set("".join(manifest.flags.values())) & set(KEPT))
    samples = _rename(chosen, manifest)
    program = _PROGRAM.replace("@PLACE@", place).replace("@FLAGS@", " ".join(flags))
    result = machine.send(program, iter([write_archive(samples)]), deadline)
    words = result.stderr.decode("utf-8", "backslashreplace")
    lost = [f"files with the flag '{flag}' of chattr" for flag in flags if f"@flag {flag}\n" in words]
    if result.exit_status == 0:
        found = read_archive(iter([result.stdout]), deadline)
        unlike = compare(Manifest({entry.path: entry for entry in samples}), found)
        lost += [_explain(difference, chosen) for difference in unlike]
    elif not lost:
        lost = [words.strip()[-2000:]]
    if lost:
        raise BackupError(
            f"The target of '{machine.name}' cannot hold what its backup has: {'; '.join(lost[:10])}. Restore to "
            "another file system, or without user namespaces."
        )
    return len(chosen) + len(flags)


def choose_samples(manifest: Manifest) -> dict[str, Entry]:
    """Return one entry of a manifest for each thing that a target may not be able to hold."""
    chosen: dict[str, Entry] = {}
    for entry in manifest.entries.values():
        for need in _needs(entry):
            chosen.setdefault(need, entry)
    return chosen


def _needs(entry: Entry) -> Iterator[str]:
    kind = entry.kind
    for name, value in entry.xattrs:
        space = name.partition(".")[0]
        yield f"{name if space in ('security', 'system') else space} of a {kind}"
        if len(value) > 2 * 1000:
            yield "a large attribute"
    if kind in _SPECIAL:
        yield f"{kind} {entry.device == '0:0'}"
    if entry.mode & 0o6000:
        yield f"mode {entry.mode & 0o6000:o}"
    if entry.uid or entry.gid:
        yield f"owners of {max(entry.uid, entry.gid).bit_length() // 16} times 16 bits"
    seconds = entry.mtime_ns // 10**9
    if seconds < 0 or seconds.bit_length() > 31:
        yield f"times of {seconds.bit_length()} bits, {seconds < 0}"
    if entry.mtime_ns % 1000:
        yield "nanoseconds"
    base = entry.path.rpartition("/")[2]
    if len(encode(base)) > 143:
        yield "long names"
    if not base.isascii() or not base.isprintable():
        yield f"names {base.isascii()} {base.isprintable()}"


def _rename(chosen: dict[str, Entry], manifest: Manifest) -> list[Entry]:
    """Return samples as empty files in directories of their own below /etc, with all that they lie in."""
    top = manifest.entries["/etc"]
    folder = replace(top, mode=0o755, mtime_ns=0, xattrs=(), link_group=None)
    # Depth first, as tar does it: what is filled later than its neighbour would have the time of that moment.
    samples = [replace(folder, path=path) for path in sorted(STATE_PATHS, key="/etc".__eq__)]
    for number, entry in enumerate(chosen.values()):
        name = entry.path.rpartition("/")[2]
        samples.append(replace(folder, path=f"/etc/{number}"))
        is_file = entry.kind is EntryKind.FILE
        samples.append(
            replace(entry, path=f"/etc/{number}/{name}", size=0, sha256=_EMPTY if is_file else None, link_group=None)
        )
    return samples


def _explain(difference: Difference, chosen: dict[str, Entry]) -> str:
    number = difference.path.split("/")[2] if difference.path.startswith("/etc/") else ""
    path = list(chosen.values())[int(number)].path if number else difference.path
    return str(replace(difference, path=path))
