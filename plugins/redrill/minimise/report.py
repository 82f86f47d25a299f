"""What a search for the minimal restore set has found: as a table, and as a backup manifest to propose."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import yaml

from redrill.analysis.ledger import tell_size
from redrill.model.values import Value, printable
from redrill.private import write_private
from redrill.redaction import redact

FILE = "minimal-restore-set.yml"

COLUMNS = ("path", "what", "entries", "size", "of the backup", "trial", "without it")

_SHOWN = 120
"""Letters of what was wrong without a path."""

_HEAD = """\
# A proposal, found by trials: what the applications of '{endpoint}' NEED to be restored so that they recover, where all
# else is as the image has it. It is not what its owner may want to keep: files of people in /home, for example, are
# needed by no application. An application needs no more than its health checks ask for; check what they ask.
"""


class Part(Value):
    """A path of the result; sizes in bytes, ``trial`` is the one that went without it, ``why`` what was wrong then.

    ``is_whole``: with all that is below it. ``is_absent``: it must not be there, though the image has it.
    """

    path: str
    is_whole: bool = True
    is_absent: bool = False
    entries: int
    size: int
    trial: int | None = None
    why: str = ""


class Report(Value):
    """The result for one endpoint.

    ``recovers``: with the whole backup; ``recovers_with_leaks``: with all that leaked besides, None when that was not
    tried. ``is_minimal``: nothing of what is needed can be left out; ``is_confirmed``: the set recovered twice.
    ``trouble`` is why the search ended early, '' when it did not.
    """

    endpoint: str
    run: str
    snapshot: str
    image: str
    applications: tuple[str, ...]
    entries: int
    size: int
    trials: int
    recovers: bool = False
    why_not: str = ""
    recovers_with_leaks: bool | None = None
    needed: tuple[Part, ...] = ()
    leaked: tuple[Part, ...] = ()
    unneeded: tuple[Part, ...] = ()
    is_minimal: bool = False
    is_confirmed: bool = False
    notes: tuple[str, ...] = ()
    trouble: str = ""

    @property
    def is_known(self) -> bool:
        """Whether there is an answer that can be relied on."""
        return not self.trouble and self.is_minimal and self.is_confirmed

    def rows(self) -> Iterator[list[str]]:
        """Yield the rows of the table under ``COLUMNS``."""
        kinds = (("necessary", self.needed), ("LEAKED and necessary", self.leaked), ("not necessary", self.unneeded))
        for what, parts in kinds:
            for part in parts:
                is_guess = part.trial is None and what != "not necessary"
                word = f"{'perhaps ' if is_guess else ''}{what}{' to be removed' if part.is_absent else ''}"
                share = f"{part.size / self.size:.1%}" if self.size and what != "LEAKED and necessary" else "-"
                trial = "-" if part.trial is None else str(part.trial)
                path = part.path if part.is_whole else f"{part.path} (itself)"
                # What is cut off must not leave the beginning of a secret, which nobody would know again.
                why = redact(" ".join(printable(part.why).split()))[:_SHOWN]
                yield [printable(path), word, str(part.entries), tell_size(part.size), share, trial, why]

    def conclude(self) -> str:
        """Return the result in one sentence."""
        entries, size = sum(part.entries for part in self.needed), sum(part.size for part in self.needed)
        share = f"{entries} of {self.entries} entries, {tell_size(size)} of {tell_size(self.size)}"
        if self.trouble:
            return f"INCOMPLETE after {self.trials} trials: {self.trouble}"
        if not (self.recovers or self.recovers_with_leaks):
            return f"'{self.endpoint}' does not recover from its backup: {printable(self.why_not)}"
        if not self.is_confirmed:
            return f"NOT CONFIRMED after {self.trials} trials: the set that was found did not recover a second time."
        what = "minimal" if self.is_minimal else "not proven minimal"
        needed = f"{len(self.needed)} paths of the backup ({share}) suffice; this set is {what}"
        if self.leaked:
            names = ", ".join(printable(part.path) for part in self.leaked)
            return f"'{self.endpoint}' needs what no backup has: {names}. With that, {needed} ({self.trials} trials)."
        return f"To recover '{self.endpoint}', {needed} ({self.trials} trials)."


def write_proposal(report: Report, run_dir: Path) -> Path:
    """Write the proposed backup manifest into the folder of a run and return the file."""
    about = report.model_dump(include={"endpoint", "run", "image", "snapshot", "trials", "is_minimal", "is_confirmed"})
    content = {
        **about,
        "applications": list(report.applications),
        "verdict": report.conclude(),
        "include": _told(part for part in report.needed if not part.is_absent),
        "remove": _told(part for part in report.needed if part.is_absent),
        "include_from_outside_the_backup": _told(report.leaked),
        "not_needed": _told(report.unneeded, is_claimed=False),
        "notes": list(report.notes),
    }
    text = yaml.safe_dump({k: v for k, v in content.items() if v != []}, sort_keys=False, width=120)
    return write_private(run_dir / FILE, _HEAD.format(endpoint=report.endpoint) + text)


def _told(parts: Iterable[Part], *, is_claimed: bool = True) -> list[dict[str, object]]:
    told = []
    for part in parts:
        facts: dict[str, object] = {"path": part.path, "entries": part.entries, "bytes": part.size}
        if not part.is_whole:
            facts["only"] = "the directory itself"
        if part.trial is not None:
            facts |= {"trial_without_it": part.trial, "then": printable(part.why)}
        elif is_claimed:
            facts["proven"] = False
        told.append(facts)
    return told
