"""Who an endpoint is, class by class: hashes that are made on the endpoint, so that no value leaves it."""

import re
import shlex
from collections.abc import Iterable
from typing import Any

from redrill.probes.facts.fact import Fact
from redrill.probes.identity_classes import IDENTITY_CLASSES, IdentityClass

ONLY_ROOT = """
if [ -z "$ROOT" ] && [ "$(id -u)" != 0 ]; then
  echo "Only root can see all that tells an endpoint from others." >&2
  exit 1
fi
"""

PHYSICAL_LINKS = r"""
physical_links() {
  for link in /sys/class/net/*; do
    link=${link##*/}
    case $link in
      lo|veth*|docker*|br-*|virbr*|cali*|cni*|flannel*|cilium*|vnet*|tun*|tap*|wg*|dummy*|bonding_masters) continue ;;
    esac
    if [ "$(cat "/sys/class/net/$link/type")" = 1 ]; then printf '%s\n' "$link"; fi
  done
}
"""
"""A shell function that prints the network interfaces of Ethernet that belong to no container, guest or tunnel."""

# A link of a directory that stands for '/' would lead to the controller's own files.
_PROGRAM = r"""
command -v sha256sum >/dev/null || { echo "Identities need 'sha256sum', which is missing." >&2; exit 127; }
cut=$(printf '\001')  # no expression holds it
tell() {
  value=$(sha256sum) && printf '%s\t%s\t%.16s\n' "$class" "$1" "$value"
}
tell_words() {
  [ -n "$2" ] || return 0
  if [ "$split" = no ]; then printf '%s\n' "$2" | tell "$1"; return; fi
  printf '%s\n' "$2" | sort -u | while read -r word; do printf '%s\n' "$word" | tell "$1" || exit; done
}
of_files() {
  class=$1 split=$2 linked=$3 line=$4
  shift 4
  for file; do
    if [ ! -f "$file" ]; then continue; fi
    if [ -h "$file" ] && { [ -n "$ROOT" ] || [ "$linked" = no ]; }; then continue; fi
    if [ -z "$line" ]; then
      [ ! -s "$file" ] || tell "${file#"$ROOT"}" <"$file" || exit
    else
      words=$(sed -n -E "s$cut$line$cut\\1${cut}p" "$file") && tell_words "${file#"$ROOT"}" "$words" || exit
    fi
  done
}
of_command() {
  class=$1 split=$2
  [ -n "$ROOT" ] || tell_words '' "$(eval "$3")" || exit
}
"""


def identity_program(classes: Iterable[IdentityClass]) -> str:
    """Return the shell program that prints 'class, path (none for a command), 16 hex digits', a tab between each."""
    return ONLY_ROOT + PHYSICAL_LINKS + _PROGRAM + "".join(f"{_call(each)}\n" for each in classes)


def _call(each: IdentityClass) -> str:
    # Each line by itself where any one of them must not be another endpoint's as well.
    split = "yes" if each.unique else "no"
    if each.command:
        return f"of_command {each.name} {split} {shlex.quote(each.command)}"
    paths = " ".join(f'"$ROOT"{quote_pattern(path)}' for path in each.paths)
    return f"of_files {each.name} {split} {'yes' if each.linked else 'no'} {shlex.quote(each.line)} {paths}"


def quote_pattern(pattern: str) -> str:
    """Quote a path pattern for a shell so that nothing but ``*``, ``?`` and brackets is special in it."""
    parts = re.split(r"([*?\[\]])", pattern)
    return "".join(part if i % 2 else shlex.quote(part) for i, part in enumerate(parts) if part)


def parse_identities(text: str) -> dict[str, Any]:
    """Return the hashes by class and path, in the order in which they were printed."""
    found: dict[str, dict[str, tuple[str, ...]]] = {}
    for row in text.splitlines():
        name, path, value = row.split("\t")
        if not re.fullmatch(r"[0-9a-f]{16}", value):
            raise ValueError(f"The identity '{name}' of '{path}' has no hash: {value!r}.")
        paths = found.setdefault(name, {})
        paths[path] = (*paths.get(path, ()), value)
    return {"identities": found}


IDENTITY_FACTS = (Fact("identities", identity_program(IDENTITY_CLASSES.values()), parse_identities),)
"""The identities, hashed; an endpoint that has none of a class lacks the class."""
