"""What runs on an endpoint to write a backup, and what its words mean."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from redrill.errors import BackupError
from redrill.machine.walker import decode, encode
from redrill.model.manifest import ChurnRule, Difference, EntryKind, Manifest
from redrill.model.values import STATE_PATHS

KEPT_WORDS = 1 << 16
TRAILER = KEPT_WORDS + 10
"""How many bytes the program prints after the archive: what tar said, padded, and how much it was."""

# ACLs travel as the extended attributes that they are. With --acls tar writes them as text with the names of users,
# which another machine may not have or may give to somebody else.
CREATE = (
    "tar --format=posix --xattrs --xattrs-include='*' --numeric-owner --sparse --incremental --one-file-system "
    "--quoting-style=escape"
)
EXTRACT = "tar --xattrs --xattrs-include='*' --numeric-owner --incremental"

_PROGRAM = r"""
export LC_ALL=C
cd "${ROOT-}/" || exit
for path in @MEMBERS@; do
  if [ ! -d "$path" ] || [ -h "$path" ]; then
    echo "'/$path' is not a directory, so its files would not be in the backup." >&2; exit 3
  fi
done
pack() { if command -v zstd >/dev/null; then zstd -q -@LEVEL@ -c; else cat; fi; }
exec 4>&1
words=$({ { @CREATE@ -cf - @MEMBERS@ 2>&5; echo "@tar $?" >&5; } | { pack >&4 2>&5; echo "@pack $?" >&5; }; } 5>&1)
printf '%-@KEPT@.@KEPT@s%10d' "$words" "${#words}"
"""

_CHANGED = r"file changed as we read it|File shrank by \d+ bytes?; padding with zeros"
_GONE = r"File removed before we read it|directory is on a different filesystem; not dumped"
_COMPLAINT = re.compile(rf"tar: (?P<name>.*): (?:(?P<socket>socket ignored)|(?P<changed>{_CHANGED})|(?P<gone>{_GONE}))")
_LONGEST = 600
_BENIGN_STATUS = {"@tar 0", "@tar 1", "@pack 0"}


def backup_command(level: int) -> str:
    """Return the program that prints the archive of the state paths, compressed where it can be, and the trailer."""
    program = _PROGRAM.replace("@MEMBERS@", " ".join(path.strip("/") for path in STATE_PATHS))
    program = program.replace("@CREATE@", CREATE).replace("@LEVEL@", str(level))
    return program.replace("@KEPT@", str(KEPT_WORDS))


def judge_words(trailer: bytes, manifest: Manifest, rules: Sequence[ChurnRule]) -> tuple[str, ...]:
    """Return the warnings of a backup; BackupError when tar or zstd failed, or a file changed that must not."""
    if len(trailer) < TRAILER or int(trailer[KEPT_WORDS:]) > KEPT_WORDS:
        raise BackupError(f"The backup is not whole: tar complained too much; first it said: {decode(trailer[:2000])}")
    lines = decode(trailer[: int(trailer[KEPT_WORDS:])]).splitlines()
    status = {line for line in lines if line.startswith("@")}
    complaints = [line for line in lines if not line.startswith("@")]
    judged = [_judge(line, manifest, rules) for line in complaints]
    fatal = [complaint.words for complaint in judged if complaint.is_fatal]
    if fatal or len(status) != 2 or not status <= _BENIGN_STATUS:
        words = "; ".join(map(_shorten, (fatal or complaints)[:10])) or f"it ended with {sorted(status)}"
        raise BackupError(
            f"The backup is not exact: {words}. Stop what owns these files before the backup, "
            "or list them under 'churn' when they may differ or be missing."
        )
    return tuple(complaint.words for complaint in judged)


def _shorten(words: str) -> str:
    """Return a complaint without the middle of a path that is too long for any kernel."""
    return words if len(words) <= _LONGEST else f"{words[: _LONGEST // 2]} … {words[-_LONGEST // 2 :]}"


@dataclass(frozen=True, slots=True)
class _Complaint:
    words: str
    is_fatal: bool


def _judge(line: str, manifest: Manifest, rules: Sequence[ChurnRule]) -> _Complaint:
    found = _COMPLAINT.fullmatch(line)
    if found is None:
        return _Complaint(line, is_fatal=True)
    path = "/" + unescape(found["name"]).removesuffix("/")
    if found["socket"]:
        return _Complaint(f"{path}: a socket is not in the backup", is_fatal=False)
    possible = _differences(path, manifest, is_gone=found["gone"] is not None)
    is_fatal = not all(any(rule.covers(difference) for rule in rules) for difference in possible)
    return _Complaint(line.removeprefix("tar: "), is_fatal)


def _differences(path: str, manifest: Manifest, *, is_gone: bool) -> Iterator[Difference]:
    entry = manifest.entries.get(path)
    if is_gone:
        yield Difference(path, "missing")
    elif entry is not None and entry.kind is EntryKind.DIRECTORY:
        yield Difference(path, "mtime_ns")
    else:
        yield Difference(path, "sha256")


def unescape(name: str) -> str:
    """Return a name as tar's quoting styles 'escape' and 'c' print it."""
    return decode(re.sub(rb"\\([0-7]{3}|.)", _expand, encode(name)))


def _expand(found: re.Match[bytes]) -> bytes:
    code = found[1]
    escapes = {b"n": b"\n", b"t": b"\t", b"r": b"\r", b"a": b"\a", b"b": b"\b", b"f": b"\f", b"v": b"\v", b"?": b"\x7f"}
    return bytes([int(code, 8)]) if len(code) == 3 else escapes.get(code, code)
