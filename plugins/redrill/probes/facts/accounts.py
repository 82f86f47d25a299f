"""Accounts: users, groups and their members, and who may become whom by sudo."""

from typing import Any

from redrill.model.observation import Account
from redrill.probes.facts.fact import Fact
from redrill.probes.facts.volatile import settle_items

# sudo(8) reads no file of the folder whose name has a dot or ends in '~'. No file means that nobody may anything.
_SUDOERS = """
for file in "$ROOT/etc/sudoers" "$ROOT/etc/sudoers.d"/*; do
  case "${file##*/}" in *.*|*~) continue ;; esac
  if [ -f "$file" ]; then cat "$file" && echo || exit 1; fi
done
"""


def _parse_users(text: str) -> dict[str, Any]:
    rows = [line.split(":") for line in text.splitlines() if line.count(":") == 6]
    return {"users": {r[0]: Account(uid=int(r[2]), gid=int(r[3]), home=r[5], shell=r[6]) for r in rows}}


def _parse_groups(text: str) -> dict[str, Any]:
    rows = [line.split(":") for line in text.splitlines() if line.count(":") == 3]
    members = {f"{row[0]} {member}": "" for row in rows for member in filter(None, row[3].split(","))}
    return {
        "groups": {row[0]: int(row[2]) for row in rows},
        "runtime": {"members": settle_items("members", members)},
    }


def _parse_sudoers(text: str) -> dict[str, Any]:
    """Return the rules (sudoers(5)): lines joined, spaces made one, comments left out; '#include' is no comment."""
    lines = (" ".join(line.split()) for line in text.replace("\\\n", " ").splitlines())
    rules = {line: "" for line in lines if line and (not line.startswith("#") or line.startswith("#include"))}
    return {"runtime": {"sudo rules": settle_items("sudo rules", rules)}}


ACCOUNT_FACTS = (
    Fact("users", 'cat "$ROOT/etc/passwd"', _parse_users),
    Fact("groups", 'cat "$ROOT/etc/group"', _parse_groups),
    Fact("sudo rules", _SUDOERS, _parse_sudoers),
)
"""Who there is, and what they may."""
