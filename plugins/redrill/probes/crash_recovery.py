"""What the logs of a system say of how its databases came to terms with a crash."""

import shlex
from collections.abc import Iterator, Mapping

from redrill.machine.protocol import Machine
from redrill.model.deadline import Deadline

SHOWN = 20
"""Lines that are kept, the last ones."""

_LONGEST = 300
_FOLDER = "/var/log/"

# Messages of PostgreSQL 15 (xlogrecovery.c, xlog.c) and Redis 7 (aof.c).
_WORDS = (
    "database system was (interrupted|not properly shut down)",
    "redo (starts at|done at|is not required)",
    "checkpoint record",
    "PANIC:",
    "(loaded from|reading the) append only file",
    "short read while loading the AOF",
    "aof-load-truncated",
    "Truncating the AOF",
)
_PATTERN = shlex.quote("|".join(_WORDS))
_IN_FILES = (
    f"cd {_FOLDER} && find . -xdev -type f ! -path './journal/*' ! -name '*.gz' "
    f"-exec grep -aEHZb -e {_PATTERN} {{}} + | tail -c 100000"
)
_IN_JOURNAL = f"journalctl -b -q -o cat --no-pager | grep -aE -e {_PATTERN} | tail -n {SHOWN}"


def read_crash_recovery(machine: Machine, known: Mapping[str, int], deadline: Deadline) -> list[str]:
    """Return what files in /var/log and the journal of this boot say of recoveries, as 'file: line', the last 20.

    ``known`` are the sizes in bytes of files as they were restored: what stands in them up to there is of earlier
    times. Nothing is returned where nothing is said, or nobody can look.
    """
    files, journal = machine.batch([_IN_FILES, _IN_JOURNAL], deadline)
    said = [f"journal: {line}" for line in _text(journal.stdout).splitlines()]
    return [line[:_LONGEST] for line in (*_after(files.stdout, known), *said)][-SHOWN:]


def _after(output: bytes, known: Mapping[str, int]) -> Iterator[str]:
    for line in output.splitlines():
        name, _, rest = line.partition(b"\0")
        offset, _, text = rest.partition(b":")
        path = _FOLDER + _text(name.removeprefix(b"./"))
        if offset.isdigit() and int(offset) >= known.get(path, 0):
            yield f"{path}: {_text(text)}"


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace")
