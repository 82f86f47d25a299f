"""The flags of chattr(1), which tar does not carry: read with the backup, set again last of all."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from redrill.errors import RestoreError
from redrill.machine.flags import KEPT, get_flags, only_kept, set_flags
from redrill.machine.protocol import Machine
from redrill.machine.walker import decode, encode
from redrill.model.deadline import Deadline
from redrill.model.manifest import EntryKind, Manifest
from redrill.model.values import STATE_PATHS

_LOST = "PFVE"
"""Letters that a user may have set, but that cannot simply be set again: project, case folding, verity, encryption."""

_TOPS = " ".join(path.strip("/") for path in STATE_PATHS)
_FIND = rf"""
export LC_ALL=C
command -v lsattr >/dev/null && command -v xargs >/dev/null || exit 127
cd "${{ROOT-}}/" || exit
find {_TOPS} -xdev '(' -type f -o -type d ')' -print0 2>/dev/null | xargs -0 -r lsattr -d -- 2>/dev/null |
  grep -aE '^[-a-zA-Z]*[{KEPT}{_LOST}][-a-zA-Z]* '
true
"""
_LIST = 'export LC_ALL=C; cd "${ROOT-}/" || exit; xargs -0 -r lsattr -d -- 2>/dev/null; true'
_CHANGE = 'export LC_ALL=C; cd "${ROOT-}/" || exit; xargs -0 -r chattr @ --'
_LINE = re.compile(rb"^([-a-zA-Z]{10,40}) ", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Flags:
    """Letters by path, for those that have any (None: nobody could tell); and what a restore will lack."""

    by_path: dict[str, str] | None = None
    warnings: tuple[str, ...] = ()


def read_flags(machine: Machine, manifest: Manifest, deadline: Deadline) -> Flags:
    """Return the flags of the files and directories that a manifest lists."""
    if machine.root and not machine.has_init:
        return Flags(dict(_read_local(Path(machine.root), _flaggable(manifest))))
    found = machine.run(_FIND, deadline)
    if found.exit_status == 127:
        return Flags(warnings=("'lsattr' is missing there: flags of chattr are not in the backup",))
    # The names in this listing are not framed, so it only says whom to ask again, one by one.
    named = {line.partition(b" ")[2] for line in found.checked().stdout.split(b"\n")}
    suspects = [p for p in _flaggable(manifest) if encode(p[1:]) in named or "\n" in p] if any(named) else []
    letters = dict(_ask(machine, suspects, deadline))
    lost = {path: kept for path, found in letters.items() if (kept := "".join(c for c in _LOST if c in found))}
    return Flags(
        {path: kept for path, found in letters.items() if (kept := only_kept(found))},
        tuple(f"{path}: the flags '{found}' of chattr are not in the backup" for path, found in sorted(lost.items())),
    )


def apply_flags(machine: Machine, flags: Mapping[str, str], deadline: Deadline) -> None:
    """Set the flags again, after everything else; RestoreError naming the files that do not have them then."""
    if not flags:
        return
    if machine.root and not machine.has_init:
        found = _apply_local(Path(machine.root), flags)
    else:
        for letters, paths in _grouped(flags):
            machine.send(_CHANGE.replace("@", f"+{letters}"), _names(paths), deadline)
        found = dict(_ask(machine, list(flags), deadline))
    lacking = [path for path, wanted in flags.items() if set(wanted) - set(found.get(path, ""))]
    if lacking:
        shown = ", ".join(f"{path!r} ({flags[path]})" for path in lacking[:10])
        raise RestoreError(f"On '{machine.name}' the flags of chattr could not be set again on {shown}.")


def drop_flags(machine: Machine, flags: Mapping[str, str], deadline: Deadline) -> None:
    """Take the flags away that an earlier restore has set: files could not be replaced, and new ones inherit some."""
    if machine.root and not machine.has_init:
        _try_each(flags, lambda path: set_flags(encode(machine.root + path), drop=flags[path]))
        return
    for letters, paths in _grouped(flags):
        machine.send(_CHANGE.replace("@", f"-f -{letters}"), _names(paths), deadline)


def _grouped(flags: Mapping[str, str]) -> Iterator[tuple[str, list[str]]]:
    for letters in sorted(set(flags.values())):
        yield letters, [path for path, found in flags.items() if found == letters]


def _flaggable(manifest: Manifest) -> Iterator[str]:
    kinds = (EntryKind.FILE, EntryKind.DIRECTORY)
    return (path for path, entry in manifest.entries.items() if entry.kind in kinds)


def _read_local(root: Path, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    for path in paths:
        found: list[str] = []
        _try_each([path], lambda name, found=found: found.append(get_flags(encode(f"{root}{name}"))))  # type: ignore[misc]
        if found and found[0]:
            yield path, found[0]


def _apply_local(root: Path, flags: Mapping[str, str]) -> dict[str, str]:
    _try_each(flags, lambda path: set_flags(encode(f"{root}{path}"), add=flags[path]))
    return dict(_read_local(root, flags))


def _try_each(paths: Iterable[str], work: Callable[[str], object]) -> None:
    """Work on each path; one that is gone, or that may not be touched, is passed over."""
    for path in paths:
        try:
            work(path)
        except OSError:
            continue


def _ask(machine: Machine, paths: list[str], deadline: Deadline) -> Iterator[tuple[str, str]]:
    """Yield the letters of each path that lsattr can read.

    It prints names as they are, newlines and all. Asked in this order, each answer has to begin where the one before
    ended, and to hold the very name.
    """
    if not paths:
        return
    output = machine.send(_LIST, _names(paths), deadline).checked().stdout
    position = 0
    for path in paths:
        found = _LINE.match(output, position)
        end = found.end() + len(encode(path[1:])) if found else 0
        if found and output[found.end() : end + 1] == encode(path[1:]) + b"\n":
            yield path, decode(found[1])
            position = end + 1


def _names(paths: Iterable[str]) -> Iterator[bytes]:
    yield b"".join(encode(path[1:]) + b"\0" for path in paths)
