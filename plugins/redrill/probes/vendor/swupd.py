"""The oracle of Clear Linux and its mixes: the manifests of the installed release, and 'swupd diagnose'."""

import re
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from redrill.model.globs import compile_glob
from redrill.model.manifest import EntryKind
from redrill.model.vendor import Deviation, DeviationKind, Expected, OracleState, VendorFacts
from redrill.probes.vendor.protocol import SECTION, Answer, lines_of, sections
from redrill.probes.vendor.swupd_manifest import (
    MISSING,
    Line,
    hash_as,
    hash_manifest,
    hash_path,
    merge_bundles,
    parse_manifest,
)

_QUESTION = r"""
clear="$ROOT/usr/share/clear"
[ -d "$clear/bundles" ] || exit 77
part() { printf '\036%s\n' "$1"; }
part version; sed -n 's/^VERSION_ID=//p' "$ROOT/usr/lib/os-release" | tr -d '"'\'
part bundles; ls "$clear/bundles"
for file in "$ROOT"/var/lib/swupd/cache/*/manifest/*/Manifest.*; do
  case $file in *.sig | *.tar | *'*'*) ;; *) part "$file"; cat "$file" || exit 1 ;; esac
done
"""
# It writes locks, reports and manifests below its state directory, so it gets one of its own that knows what is cached,
# and what it fetched is read from there; with a mirror that does not answer it would try for two minutes.
_CHECK = r"""
[ -d "$ROOT/usr/share/clear/bundles" ] || exit 77
PATH="$ROOT/usr/bin:$PATH"
[ -z "$ROOT" ] || [ -x "$ROOT/usr/bin/swupd" ] || exit 77
command -v swupd >/dev/null || exit 77
own=$(mktemp -d "$ROOT/run/redrill-swupd.XXXXXX") || exit 1
trap 'rm -rf "$own"' EXIT
for folder in "$ROOT"/var/lib/swupd/cache/*/manifest; do
  [ -d "$folder" ] || continue
  to="$own/${folder#"$ROOT/var/lib/swupd/"}"
  mkdir -p "$to" && cp -r "$folder/." "$to" || exit 1
done
set -- diagnose --picky --no-progress --statedir="$own" --max-retries=1 --retry-delay=1
timeout 60 swupd "$@" 2>&1
printf '\nexit %s\n' $?
for file in "$own"/cache/*/manifest/*/Manifest.*; do
  case $file in *.sig | *.tar | *'*'*) ;; *) printf '\036%s\n' "$file"; cat "$file" ;; esac
done
"""

_FOUND = re.compile(r" -> (Missing file|Hash mismatch for file|File that should be deleted|Extra file): (.+)")
_CATEGORIES = {
    "Missing file": DeviationKind.MISSING,
    "Hash mismatch for file": DeviationKind.MODIFIED,
    "File that should be deleted": DeviationKind.EXTRA,
    "Extra file": DeviationKind.EXTRA,
}
_JSON = re.compile(r'\{ "type" : "(\w+)", (?:"msg" : "(.*)"|.*?"status" : (\d+)|.*) \},?')
_DRIFT = 1

BLIND = (
    *("/etc/**", "/data/**", "/dev/**", "/home/**", "/lost+found/**", "/proc/**", "/root/**", "/run/**", "/sys/**"),
    *("/tmp/**", "/var/**", "/usr/src/**", "/usr/local/**"),  # noqa: S108 - named, not used
)
"""What diagnose never looks at (heuristics.c), as globs; extra files it looks for below /usr only."""

_NO_EXTRAS = ("/usr/lib/kernel", "/usr/lib/modules", "/usr/src", "/usr/local")
_COMMON_MODES = (0o644, 0o755, 0o600, 0o700, 0o640, 0o750, 0o444, 0o555, 0o4755, 0o4555, 0o2755, 0o4711, 0o1777)


class SwupdOracle:
    """Knows owners and types from manifests; whether hashes agree it computes itself on an endpoint that is a
    directory, and else asks 'swupd diagnose'."""

    name = "swupd"
    question = _QUESTION
    check = _CHECK

    def hear(self, answer: Answer) -> VendorFacts:
        """Return what manifests and diagnose say; ValueError or LookupError when they cannot be understood."""
        diagnosis, _, fetched = (answer.check or "").partition(SECTION)
        paths, reason = _read_manifests(sections(answer.question) | sections(SECTION + fetched))
        deviations: tuple[Deviation, ...] = ()
        is_thorough = False
        if answer.check is not None:
            found, why = read_diagnosis(diagnosis)
            deviations, reason, is_thorough = tuple(found), reason or why, not why
        elif answer.root is not None and not reason:
            deviations, is_thorough = tuple(survey(answer.root, paths)), True
        return VendorFacts(
            states={self.name: OracleState(not reason, reason, is_thorough)},
            paths={path: _expect(owner, lines) for path, (owner, lines) in paths.items() if not lines[0].is_deleted},
            deviations=deviations,
            blind=BLIND,
        )


def _read_manifests(parts: dict[str, list[str]]) -> tuple[dict[str, tuple[str, list[Line]]], str]:
    """Return the lines of each path of the installed bundles, and why they are not known if so."""
    version = "".join(parts["version"])
    texts = {tuple(name.rsplit("/", 2)[1:]): "\n".join(lines) + "\n" for name, lines in parts.items() if "/" in name}
    if (version, "Manifest.MoM") not in texts:
        return {}, f"no manifest of release {version or '(unknown)'} is cached on the endpoint"
    releases = {line.name: line for line in parse_manifest(texts[version, "Manifest.MoM"])[1]}
    bundles = []
    for name in sorted(parts["bundles"]):
        listed = releases.get(name)
        if listed is None:
            return {}, f"release {version} has no bundle '{name}', but the endpoint says that it is installed"
        text = texts.get((listed.version, f"Manifest.{name}"))
        if text is None:
            return {}, f"the manifest of the bundle '{name}' ({listed.version}) is not cached on the endpoint"
        if hash_manifest(text.encode("utf-8", "surrogateescape")) != listed.hash:
            return {}, f"the cached manifest of the bundle '{name}' is damaged: the release names another hash"
        bundles.append((name, parse_manifest(text)[1]))
    return merge_bundles(bundles), ""


def _expect(owner: str, lines: Sequence[Line]) -> Expected:
    return Expected(owner, lines[0].kind, has_digest=not lines[0].is_ghosted, is_optional=lines[0].is_ghosted)


def survey(root: Path, paths: dict[str, tuple[str, list[Line]]]) -> Iterator[Deviation]:
    """Yield how the files below ``root`` differ from the manifests, with what is too much below /usr.

    A hash says that something differs; the likely modes and root as the owner are tried to say what.
    """
    blind = [compile_glob(pattern) for pattern in BLIND]
    for path in sorted(paths):
        owner, lines = paths[path]
        if lines[0].is_ghosted or any(pattern.fullmatch(path) for pattern in blind):
            continue
        found = hash_path(root / path[1:])
        if lines[0].is_deleted:
            if found != MISSING:
                yield Deviation(path, DeviationKind.EXTRA, "the release has deleted it", owner)
        elif found == MISSING:
            yield Deviation(path, DeviationKind.MISSING, f"in the bundle '{owner}', but not here", owner)
        elif found not in {line.hash for line in lines}:
            yield _explain(root / path[1:], path, owner, lines)
    yield from _find_extras(root, paths)


def _explain(real: Path, path: str, owner: str, lines: Sequence[Line]) -> Deviation:
    info, wanted = real.lstat(), {line.hash for line in lines}
    kind = _kind_of(info.st_mode)
    if kind is not lines[0].kind:
        return Deviation(path, DeviationKind.TYPE, f"is a {kind}, in the bundle '{owner}' a {lines[0].kind}", owner)
    mode = stat.S_IMODE(info.st_mode)
    if hash_as(real, info, owner=(0, 0)) in wanted:
        return Deviation(path, DeviationKind.OWNER, f"is {info.st_uid}:{info.st_gid}, expected 0:0", owner)
    for likely in _COMMON_MODES:
        if hash_as(real, info, likely, (0, 0)) in wanted:
            return Deviation(path, DeviationKind.MODE, f"is {mode:04o}, expected {likely:04o}", owner)
    return Deviation(path, DeviationKind.MODIFIED, f"not as in the bundle '{owner}'", owner)


def _kind_of(mode: int) -> EntryKind | None:
    kinds = {stat.S_IFREG: EntryKind.FILE, stat.S_IFDIR: EntryKind.DIRECTORY, stat.S_IFLNK: EntryKind.SYMLINK}
    return kinds.get(stat.S_IFMT(mode))


def _find_extras(root: Path, paths: Iterable[str]) -> Iterator[Deviation]:
    known = set(paths)
    for real in sorted((root / "usr").rglob("*")):
        path = "/" + real.relative_to(root).as_posix()
        if path not in known and not path.startswith(_NO_EXTRAS):
            yield Deviation(path, DeviationKind.EXTRA, "in no installed bundle")


def read_diagnosis(text: str) -> tuple[list[Deviation], str]:
    """Return what 'swupd diagnose' found, in its plain or its JSON form, and why it does not know if so.

    ``text`` is both streams, and 'exit N' as its last line. Exit 1 means drift, and also that it was not run by root;
    any other but 0 that it could not tell. Spinner characters up to a carriage return are thrown away.
    """
    body, _, last = text.rstrip("\n").rpartition("\n")
    if not re.fullmatch(r"exit \d+", last):
        raise ValueError(f"The diagnosis ends with {last[:80]!r} instead of its exit status.")
    status = int(last.removeprefix("exit "))
    lines = [line.rsplit("\r", 1)[-1] for line in lines_of(body)]
    found = list(_find_in_json(lines) if body.startswith("[\n") else _find_in_text(lines))
    is_complete = any("Diagnose successful" in line for line in lines)
    if status == 0 and is_complete:
        return found, ""
    if status == _DRIFT and is_complete and found:
        return found, ""
    errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
    told = "; ".join(errors) or ("it took too long" if status == 124 else "it did not end well")
    return [], f"'swupd diagnose' could not tell (exit {status}): {told}"


def _find_in_text(lines: Sequence[str]) -> Iterator[Deviation]:
    for line in lines:
        if match := _FOUND.fullmatch(line):
            yield _deviation(*match.groups())


def _find_in_json(lines: Sequence[str]) -> Iterator[Deviation]:
    """Read the stream of '--json-output', whose texts are not escaped: label and path are two messages."""
    label = ""
    for line in lines:
        match = _JSON.fullmatch(line)
        message = (match[2] or "") if match else ""
        if label:
            yield _deviation(label, message)
        label = next((each for each in _CATEGORIES if message == f" -> {each}:"), "")


def _deviation(label: str, path: str) -> Deviation:
    return Deviation(path.rstrip("/"), _CATEGORIES[label], f"swupd says: {label.lower()}")
