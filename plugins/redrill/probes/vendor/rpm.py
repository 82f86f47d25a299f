"""The oracle of Fedora, SUSE and their relatives: the database of rpm, asked for every file of every package."""

from collections.abc import Iterator, Mapping

from redrill.model.manifest import EntryKind
from redrill.model.vendor import Conffile, Expected, OracleState, VendorFacts
from redrill.probes.vendor.protocol import Answer, lines_of

_FIELDS = (
    *("%{=NAME}", "%{FILEFLAGS}", "%{FILESTATES}", "%{FILEMODES:octal}", "%{FILEUSERNAME}", "%{FILEGROUPNAME}"),
    *("%{FILEDIGESTS}", "%{FILELINKTOS}", "%{FILENAMES}"),
)
_FORMAT = r"[" + r"\t".join(_FIELDS) + r"\n]"
_QUESTION = rf"""
set -- -qa
for db in /usr/lib/sysimage/rpm /usr/share/rpm /var/lib/rpm; do
  for file in rpmdb.sqlite Packages.db Packages; do
    if [ -f "$ROOT$db/$file" ]; then
      command -v rpm >/dev/null || {{ echo "There is a database of rpm, but no 'rpm' to read it." >&2; exit 127; }}
      [ -z "$ROOT" ] || set -- "$@" --dbpath "$ROOT$db"
      rpm "$@" --qf '{_FORMAT}'
      exit
    fi
  done
done
exit 77
"""

_CONFIG, _DOC, _MISSING_OK, _GHOST = 1, 2, 8, 64
"""Bits of FILEFLAGS (rpmfi: RPMFILE_CONFIG and so on)."""

_NORMAL = "0"
"""The state of a file that was installed as it is; others were left out, or belong to another package by now."""

_KINDS = {
    0o100000: EntryKind.FILE,
    0o040000: EntryKind.DIRECTORY,
    0o120000: EntryKind.SYMLINK,
    0o010000: EntryKind.FIFO,
    0o060000: EntryKind.BLOCK,
    0o020000: EntryKind.CHARACTER,
}


class RpmOracle:
    """Knows owners, contents (SHA-256), types, modes, users, groups and link targets: no check is left to be made."""

    name = "rpm"
    question = _QUESTION
    check = ""

    def hear(self, answer: Answer) -> VendorFacts:
        """Return what the database says; ValueError when a line of it has not all fields."""
        paths: dict[str, Expected] = {}
        for path, expected in _parse(answer.question):
            if path not in paths or paths[path].is_optional:
                paths[path] = expected
        return VendorFacts(
            states={self.name: OracleState(is_known=True, is_thorough=True)},
            paths=paths,
            conffiles=dict(_conffiles(paths)),
        )


def _parse(text: str) -> Iterator[tuple[str, Expected]]:
    for line in lines_of(text):
        name, flag_bits, state, mode_bits, user, group, digest, target, path = line.split("\t", len(_FIELDS) - 1)
        flags, mode = int(flag_bits), int(mode_bits, 8)
        kind = _KINDS.get(mode & 0o170000)
        if state != _NORMAL or flags & _GHOST:
            # It need not be there, and what is there was made by others.
            yield path, Expected(name, is_optional=True, is_config=bool(flags & _CONFIG))
            continue
        yield (
            path,
            Expected(
                name,
                kind,
                has_digest=len(digest) == 64,
                sha256=digest if len(digest) == 64 else None,
                mode=None if kind is EntryKind.SYMLINK else mode & 0o7777,
                user=user,
                group=group,
                target=target if kind is EntryKind.SYMLINK else None,
                is_config=bool(flags & _CONFIG),
                is_optional=bool(flags & (_MISSING_OK | _DOC)),
            ),
        )


def _conffiles(paths: Mapping[str, Expected]) -> Iterator[tuple[str, Conffile]]:
    for path, expected in paths.items():
        if expected.is_config and expected.sha256:
            yield path, Conffile(expected.owner, expected.sha256)
