"""Where the restored configuration names the endpoint itself: searched on the endpoint, told as path, line and kind."""

import hashlib
from collections.abc import Sequence
from typing import Any

from redrill.model.host_reference import HostReference, TokenKind
from redrill.probes.facts.fact import Fact
from redrill.probes.facts.identity import ONLY_ROOT, PHYSICAL_LINKS, quote_pattern

MOST_HITS = 2000
SECONDS = 8
SEARCHED = ("/etc", "/var/spool/cron", "/home/*/.config/systemd")
"""Configuration, units and cron; what else an endpoint declares as its own references is added."""

# Short words are common words: an endpoint called 'db' would find itself everywhere. A link of a directory that stands
# for '/' would lead to the controller's own files.
_TOKENS = r"""
cd "${ROOT-}/" || exit
own() {
  while IFS= read -r value; do [ ${#value} -lt "$2" ] || printf '%s\t%s\n' "$1" "$value"; done
}
text_of() {
  if [ -f "$1" ] && { [ -z "$ROOT" ] || [ ! -h "$1" ]; }; then cat "$1"; fi
}
tokens() {
  name=$(text_of etc/hostname | sed -n '/^[^#]/{s/[[:space:]].*//;p;q;}')
  short=${name%%.*}
  if [ "$short" != localhost ]; then
    { printf '%s\n' "$name"; text_of etc/hosts | sed 's/#.*//' | tr -s ' \t' '\n\n'; } |
      grep -iF "$short." | sort -u | own 'full name' 5
    printf '%s\n' "$short" | own name 3
  fi
  text_of etc/machine-id | own 'machine id' 32
  [ -z "$ROOT" ] || return 0
  if command -v ip >/dev/null; then
    ip -o addr show scope global | awk '{ sub("/.*", "", $4); print $4 }'
  else
    awk '/32 host LOCAL/ { print last } { last = $2 }' /proc/net/fib_trie | grep -v '^127\.'
  fi | sort -u | own address 7
  physical_links | while read -r link; do cat "/sys/class/net/$link/address"; done | sort -u | own 'hardware address' 17
  physical_links | own interface 3
  for folder in by-uuid by-partuuid by-id; do ls "/dev/disk/$folder" 2>/dev/null; done |
    grep -v '^dm-name-' | own 'disk id' 8
}
TOKENS=$(tokens)
export TOKENS
printf '%s\n\036\n' "$TOKENS"
[ -n "$TOKENS" ] || exit 0
"""
# Which files hold a token at all is told fast by grep; where, and whether as a word of its own, by awk. Comments bind
# nothing to anything.
_SEARCH = r"""
words=$(printf '%s\n' "$TOKENS" | cut -f 2)
set --
for path in @STARTS@; do if [ -e "$path" ]; then set -- "$@" "$path"; fi; done
[ $# -gt 0 ] || exit 0
exec 3>&1
find "$@" -xdev -path ./etc/ssl/certs -prune -o -type f -size -@KILOBYTES@k -print0 | {
  timeout @SECONDS@ xargs -0 -r grep -lZIFwi -e "$words" -- 2>/dev/null
  [ $? -ne 124 ] || echo late >&3
} | xargs -0 -r awk '
BEGIN {
  count = split(ENVIRON["TOKENS"], rows, "\n")
  for (i = 1; i <= count; i++) { split(rows[i], row, "\t"); kind[i] = row[1]; token[i] = tolower(row[2]) }
}
function holds(line, word,    from, at, before, after) {
  for (from = 1; (at = index(substr(line, from), word)) > 0; from = at + 1) {
    at += from - 1
    before = at > 1 ? substr(line, at - 1, 1) : " "
    after = substr(line, at + length(word), 1)
    if (before !~ /[a-z0-9_-]/ && after !~ /[a-z0-9_-]/) return 1
  }
  return 0
}
/^[ \t]*([#;]|\/\/)/ { next }
{
  line = tolower($0)
  full = 0
  for (i = 1; i <= count; i++) {
    if (full && kind[i] == "name") continue
    if (index(line, token[i]) && holds(line, token[i])) {
      if (kind[i] == "full name") full = 1
      if (++hits[FILENAME, i] <= 20) printf "%d\t%d\t%s\n", i, FNR, FILENAME
    }
  }
}' | head -n @HITS@
"""


def reference_fact(more: Sequence[str] = (), kilobytes: int = 512) -> Fact:
    """Return the fact that searches configuration and ``more`` path patterns, in text files up to that size."""
    starts = " ".join("." + quote_pattern(path) for path in (*SEARCHED, *more))
    search = _SEARCH.replace("@STARTS@", starts).replace("@SECONDS@", str(SECONDS))
    search = search.replace("@KILOBYTES@", str(kilobytes)).replace("@HITS@", str(MOST_HITS + 1))
    return Fact("references", ONLY_ROOT + PHYSICAL_LINKS + _TOKENS + search, parse_references)


def parse_references(text: str) -> dict[str, Any]:
    """Return the references and the endpoint's own tokens, hashed, by kind."""
    listing, separator, hits = text.partition("\x1e")
    if not separator:
        raise ValueError("The search for host references ended before it began.")
    tokens = [_parse_token(line) for line in listing.splitlines() if line]
    found: dict[tuple[str, TokenKind, str], list[int]] = {}
    rows = hits.strip("\n").splitlines()
    if "late" in rows:
        raise ValueError(
            f"The search for host references took longer than {SECONDS} s; declare less under 'references'."
        )
    if len(rows) > MOST_HITS:
        raise ValueError(f"There are more than {MOST_HITS} host references; declare less under 'references'.")
    for row in rows:
        index, line, path = row.split("\t", 2)
        found.setdefault((path.removeprefix("."), *tokens[int(index) - 1]), []).append(int(line))
    references = (
        HostReference(path=path, kind=kind, token=token, lines=tuple(lines))
        for (path, kind, token), lines in sorted(found.items())
    )
    own: dict[str, tuple[str, ...]] = {}
    for kind, token in tokens:
        own[kind.value] = (*own.get(kind.value, ()), token)
    return {"references": tuple(references), "own_tokens": own}


def _parse_token(line: str) -> tuple[TokenKind, str]:
    kind, _, value = line.partition("\t")
    return TokenKind(kind), hashlib.sha256(value.lower().encode("utf-8", "surrogateescape")).hexdigest()[:16]
