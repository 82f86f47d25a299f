"""The comparison of two manifests of a million entries, against ``diff`` of two sorted text files of the same."""

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from bench_lab import BenchLab
from measure import BrokenBenchmarkError, Row, seconds_of, take_turns

from redrill.drill.evidence import SUFFIX
from redrill.drill.line_file import write_lines
from redrill.model.manifest import Entry, EntryKind, ManifestLines, entry_line

ENTRIES = 1_000_000
CHANGED = 1_000
LIMIT = 1_000
"""Megabytes that the comparison may take."""

# In a process of its own, as diff is; the time that Python takes to start counts. What getrusage says of memory would
# begin with that of the process that forked.
_COMPARE = """
import re, sys
from pathlib import Path
from redrill.drill.evidence import read_differing
from redrill.model.manifest import compare
one, other = read_differing(Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]))
print(len(compare(one, other)), re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
"""


def bench_diff(lab: BenchLab) -> list[Row]:
    """Measure both comparisons in turns; every thousandth entry has another content, or is gone, or is new."""
    folder = lab.folder / "diff"
    folder.mkdir()
    lab.say("  writing two manifests of 1,000,000 entries")
    for number, name in enumerate(("one", "other")):
        lines = list(ManifestLines(sorted(_lines(is_changed=bool(number)))).dump())
        write_lines(folder / f"{name}{SUFFIX}", lines)
        (folder / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    peaks: list[float] = []
    sides = {
        "our comparison": lambda: seconds_of(lambda: peaks.append(_compare(folder))),
        "diff": lambda: seconds_of(lambda: _diff(folder)),
    }
    ours, peer = take_turns(max(5, lab.rounds), sides, lab.say).values()
    return [
        Row("diff of two manifests, 1,000,000 entries", f"{ours:.2f} s", f"{peer:.2f} s", ours / peer, "<= 5"),
        Row("  its memory, peak", f"{max(peaks):.0f} MB", f"{LIMIT} MB", max(peaks) / LIMIT, "<= 1"),
    ]


def _lines(*, is_changed: bool) -> Iterator[str]:
    for number in range(ENTRIES):
        kind = number % (ENTRIES // CHANGED)
        is_other = is_changed and kind == 0
        if is_other and number % 3 == 1:
            continue
        folder = f"/usr/share/package-{number % 4099}/part-{number % 31}"
        name = f"new-{number}" if is_other and number % 3 == 2 else f"file-{number}.txt"
        digest = hashlib.sha256(b"%d %d" % (number, is_other)).hexdigest()
        mtime = 1_700_000_000_000_000_000 + number * 1_234_567
        yield entry_line(Entry(f"{folder}/{name}", EntryKind.FILE, 0o644, 0, 0, number, mtime, digest))


def _compare(folder: Path) -> float:
    """Compare by our library and return its peak of memory in megabytes."""
    names = (f"one{SUFFIX}", f"other{SUFFIX}")
    command = [sys.executable, "-c", _COMPARE, str(folder), *names]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    differences, peak = map(int, done.stdout.split())
    if differences < CHANGED:
        raise BrokenBenchmarkError(f"The comparison found {differences} differences of at least {CHANGED}.")
    return peak * 1024 / 1e6


def _diff(folder: Path) -> None:
    done = subprocess.run(["diff", "one.txt", "other.txt"], cwd=folder, stdout=subprocess.DEVNULL, check=False)
    if done.returncode != 1:
        raise BrokenBenchmarkError(f"'diff' ended with {done.returncode}.")
