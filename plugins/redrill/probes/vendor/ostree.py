"""The oracle of ostree, rpm-ostree and bootc systems: the commit that the deployment was checked out from."""

import json
import re
from collections.abc import Iterator, Sequence

from redrill.model.manifest import EntryKind
from redrill.model.vendor import Deviation, DeviationKind, Expected, OracleState, VendorFacts
from redrill.probes.vendor.protocol import Answer, lines_of, sections

_FIND = r"""
sysroot="$ROOT/sysroot"
[ -d "$sysroot/ostree/repo" ] || exit 77
command -v ostree >/dev/null || { echo "There is a repository of ostree, but no 'ostree' to read it." >&2; exit 127; }
status=$(ostree admin status --sysroot="$sysroot") || exit 1
line=$(printf '%s\n' "$status" | sed -n 's/^\* //p' | head -n 1)
[ -n "$line" ] || line=$(printf '%s\n' "$status" | sed -n 's/^  \([^ ]* [0-9a-f]\{64\}\.[0-9]*\).*/\1/p' | head -n 1)
set -- $line
os=$1 serial=$2 commit=${2%%.*}
"""
_QUESTION = (
    _FIND
    + r"""
part() { printf '\036%s\n' "$1"; }
part status; printf '%s\n' "$status"
part bootc; [ -n "$ROOT" ] || ! command -v bootc >/dev/null || bootc status --json || exit 1
part files; ostree ls -R --repo="$sysroot/ostree/repo" "$commit" /
"""
)
_CHECK = (
    _FIND
    + r"""
ostree diff --repo="$sysroot/ostree/repo" "$commit" "$sysroot/ostree/deploy/$os/deploy/$serial" || exit 1
"""
)

_DEPLOYMENT = re.compile(r"[* ] (\S+) ([0-9a-f]{64})\.\d+.*")
_FILE = re.compile(r"([-dl])0?(\d{4}) (\d+) (\d+) +\d+ (/.*)")
_KINDS = {"-": EntryKind.FILE, "d": EntryKind.DIRECTORY, "l": EntryKind.SYMLINK}
_CHANGES = {"M": DeviationKind.MODIFIED, "D": DeviationKind.MISSING, "A": DeviationKind.EXTRA}
_WORDS = {
    DeviationKind.MODIFIED: "not as in the commit",
    DeviationKind.MISSING: "in the commit, but not here",
    DeviationKind.EXTRA: "not in the commit",
}
_OWN = ("/usr/", "/boot/", "/opt/")


class OstreeOracle:
    """Knows types, modes, owners and targets of the whole commit, contents by a comparison on the endpoint.

    /etc is no part of it: its defaults stand in /usr/etc, where every manifest sees them.
    """

    name = "ostree"
    question = _QUESTION
    check = _CHECK

    def hear(self, answer: Answer) -> VendorFacts:
        """Return what the deployment says; ValueError or LookupError when there is none."""
        parts = sections(answer.question)
        name, commit = read_deployment(parts["status"])
        owner = f"{name} {commit[:12]}"
        paths = dict(_parse_files(parts["files"], owner))
        deviations = list(_parse_changes(lines_of(answer.check or ""), owner))
        unlocked = find_unlocked(parts["status"], "\n".join(parts["bootc"]))
        if unlocked:
            deviations.append(Deviation("/usr", DeviationKind.MODIFIED, unlocked, owner))
        state = OracleState(is_known=True, is_thorough=answer.check is not None)
        return VendorFacts(states={self.name: state}, paths=paths, deviations=tuple(deviations), blind=("/etc/**",))


def read_deployment(status: Sequence[str]) -> tuple[str, str]:
    """Return name and commit of the booted deployment, else of the first; LookupError when there is none."""
    found = [match for line in status if (match := _DEPLOYMENT.fullmatch(line))]
    booted = [match for match in found if match[0].startswith("*")]
    if not found:
        raise LookupError(f"'ostree admin status' names no deployment: {' '.join(status)[:200]!r}.")
    return (booted or found)[0][1], (booted or found)[0][2]


def find_unlocked(status: Sequence[str], bootc: str) -> str:
    """Return why changes of /usr would vanish or hide: a writable overlay lies over it; '' when none does."""
    if mode := next((line.split()[-1] for line in status if line.strip().startswith("Unlocked:")), ""):
        return f"the deployment is unlocked ({mode}): what is changed here is in no commit"
    if bootc and json.loads(bootc).get("status", {}).get("usrOverlay"):
        return "a writable overlay lies over /usr: what is changed here is gone with the next boot"
    return ""


def _parse_files(lines: Sequence[str], owner: str) -> Iterator[tuple[str, Expected]]:
    for line in lines:
        match = _FILE.fullmatch(line)
        if match is None:
            raise ValueError(f"'ostree ls' printed {line[:200]!r}, which is no entry.")
        letter, mode, uid, gid, path = match.groups()
        kind, target = _KINDS[letter], None
        if kind is EntryKind.SYMLINK:
            path, _, target = path.partition(" -> ")
        if path.startswith(_OWN):
            bits = None if target is not None else int(mode, 8)
            has_digest = kind is EntryKind.FILE
            yield path, Expected(owner, kind, has_digest, None, bits, uid, gid, target)


def _parse_changes(lines: Sequence[str], owner: str) -> Iterator[Deviation]:
    for line in lines:
        letter, _, path = line.partition("    ")
        kind, path = _CHANGES[letter], "/" + path.lstrip("/")
        if path.startswith(_OWN):
            yield Deviation(path, kind, _WORDS[kind], "" if kind is DeviationKind.EXTRA else owner)
