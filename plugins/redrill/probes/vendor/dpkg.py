"""The oracle of Debian and its children: the database of dpkg below /var/lib/dpkg, read as text."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from fnmatch import translate
from functools import cache

from redrill.model.manifest import EntryKind
from redrill.model.vendor import Conffile, Deviation, DeviationKind, Expected, OracleState, VendorFacts
from redrill.probes.vendor.alternatives import parse_alternatives
from redrill.probes.vendor.protocol import Answer, lines_of, sections

_QUESTION = r"""
db="$ROOT/var/lib/dpkg"
[ -f "$db/status" ] || exit 77
part() { printf '\036%s\n' "$1"; }
part aliases
for name in bin sbin lib lib32 lib64 libx32; do
  [ ! -h "$ROOT/$name" ] || printf '/%s %s\n' "$name" "$(readlink "$ROOT/$name")"
done
part status
awk '/^[^ ]/ { field = $1 } field ~ /^(Package|Status|Conffiles):$/' "$db/status" || exit 1
part conffiles
awk '/^[^ ]/ { field = $1 } field == "Conffiles:" && /^ \//' "$db/status" |
  sed -n 's|^ \(/.*\) [0-9a-f]\{32\}.*|.\1|p' | tr '\n' '\0' | (cd "$ROOT/" && xargs -0 -r md5sum -- 2>/dev/null)
part diversions; [ ! -f "$db/diversions" ] || cat "$db/diversions"
part overrides; [ ! -f "$db/statoverride" ] || cat "$db/statoverride"
part excludes
cat "$ROOT/etc/dpkg/dpkg.cfg" "$ROOT/etc/dpkg/dpkg.cfg.d/"* 2>/dev/null | grep -E '^path-(in|ex)clude'
part alternatives
find "$db/alternatives" -type f -exec awk 'FNR == 1 { print "\034" FILENAME } 1' {} + 2>/dev/null
part lists
cd "$db/info" || exit 1
{
  find . -name '*.md5sums' -exec cat {} +
  echo
  find . -name '*.list' -exec awk 'FNR == 1 { print "\034" FILENAME } 1' {} +
} | awk 'done { print /^\034/ ? $0 : (($0 in known) ? "=" : "-") $0; next }
  $0 == "" { done = 1; next } { known["/" substr($0, 35)] }'
"""
"""Paths of packages are marked with '=' when the package has a digest of them; conffiles have theirs in the status."""

_CHECK = r"""
db="$ROOT/var/lib/dpkg"
[ -f "$db/status" ] || exit 77
cd "$db/info" || exit 1
divert() { if [ -f "$db/diversions" ]; then cat "$db/diversions"; fi; printf '\036\n'; }
{ divert; find . -name '*.md5sums' -exec awk 'FNR == 1 { print "\034" FILENAME } 1' {} +; } |
  awk 'summing && /^\034/ { name = $0; gsub(/^\034\.\/|(:[a-z0-9]+)?\.md5sums$/, "", name); next }
    summing { path = "/" substr($0, 35); if (path in to && by[path] != name) path = to[path]
              print substr($0, 1, 34) "." path; next }
    $0 == "\036" { summing = 1; next }
    { turn = (turn + 1) % 3 } turn == 1 { from = $0 } turn == 2 { to[from] = $0 } turn == 0 { by[from] = $0 }' |
  (cd "$ROOT/" && md5sum -c --quiet 2>/dev/null; [ $? -le 1 ])
"""
"""Prints only what is not as its package says; a diverted file is looked for where it was diverted to."""

_FAILED = re.compile(r"\\?\.(/.*): FAILED( open or read)?")
_CONFFILE = re.compile(r" (/.*) ([0-9a-f]{32})((?: obsolete| remove-on-upgrade)*)")


class DpkgOracle:
    """Knows owners, contents (MD5), conffiles, diversions, alternatives and overrides; never modes and owners."""

    name = "dpkg"
    question = _QUESTION
    check = _CHECK

    def hear(self, answer: Answer) -> VendorFacts:
        """Return what the database says; ValueError or LookupError when it is none."""
        parts = sections(answer.question)
        aliases = dict(_parse_aliases(parts["aliases"]))
        diversions = _parse_diversions(parts["diversions"])
        links = dict(parse_alternatives(parts["alternatives"]))
        conffiles = dict(_parse_conffiles(parts["status"], parts["conffiles"]))
        facts = VendorFacts(
            states={self.name: OracleState(is_known=True, is_thorough=answer.check is not None)},
            aliases=aliases,
            conffiles=conffiles,
            overrides=dict(_parse_overrides(parts["overrides"])),
            links=links,
        )
        is_excluded = _make_filter(parts["excludes"])
        paths = {
            facts.canonical(path): _expect(package, has_digest, path in conffiles, is_excluded(path))
            for path, package, has_digest in _parse_lists(parts["lists"], diversions)
        }
        for link in links:
            paths.setdefault(facts.canonical(link), Expected("alternatives", EntryKind.SYMLINK, is_optional=True))
        checked = lines_of(answer.check or "")
        return replace(facts, paths=paths, deviations=tuple(_parse_failures(checked, paths, facts.canonical)))


def _parse_aliases(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        path, _, target = line.partition(" ")
        yield path, "/" + target.strip("/")


def _parse_diversions(lines: Sequence[str]) -> Mapping[str, tuple[str, str]]:
    """Return where each path is diverted to, and by which package (':' is the administrator)."""
    rows = zip(lines[0::3], lines[1::3], lines[2::3], strict=True)
    return {path: (target, package) for path, target, package in rows}


def _parse_conffiles(status: Sequence[str], found: Sequence[str]) -> Iterator[tuple[str, Conffile]]:
    digests = {line[35:]: line[:32] for line in found if not line.startswith("\\")}
    package = state = ""
    for line in status:
        if line.startswith("Package: "):
            package = line.removeprefix("Package: ")
        elif line.startswith("Status: "):
            state = line.split()[-1]
        elif match := _CONFFILE.fullmatch(line):
            path, digest, flags = match.groups()
            is_orphan = state in ("config-files", "not-installed")
            yield path, Conffile(package, digest, digests.get(path), bool(flags), is_orphan)


def _parse_overrides(lines: Sequence[str]) -> Iterator[tuple[str, tuple[str, str, int]]]:
    for line in lines:
        user, group, mode, path = line.split(" ", 3)
        yield path, (user, group, int(mode, 8))


def _make_filter(lines: Sequence[str]) -> Callable[[str], bool]:
    """Return whether dpkg leaves a path out on purpose: the last option of its configuration that matches decides."""
    options = [re.fullmatch(r"path-(in|ex)clude[ =]+[\"']?(.*?)[\"']?\s*", line) for line in lines]
    rules = [(found[1] == "ex", re.compile(translate(found[2]))) for found in options if found]

    @cache
    def is_excluded(path: str) -> bool:
        return next((excludes for excludes, pattern in reversed(rules) if pattern.match(path)), False)

    return is_excluded


def _parse_lists(lines: Sequence[str], diversions: Mapping[str, tuple[str, str]]) -> Iterator[tuple[str, str, bool]]:
    """Yield each path with its package and whether that has a digest of it."""
    package = ""
    for line in lines:
        if line.startswith("\x1c"):
            package = line[1:].removeprefix("./").removesuffix(".list").partition(":")[0]
            continue
        path = "/" if line[1:] == "/." else line[1:]
        target, diverter = diversions.get(path, (path, package))
        path = path if diverter == package else target
        yield path, package, line.startswith("=")


@cache
def _expect(package: str, has_digest: bool, is_config: bool, is_excluded: bool) -> Expected:
    kind = EntryKind.FILE if has_digest or is_config else None
    return Expected(package, kind, has_digest, is_config=is_config, is_optional=is_excluded)


def _parse_failures(
    lines: Sequence[str], paths: Mapping[str, Expected], canonical: Callable[[str], str]
) -> Iterator[Deviation]:
    for line in lines:
        match = _FAILED.fullmatch(line)
        if match is None:
            raise ValueError(f"md5sum printed {line[:200]!r}, which is no result of a check.")
        path = canonical(match[1])
        expected = paths.get(path, Expected(""))
        if not (match[2] and expected.is_optional):
            kind = DeviationKind.MISSING if match[2] else DeviationKind.MODIFIED
            yield Deviation(path, kind, f"not as in the package '{expected.owner}'", expected.owner)
