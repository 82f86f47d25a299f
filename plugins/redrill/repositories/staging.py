"""What runs on a live endpoint to restore it: unpack beside the old state, then put the new in its place.

An interruption at any moment leaves either the old state or a mixture that the same restore, repeated, makes right.
"""

from redrill.model.values import STATE_PATHS

STAGING = ".redrill-staging-"
_MEMBERS = " ".join(path.strip("/") for path in STATE_PATHS)
_TAR = "tar --xattrs --xattrs-include='*' --numeric-owner"

# One staging directory serves all state paths on the same file system: hard links between them need that.
_COMMON = rf"""
export LC_ALL=C
umask 077
cd -P "${{ROOT-}}/" || exit
here=$(pwd -P); here=${{here%/}}
stage_of() {{
  device=$(stat -c %d "$1") || exit
  for lead in var home etc; do
    if [ "$(stat -c %d "$lead")" = "$device" ]; then echo "$lead/{STAGING}@TOKEN@"; return; fi
  done
}}
require() {{ case $1 in */{STAGING}@TOKEN@) ;; *) echo "There is no place to unpack to: '$1'." >&2; exit 4 ;; esac; }}
"""

_UNPACK = (
    _COMMON
    + rf"""
for path in {_MEMBERS}; do
  if [ ! -e "$path" ] && [ ! -h "$path" ]; then mkdir -m 755 "$path" || exit; fi
  if [ ! -d "$path" ] || [ -h "$path" ]; then
    echo "'/$path' is no directory in the fresh system, so nothing can be restored into it." >&2; exit 3
  fi
  rm -rf --one-file-system "$path"/{STAGING}* || exit
done
groups=
for path in {_MEMBERS}; do
  stage=$(stage_of "$path")
  require "$stage"
  if [ ! -d "$stage" ]; then
    mkdir -m 700 "$stage" || exit
    tar --format=posix --no-recursion -cf - "$stage" | tar --acls --numeric-owner -xpf - || exit
  fi
  groups="$groups $stage"
done
groups=$(printf '%s\n' $groups | sort -u)
if [ "$(printf '%s\n' "$groups" | wc -l)" = 1 ]; then exec {_TAR} -C "$groups" @UNPACK@ -xpf - {_MEMBERS}; fi

# With several -C tar loses directories that it wants to come back to, so each file system gets a tar of its own.
set --
children=
for stage in $groups; do
  members=
  for path in {_MEMBERS}; do if [ "$(stage_of "$path")" = "$stage" ]; then members="$members $path"; fi; done
  mkfifo "$stage/archive" || exit
  {_TAR} -C "$stage" -xpf - $members < "$stage/archive" &
  children="$children $!"
  set -- "$@" "$stage/archive"
done
@DECOMPRESS@ | tee "$@" > /dev/null
status=0
for child in $children; do wait "$child" || status=$?; done
exit $status
"""
)

# Files replace files at once; a directory is away for the moment between its removal and the move. What is mounted
# inside the state paths stays, and so do the directories on the way to it: they get the attributes of the backup last.
# It goes on when the connection is lost.
_SWAP = (
    _COMMON
    + rf"""
trap '' HUP PIPE
set --
for path in {_MEMBERS}; do
  stage=$(stage_of "$path")
  require "$stage"
  if [ ! -d "$stage/$path" ]; then echo "'/$path' is not in the staging directory '$stage'." >&2; exit 4; fi
done

mounts=
kept=$(printf '%s\n' {_MEMBERS})
while read -r _ _ _ _ point _; do
  case $point in "$here"/*) ;; *) continue ;; esac
  case $point in *\\134*|*\\012*)
    echo "The name of the mount point '$point' is beyond what a restore can spare." >&2; exit 5 ;;
  esac
  point=$(printf '%b' "$point"); point=${{point#"$here"/}}
  for path in {_MEMBERS}; do
    case $point in "$path"/*)
      mounts=$(printf '%s\n%s' "$mounts" "$point")
      while [ "$point" != "$path" ]; do point=${{point%/*}}; kept=$(printf '%s\n%s' "$kept" "$point"); done ;;
    esac
  done
done < /proc/self/mountinfo
kept=$(printf '%s\n' "$kept" | sort -u)

# Prints, one a line, the names of the children of $1 that are not to be touched.
fixed_in() {{
  printf '%s\n' "$kept" "$mounts" | while read -r path; do
    case $path in "$1"/*/*) ;; "$1"/*) printf '%s\n' "${{path#"$1"/}}" ;; esac
  done
  echo '{STAGING}@TOKEN@'
}}
children() {{
  (cd "$1" && shift && find . -mindepth 1 -maxdepth 1 "$@" -printf '%f\0') | {{ grep -zvxF -e "$fixed" || true; }}
}}

swap() {{
  stage=$(stage_of "${{1%%/*}}")
  require "$stage"
  live=$1 fresh=$stage/$1 fixed=$(fixed_in "$1")
  [ -d "$fresh" ] || {{ echo "'/$1' is not a directory in the backup, but something is mounted in it." >&2; exit 6; }}
  export live fresh
  children "$live" | xargs -0 -r sh -c '
    for name; do
      new=$fresh/$name old=$live/$name
      if [ -d "$new" ] && [ ! -h "$new" ]; then
        [ -d "$old" ] && [ ! -h "$old" ] && continue
      elif [ -e "$new" ] || [ -h "$new" ]; then
        [ -d "$old" ] && [ ! -h "$old" ] || continue
      fi
      rm -rf --one-file-system -- "$old" || exit 255
    done' sh || exit
  children "$fresh" ! -type d | (cd "$fresh" && xargs -0 -r mv -f -t "$here/$live" --) || exit
  children "$fresh" -type d | xargs -0 -r -n 8 sh -c '
    for name; do rm -rf --one-file-system -- "$live/$name" || exit 255; done
    cd "$fresh" && mv -t "$0" -- "$@" || exit 255' "$here/$live" || exit
}}

attributes=$(mktemp) || exit
trap 'rm -f "$attributes"' EXIT
set --
IFS='
'
for path in $kept; do set -- "$@" -C "$here/$(stage_of "${{path%%/*}}")" "$path"; done
tar --format=posix --xattrs --xattrs-include='*' --numeric-owner --no-recursion -cf "$attributes" "$@" || exit
for path in $kept; do swap "$path"; done
for path in {_MEMBERS}; do rm -rf --one-file-system "$path/{STAGING}@TOKEN@" || exit; done
tar --format=posix --no-recursion -cf - $kept | tar --acls --numeric-owner -xpf - || exit
{_TAR} --no-recursion -xpf "$attributes"
"""
)

_DISCARD = f'cd "${{ROOT-}}/" && for path in {_MEMBERS}; do rm -rf --one-file-system "$path/{STAGING}@TOKEN@"; done'


def unpack_command(token: str, *, is_packed: bool) -> str:
    """Return the program that unpacks its standard input into staging directories of its own, mode 0700."""
    program = _UNPACK.replace("@UNPACK@", "-I zstd" if is_packed else "")
    return program.replace("@DECOMPRESS@", "zstd -dc" if is_packed else "cat").replace("@TOKEN@", token)


def swap_command(token: str) -> str:
    """Return the program that makes the state paths what was unpacked; nothing is touched unless all of it is there."""
    return _SWAP.replace("@TOKEN@", token)


def discard_command(token: str) -> str:
    """Return the program that removes what was unpacked."""
    return _DISCARD.replace("@TOKEN@", token)
