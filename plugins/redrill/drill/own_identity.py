"""What of a new host stays its own when the state of another comes up on it: its names, addresses, ids and keys.

The catalogue of identities says what that is, and the provisioner what it writes. A file that is an identity as a whole
is the fresh host's again, or goes away so that the host makes one at its boot; of a file of configuration that is so of
the lines that hold the identity, and of no others.
"""

import shlex

from redrill.drill.bench import Bench
from redrill.errors import RestoreError
from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline
from redrill.model.globs import compile_glob
from redrill.model.values import Mode, is_inside
from redrill.probes.facts.identity import quote_pattern
from redrill.probes.identity_classes import IDENTITY_CLASSES, Policy
from redrill.provisioners.protocol import Configurer

FOLDER = "run/redrill-own"
"""Where the fresh host's own files wait until it boots: no state path, and gone with the boot at the latest."""

PROVISIONED = "provisioned"
"""The class of what the provisioner writes and the catalogue does not know."""

# A link of a directory that stands for '/' would lead to the controller's own files, so no file is reached through one.
_COMMON = f"""
export LC_ALL=C
cd "${{ROOT-}}/" || exit
keep={FOLDER} base=$(pwd -P)
base=${{base%/}}
is_inside() {{
  folder=${{1%/*}}
  while [ ! -d "$folder" ]; do folder=${{folder%/*}}; done
  [ "$(cd -P "$folder" && pwd)" = "$base${{folder#.}}" ]
}}
is_plain() {{ [ -f "$1" ] && [ ! -h "$1" ] && is_inside "$1"; }}
"""
_SAVE = r"""
[ ! -d "$keep" ] || exit 0
rm -rf "$keep.new" && (umask 077 && mkdir -p "$keep.new") || exit
for file in @PATTERNS@; do
  if is_plain "$file"; then
    mkdir -p "$keep.new/${file%/*}" && cp -a "$file" "$keep.new/${file%/*}/" || exit
  fi
done
mv "$keep.new" "$keep"
"""
# What the backup brings of an identity goes first, then what the fresh host had comes back.
_RENEW = r"""
umask 022
[ -d "$keep" ] || { echo "The fresh host's own files are no longer in '/$keep'." >&2; exit 1; }
cut=$(printf '\001')
take_files() {
  class=$1
  shift
  for file; do
    if is_plain "$file" && ! cmp -s "$keep/$file" "$file"; then rm -f "$file" && tell || exit; fi
  done
}
put_files() {
  class=$1
  shift
  for file; do
    file=${file#"$keep/"}
    if [ -f "$keep/$file" ] && ! cmp -s "$keep/$file" "$file" && is_inside "$file" && [ ! -h "$file" ]; then
      mkdir -p "${file%/*}" && cp -a "$keep/$file" "$file" && tell || exit
    fi
  done
}
change_lines() {
  class=$1 line=$2
  shift 2
  for file; do
    if is_plain "$file" && grep -qE -e "$line" "$file"; then
      {
        sed -E "\\$cut$line${cut}d" "$file"
        [ ! -f "$keep/$file" ] || sed -nE "\\$cut$line${cut}p" "$keep/$file"
      } >"$keep/lines" || exit
      if ! cmp -s "$keep/lines" "$file"; then cat "$keep/lines" >"$file" && tell || exit; fi
    fi
  done
}
tell() { printf '%s\t%s\n' "$class" "${file#.}"; }
"""


def save_own(bench: Bench, machine: Machine, deadline: Deadline) -> None:
    """Put aside what the fresh host has of its own, once, before anything is restored over it."""
    if bench.mode is Mode.RELOCATE:
        files = [*_files_of(bench).values(), *(each.paths for each in IDENTITY_CLASSES.values() if each.has_lines)]
        patterns = " ".join(map(_words, files))
        machine.run(_COMMON + _SAVE.replace("@PATTERNS@", patterns), deadline).checked()


def bring_back_own(bench: Bench, machine: Machine, deadline: Deadline) -> None:
    """Make the restored state the new host's: what ``save_own`` put aside comes back, what it lacked goes away."""
    relocation = bench.evidence.relocation
    if bench.mode is not Mode.RELOCATE or relocation is None:
        return
    result = machine.run(_COMMON + _RENEW + _renewals(bench), deadline)
    if result.exit_status != 0:
        words = (result.stderr or result.stdout).decode("utf-8", "backslashreplace").strip()[-500:]
        raise RestoreError(f"'{relocation.name}' could not be given an identity of its own: {words}")
    regenerated: dict[str, str] = {}
    for line in result.text.splitlines():
        name, _, path = line.partition("\t")
        regenerated[path] = name
    bench.evidence.relocation = relocation.model_copy(update={"regenerated": regenerated})
    bench.detail = f"{bench.detail}, {len(regenerated)} files are the new host's own"


def forget_own(bench: Bench, machine: Machine, deadline: Deadline) -> None:
    """Remove what was put aside, keys among it: the host is about to boot."""
    if bench.mode is Mode.RELOCATE:
        machine.run(f'rm -rf "${{ROOT-}}/{FOLDER}" "${{ROOT-}}/{FOLDER}.new"', deadline).checked()


def _renewals(bench: Bench) -> str:
    """Return the calls: lines are changed while what the fresh host had of them still stands aside."""
    changed = [each for each in IDENTITY_CLASSES.values() if each.has_lines]
    files = _files_of(bench)
    return "\n".join(
        [
            *(f"change_lines {each.name} {shlex.quote(each.line)} {_words(each.paths)}" for each in changed),
            *(f"take_files {name} {_words(paths)}" for name, paths in files.items()),
            *(f"put_files {name} {_words(paths, f'{FOLDER}/')}" for name, paths in files.items()),
        ]
    )


def _files_of(bench: Bench) -> dict[str, tuple[str, ...]]:
    """Return the patterns of what is the host's own as a whole, by class; what the catalogue keeps is not."""
    known = [each for each in IDENTITY_CLASSES.values() if each.paths]
    files = {each.name: each.paths for each in known if each.relocate is Policy.RENEW and not each.has_lines}
    written: tuple[str, ...] = bench.builder.own_files() if isinstance(bench.builder, Configurer) else ()
    named = [each.paths for each in known if each.relocate is not Policy.RENEW or each.name in files]
    files[PROVISIONED] = tuple(path for path in written if not any(_names(paths, path) for paths in named))
    return {name: inside for name, paths in files.items() if (inside := tuple(filter(is_inside, paths)))}


def _names(patterns: tuple[str, ...], path: str) -> bool:
    return any(compile_glob(pattern).fullmatch(path) for pattern in patterns)


def _words(patterns: tuple[str, ...], folder: str = "") -> str:
    return " ".join(quote_pattern(f"{folder}.{pattern}") for pattern in patterns)
