r"""The shell program that prints what a machine's files are; it only reads, and every name travels between NULs.

It prints, each followed by a NUL: who it is, how ('gnu' or 'posix', and 'listing' or 'changes'), the machine's clock;
the records; an empty token; the digests; an empty token; attributes, flags and complaints, which begin with '1', '2'
and '3'; what find complained of; END. A record is TAB, type, name, '//', facts: no name holds '//'. Of 'changes' only
the records come that are not among those on standard input, and those of the latter that are no more, without the TAB;
behind them stands how many there were of both.
"""

import hashlib
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from redrill.machine.flags import KEPT


@dataclass(frozen=True, slots=True)
class Area:
    """A part of a machine: absolute paths, and the subtrees below them that are left out."""

    paths: tuple[str, ...]
    skip: tuple[str, ...] = ()


_BATCH = 500
_BIG = 8
"""Digits of the size of files that get a batch for themselves: filled up with /dev/null, which nobody asked for."""

_GETFATTR = 'getfattr -h -d -m - -e hex --absolute-names -- "$@" >&5'

# lsattr prints names as they are, so those that hold a newline are told by device and inode.
_LSATTR = r"""
nl='
'
case "$*" in
*"$nl"*)
  for name do case $name in *"$nl"*) ;; *) printf '%s\0' "$name" ;; esac done | xargs -0 -r lsattr -d --
  for name do case $name in *"$nl"*)
    found=$(lsattr -d -- "$name"); printf '%s #%s\n' "${found%% *}" "$(stat -c %d:%i -- "$name")" ;;
  esac done ;;
*) lsattr -d -- "$@" ;;
esac 2>/dev/null
"""

# openssl uses the instructions that most processors have for this, but takes a while to start: not worth it for less
# than ten files. It prints no NULs, and says little of what it could not read; then, and where it is missing, sha256sum
# has its turn, with what it says between the digests.
_DIGEST = r"""
nl='
'
{
  case "$#$*" in ?./* | *"$nl"*) false ;; *) openssl dgst -sha256 -r "$@" 2>/dev/null ;; esac
  status=$?
  printf '.\0'
  [ $status = 0 ] || exec sha256sum -z -- "$@" 2>&1
} >&$((3 + SLOT))
"""

# Every pipe has one writer at a time, for two would tear each other's records: of the two that hash, the second writes
# to a sort, which prints nothing before both have ended; attributes wait in another. No writer waits for a reader that
# waits for another writer: whatever reads names from tee sorts them first, that is, takes them all.
_GNU = r"""
listing() {
  walk_together '(' '(' -type b -o -type c ')' -exec stat --printf "${tab}r%n//%t:%T\\0" '{}' + , \
    -printf "$tab%y%p//%m %U %G %s %T@ %n %D:%i %C@ %l\\0" ')' </dev/null
}
changes() {
  unpack | { listing | sort -z | comm -z -3 --nocheck-order --total /dev/fd/3 -; } 3<&0
}
names() {
  sed -z -e '/^\t[^r]/!d' -e 's|//.*||' -e 's|^\t.||' | sort -z
}
big_first() {
  grep -za "$(printf '^\tf')" | sort -z -t' ' -k4,4rn |
    sed -z -e '\|//[0-7]* [0-9]* [0-9]* [0-9]\{@BIG@,\} |s|//.*|@FILL@|' -e 's|//.*||' -e 's|^\tf||'
}
digests() {
  { big_first | xargs -0 -r -P 2 -n @BATCH@ --process-slot-var=SLOT sh -c "$digest" sh 3>&6 4>&1 | sort -z; } 6>&1
}
look_at_all() { names | xargs -0 -r sh -c "$getfattr$nl$lsattr" sh; }
sections() {
  {
    {
      { $mode | tee /dev/fd/8 /dev/fd/9 >&7; printf '\0' >&7; } 8>&1 | attributes >&5 9>&-
    } 9>&1 | { digests; printf '\0'; } >&7
  } 5>&1 | sort -z >&7
}
"""

# BusyBox forgets an '-exec … +' that stands in parentheses. Tools print no NULs here, so files whose names hold
# newlines, or backslashes (which sha256sum escapes), go one by one.
_POSIX = r"""
facts='%f %u %g %s %Y %h %d:%i %Z %y'
one_record='for name do
  printf "\t-%s//%s " "$name" "$(stat -c "$facts" -- "$name")"; [ ! -h "$name" ] || readlink -n -- "$name"; printf "\0"
done'
one_device='for name do printf "\tr%s//%s\0" "$name" "$(stat -c %t:%T -- "$name")"; done'
one_digest='for name do found=$(sha256sum <"$name"); printf "%s  %s\0" "${found%% *}" "$name"; done'
look_at_all() {
  walk -exec sh -c "$getfattr" sh '{}' +
  walk '(' -type f -o -type d ')' -exec sh -c "$lsattr" sh '{}' +
}
sections() {
  export facts
  {
    walk ! -type l ! -path "*$nl*" -exec stat -c "$tab-%n//$facts " -- '{}' + | tr '\n' '\0'
    walk '(' -type l -o -path "*$nl*" ')' -exec sh -c "$one_record" sh '{}' +
    walk '(' -type b -o -type c ')' -exec sh -c "$one_device" sh '{}' +
    printf '\0'
    walk -type f ! -path "*$nl*" ! -path '*\\*' -exec sha256sum -- '{}' + | tr '\n' '\0'
    walk -type f '(' -path "*$nl*" -o -path '*\\*' ')' -exec sh -c "$one_digest" sh '{}' +
    printf '\0'
    attributes 5>&1
  } >&7
}
"""

_PROGRAM = r"""
export LC_ALL=C
for tool in find sha256sum sort stat; do
  command -v $tool >/dev/null || { echo "A manifest needs '$tool', which is missing." >&2; exit 127; }
done
cd "${ROOT-}/" || exit
nl='
'
tab='@TAB@'
tools=
machine=
boot=
getfattr=:
lsattr=:
digest=@DIGEST@
for tool in getfattr lsattr zstd; do ! command -v $tool >/dev/null || tools="$tools $tool"; done
case $tools in *getfattr*) getfattr=@GETFATTR@ ;; esac
case $tools in *lsattr*) lsattr=@LSATTR@ ;; esac
{
  read -r machine <etc/machine-id
  if [ -n "${ROOT-}" ]; then read -r boot <run/boot-id; else read -r boot </proc/sys/kernel/random/boot_id; fi
} 2>/dev/null
identity="@KEY@ $machine $boot$tools"
@AREAS@
attributes() {
  printf 1 >&5
  words=$({
    flags=$(look_at_all | grep -aE '^[-a-zA-Z]*[@LETTERS@][-a-zA-Z]* ')
    printf '\0002%s\0' "$flags" >&5
  } 2>&1)
  printf '3%s\0' "$words" >&5
}
known=
kind=posix
mode=listing
IFS= read -r known
# Another lsattr than that of e2fsprogs would open devices that it is asked about.
is_gnu() {
  [ -e /dev/fd/0 ] && comm -z --total /dev/null /dev/null && sed -z p /dev/null && find . -maxdepth 0 -printf '' &&
    case $tools in *lsattr*) lsattr -Vd . ;; esac
} >/dev/null 2>&1 </dev/null
if [ -n "$machine" ] && [ -n "$boot" ] && [ "$known" = "$identity" ]; then
  kind=gnu mode=changes tab=
elif is_gnu; then
  kind=gnu tab='\t'
fi
unpack() { case $tools in *zstd*) zstd -dcq ;; *) cat ;; esac; }
case $kind in
gnu)
@GNU@
;;
posix)
@POSIX@
;;
esac
produce() {
  printf '%s\0%s %s\0%s\0' "$identity" $kind $mode "$(date +%s)" >&7
  words=$(sections 2>&1)
  printf '%s\0END\0' "$words" >&7
}
case "$mode$tools" in listing*zstd*) produce 7>&1 | zstd -q --single-thread -1 -c ;; *) produce 7>&1 ;; esac
"""


def manifest_program(areas: Sequence[Area]) -> str:
    """Return the program for these areas, which are looked at one after the other."""
    program = _PROGRAM.replace("@GNU@", _GNU).replace("@POSIX@", _POSIX).replace("@AREAS@", "\n".join(_walks(areas)))
    words = {
        "@TAB@": "\t",
        "@GETFATTR@": shlex.quote(_GETFATTR),
        "@LSATTR@": shlex.quote(_LSATTR),
        "@DIGEST@": shlex.quote(_DIGEST),
        "@LETTERS@": KEPT,
        "@BIG@": str(_BIG),
        "@BATCH@": str(_BATCH),
        "@FILL@": r"\x00/dev/null" * (_BATCH - 1),
    }
    for word, text in words.items():
        program = program.replace(word, text)
    return program.replace("@KEY@", hashlib.sha256(program.encode("utf-8", "surrogateescape")).hexdigest())


def _walks(areas: Sequence[Area]) -> Iterator[str]:
    """Yield shell functions that run find with their arguments: ``walk`` in one area after the other.

    ``walk_together`` is for two areas at once; what find prints in the first waits in a sort for the second to end.
    """
    for number, area in enumerate(areas):
        patterns = (shlex.quote(re.sub(r"([*?\[\\])", r"\\\1", _name(path))) for path in area.skip)
        prune = " ".join(f"-path {pattern} -prune -o" for pattern in patterns)
        yield f"area_{number}() {{"
        for name in (shlex.quote(_name(path)) for path in area.paths):
            yield f'  if [ -e {name} ] || [ -h {name} ]; then find {name} -xdev {prune} "$@"; fi'
        yield "}"
    calls = [f'area_{number} "$@"' for number in range(len(areas))]
    yield f"walk() {{ {'; '.join(calls)}; }}"
    yield (
        f"walk_together() {{ {calls[0]} | sort -z | {{ {'; '.join(calls[1:])}; cat; }}; }}"
        if calls[1:]
        else ('walk_together() { walk "$@"; }')
    )


def _name(path: str) -> str:
    return "." + path.rstrip("/")
