"""Archives that somebody else's tools wrote: looked through before anything of them is unpacked, into a new folder."""

import mmap
import os
import re
import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from redrill.errors import BackupError, MachineError
from redrill.machine.local_machine import LocalMachine
from redrill.machine.walker import decode
from redrill.model.deadline import Deadline
from redrill.model.values import STATE_PATHS
from redrill.repositories.tar_command import unescape
from redrill.repositories.tar_headers import BLOCK
from redrill.repositories.tar_stream import LARGEST_FILE

# What tar itself would read is what is looked at: another reader of the same bytes could see other members.
_LIST = ("tar", "--list", "--verbose", "--quoting-style=c", "--numeric-owner", "--force-local")
_UNPACK = (
    *("tar", "--extract", "--preserve-permissions", "--same-owner", "--numeric-owner", "--delay-directory-restore"),
    *("--xattrs", "--xattrs-include=*", "--quoting-style=escape", "--warning=no-timestamp", "--force-local"),
)
_TEXT = r'(?:[^"\\]|\\.)*'
_LINE = re.compile(
    rf"(?P<type>[-dlhpcb])[-rwxsStT]{{9}}[.+*]? \d+/\d+ +(?P<size>[\d,]+) +\S+ +\S+ +"
    rf'"(?P<name>{_TEXT})"(?: (?:->|link to) "(?P<target>{_TEXT})")?'
)
_HARMLESS = re.compile(
    r"tar: (?:Removing leading `.*' from (?:member names|hard link targets)"
    r"|Ignoring unknown extended header keyword '(?:LIBARCHIVE\.|SCHILY\.(?:dev|ino|nlink|fflags)).*')"
)
_TOPS = tuple(path.strip("/") for path in STATE_PATHS)
_ACL = re.compile(rb"(\d{1,7}) SCHILY\.acl\.(?:access|default)=")
_NAMED = re.compile(rb"(?:^|[\n,])(?:d?e?f?a?u?l?t?:)?(?:user|group|u|g):([^:\n,]*[^:\n,0-9][^:\n,]*):")


@dataclass(slots=True)
class _Members:
    """What an archive holds so far, by plain path ('home/alice'): the type letters that ``tar --list`` prints."""

    types: dict[str, str] = field(default_factory=dict)
    links: list[tuple[str, str]] = field(default_factory=list)

    def add(self, line: str) -> None:
        """Add the member that a line tells of; BackupError when nobody could unpack it safely."""
        found = _LINE.fullmatch(line)
        if found is None:
            raise BackupError(f"The archive holds something that is not understood: {line[:300]!r}.")
        name, path = found["name"], _plain(found["name"])
        if not path and found["type"] == "d":
            return
        if path.partition("/")[0] not in _TOPS:
            raise BackupError(
                f"The archive holds '{name[:300]}', which is not inside the state paths; have 'repository.open' write "
                f"{', '.join(_TOPS)} and nothing else."
            )
        if path in self.types:
            raise BackupError(f"The archive holds '{name[:300]}' twice.")
        if found["size"].isdigit() and int(found["size"]) > LARGEST_FILE:
            raise BackupError(f"The archive claims that '{name[:300]}' has {found['size']} bytes.")
        self.types[path] = found["type"]
        if found["type"] == "h":
            self.links.append((path, _plain(found["target"] or "")))

    def check(self) -> None:
        """Raise BackupError when a member lies below what is no directory, or a hard link leads out of the archive."""
        for path in self.types:
            parent = path
            while parent := parent.rpartition("/")[0]:
                if self.types.get(parent, "d") != "d":
                    raise BackupError(
                        f"The archive holds '{path[:300]}' below '{parent[:300]}', which is no directory."
                    )
        for path, target in self.links:
            if self.types.get(target, "d") == "d":
                raise BackupError(
                    f"The archive holds '{path[:300]}' as a hard link to '{target[:300]}', no file in it."
                )


def unpack_foreign(archive: Path, tree: Path, deadline: Deadline) -> None:
    """Unpack an uncompressed archive into ``tree``, an empty folder of our own.

    Any dialect that GNU tar reads will do, with names such as 'home/x', './home/x' or '/home/x' in any order. Raises
    BackupError before anything is unpacked when it holds a name with '..', one outside the state paths or one that is
    there twice, something below a link, or a link to the outside; and after that when tar complains.
    """
    _require_plain(archive)
    members, controller = _Members(), LocalMachine("the controller", tree)
    try:
        with controller.receive(shlex.join([*_LIST, "--file", str(archive)]), deadline) as chunks:
            for line in _lines(chunks):
                members.add(line)
        members.check()
        with suppress(OSError):  # what is unpacked would inherit it
            os.removexattr(tree, "system.posix_acl_default")
        acls = ("--acls",) if _needs_acls(archive) else ()
        done = controller.run(shlex.join([*_UNPACK, *acls, "--file", str(archive)]), deadline)
    except MachineError as error:
        raise BackupError(f"The archive cannot be read: {error}") from error
    words = [line for line in decode(done.stderr).splitlines() if not _HARMLESS.fullmatch(line)]
    if words or done.exit_status != 0:
        raise BackupError(
            f"The archive cannot be unpacked exactly; tar ended with {done.exit_status}: {'; '.join(words)[-2000:]}"
        )


def _plain(name: str) -> str:
    """Return a name as tar quotes it without what tar leaves away; BackupError for one that climbs."""
    parts = [part for part in unescape(name).split("/") if part not in ("", ".")]
    if ".." in parts or "\0" in name:
        raise BackupError(f"The archive holds '{name[:300]}', which is not a plain name.")
    return "/".join(parts)


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from map(decode, lines)
    if rest:
        yield decode(rest)


def _require_plain(archive: Path) -> None:
    with archive.open("rb") as file:
        block = file.read(BLOCK)
    if block[257:262] != b"ustar":
        raise BackupError(
            "What 'repository.open' writes is no tar archive in a format of this century, or it is compressed; have it "
            f"write the archive itself. It begins with {block[:16]!r}."
        )


def _needs_acls(archive: Path) -> bool:
    """Whether ACLs stand in the archive as text only; BackupError when this text names users or groups.

    Names mean other people on another machine. Where they are there as attributes, too, these are exact.
    """
    with archive.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data.find(b"SCHILY.acl.") < 0 or data.find(b"SCHILY.xattr.system.posix_acl_") >= 0:
            return False
        for found in _ACL.finditer(data):
            text = data[found.end() : found.start() + int(found[1])]
            if named := _NAMED.search(text):
                raise BackupError(
                    f"The archive names '{decode(named[1])}' in an access list, who may be somebody else on another "
                    "machine; have 'repository.open' write numbers, as \"tar --xattrs --xattrs-include='*'\" does."
                )
    return True
