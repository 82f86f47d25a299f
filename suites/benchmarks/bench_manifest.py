"""The manifest of a whole endpoint over SSH, against the bare tools on the endpoint, AIDE, and the next manifest."""

import time
from pathlib import Path

from bench_lab import BenchLab
from carried import carry
from measure import BrokenBenchmarkError, Row, seconds_of, take_turns

from redrill.drill.evidence import SUFFIX, write_manifest
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline
from redrill.probes.files import Seen, look_at_files
from redrill.probes.known_files import KnownFiles
from redrill.probes.manifest_stream import YOUNG_SECONDS
from redrill.probes.observe import AREAS, VOLATILE_PATHS

ENDPOINT = "web-1"
_SECONDS = 300.0

# One reading of names and facts, one of contents; what it prints goes nowhere.
_PRUNE = " ".join(f"-path .{path} -prune -o" for path in VOLATILE_PATHS)
_FLOOR = (
    f"cd /; find . -xdev {_PRUNE} -printf '%p\\0%y %m %U %G %s %T@ %n %D:%i\\0%l\\0' >/dev/null; "
    f"find . -xdev {_PRUNE} -type f -print0 | xargs -0 -r -P 2 -n 200 sha256sum -z >/dev/null"
)

_AIDE_HOME = "/run/aide"
# What our manifest holds of an entry, with the same digest, on both processors.
_AIDE_CONFIG = f"""
database_in=file:{_AIDE_HOME}/aide.db
database_out=file:{_AIDE_HOME}/aide.db
gzip_dbout=no
num_workers=2
report_url=stdout
Facts=ftype+p+u+g+s+m+n+l+acl+xattrs+e2fsattrs+sha256
/ Facts
""" + "".join(f"!{path}\n" for path in VOLATILE_PATHS)
_AIDE = f"LD_LIBRARY_PATH={_AIDE_HOME} {_AIDE_HOME}/aide --config={_AIDE_HOME}/aide.conf"


def bench_manifest(lab: BenchLab) -> list[Row]:
    """Measure our manifest, the next one, the floor and an AIDE check in turns on one endpoint."""
    with lab.machine(ENDPOINT) as machine:
        _install_aide(machine)
        time.sleep(YOUNG_SECONDS + 1)  # the endpoint was made just now, and what is as young is read again
        seen = _observe(machine, lab.folder)
        known = seen.known
        if known is None:
            raise BrokenBenchmarkError("Nothing could be remembered of the endpoint's files.")

        def run_floor() -> object:
            return machine.run(_FLOOR, Deadline.after(_SECONDS)).checked()

        sides = {
            "our manifest": lambda: seconds_of(lambda: _observe(machine, lab.folder)),
            "the next one": lambda: seconds_of(lambda: _observe(machine, lab.folder, known)),
            "find and sha256sum": lambda: seconds_of(run_floor),
            "aide --check": lambda: seconds_of(lambda: _check_by_aide(machine)),
        }
        ours, again, floor, aide = take_turns(max(7, lab.rounds), sides, lab.say).values()
        machine.run(f"rm -rf {_AIDE_HOME}", Deadline.after(_SECONDS)).checked()
    count = sum(len(manifest.lines) for manifest in seen.manifests)
    what, shown = f"manifest of an endpoint ({count} entries)", f"{ours:.2f} s"
    return [
        Row(what, shown, f"{floor:.2f} s", ours / floor, "<= 1.2"),
        Row("  an AIDE check against it", shown, f"{aide:.2f} s", aide / ours, ">= 3"),
        Row("  it against the next one, incremental", f"{again:.2f} s", shown, ours / again, ">= 5"),
    ]


def _observe(machine: SshMachine, folder: Path, known: KnownFiles | None = None) -> Seen:
    """Look at all files and write the evidence of it, as an observation does."""
    seen = look_at_files(machine, tuple(AREAS.values()), Deadline.after(_SECONDS), known)
    for name, manifest in zip(AREAS, seen.manifests, strict=True):
        if manifest.unreadable:
            raise BrokenBenchmarkError(f"The manifest could not read {manifest.unreadable[:5]}.")
        write_manifest(manifest, folder / f"{name}{SUFFIX}")
    if known and not seen.reused:
        raise BrokenBenchmarkError("The next manifest did not take over a single digest.")
    return seen


_DIFFERS = 0b111
"""What AIDE's exit status says of entries that are new, gone or changed; on a live endpoint some are."""


def _check_by_aide(machine: SshMachine) -> None:
    result = machine.run(f"{_AIDE} --check", Deadline.after(_SECONDS))
    if result.exit_status & ~_DIFFERS:
        raise BrokenBenchmarkError(f"AIDE's check ended with {result.exit_status}: {result.text[-2000:]}")


def _install_aide(machine: SshMachine) -> None:
    """Put this machine's AIDE into the endpoint's memory, and make its database."""
    carry(machine, "aide", _AIDE_HOME)
    deadline = Deadline.after(_SECONDS)
    machine.send(f"cat >{_AIDE_HOME}/aide.conf", iter([_AIDE_CONFIG.encode()]), deadline).checked()
    machine.run(f"{_AIDE} --init", deadline).checked()
