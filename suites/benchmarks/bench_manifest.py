"""The manifest of /usr and /etc over SSH, against the bare tools on the endpoint and against AIDE."""

import shutil
import subprocess
from pathlib import Path

from bench_lab import BenchLab
from measure import BrokenBenchmarkError, Row, seconds_of, take_turns

from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline
from redrill.probes.files import read_manifest

ENDPOINT = "web-1"
PATHS = ("/usr", "/etc")
_SECONDS = 300.0

# One reading of names and facts, one of contents; what it prints goes nowhere.
_FLOOR = (
    "find /usr /etc -xdev -printf '%p\\0%y %m %U %G %s %T@ %n %D:%i\\0%l\\0' >/dev/null; "
    "find /usr /etc -xdev -type f -print0 | xargs -0 -r -P 2 -n 200 sha256sum -z >/dev/null"
)

_AIDE_HOME = "/run/aide"
# What our manifest holds of an entry, with the same digest, on both processors.
_AIDE_CONFIG = f"""
database_in=file:{_AIDE_HOME}/aide.db
database_out=file:{_AIDE_HOME}/aide.db
gzip_dbout=no
num_workers=2
report_url=stdout
Facts=ftype+p+u+g+s+m+n+l+acl+xattrs+sha256
/usr Facts
/etc Facts
"""
_AIDE = f"LD_LIBRARY_PATH={_AIDE_HOME} {_AIDE_HOME}/aide --config={_AIDE_HOME}/aide.conf"


def bench_manifest(lab: BenchLab) -> list[Row]:
    """Measure our manifest, its floor and an AIDE check in turns on one endpoint."""
    with lab.machine(ENDPOINT) as machine:
        _install_aide(machine)
        count = len(_read(machine))

        def run_floor() -> object:
            return machine.run(_FLOOR, Deadline.after(_SECONDS)).checked()

        sides = {
            "our manifest": lambda: seconds_of(lambda: _read(machine)),
            "find and sha256sum": lambda: seconds_of(run_floor),
            "aide --check": lambda: seconds_of(lambda: _check_by_aide(machine)),
        }
        ours, floor, aide = take_turns(max(5, lab.rounds), sides, lab.say).values()
        machine.run(f"rm -rf {_AIDE_HOME}", Deadline.after(_SECONDS)).checked()
    what, shown = f"manifest of /usr and /etc ({count} entries)", f"{ours:.2f} s"
    return [
        Row(what, shown, f"{floor:.2f} s", ours / floor, "<= 1.5"),
        Row("  against an AIDE check", shown, f"{aide:.2f} s", ours / aide, "< 1"),
    ]


def _read(machine: SshMachine) -> object:
    manifest = read_manifest(machine, PATHS, (), Deadline.after(_SECONDS))
    if manifest.unreadable:
        raise BrokenBenchmarkError(f"The manifest could not read {manifest.unreadable[:5]}.")
    return manifest.entries


def _check_by_aide(machine: SshMachine) -> None:
    result = machine.run(f"{_AIDE} --check", Deadline.after(_SECONDS))
    if result.exit_status != 0:
        raise BrokenBenchmarkError(f"AIDE's check ended with {result.exit_status}: {result.text[-2000:]}")


def _install_aide(machine: SshMachine) -> None:
    """Put this machine's AIDE with the libraries that it needs into the endpoint's memory, and make its database."""
    program = shutil.which("aide")
    if program is None:
        raise BrokenBenchmarkError("'aide' is missing; install the Debian package 'aide'.")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=True).stdout.splitlines()
    libraries = [Path(line.split(" => ")[1].split()[0]) for line in listed if " => /" in line]
    own = [path for path in libraries if path.name.split(".")[0] not in ("libc", "libm")]
    files = [Path(program), *own]
    packed = subprocess.run(
        ["tar", "-ch", "--transform=s|.*/||", *map(str, files)], capture_output=True, check=True
    ).stdout
    deadline = Deadline.after(_SECONDS)
    machine.send(f"mkdir -p {_AIDE_HOME} && tar -xC {_AIDE_HOME} -f -", iter([packed]), deadline).checked()
    machine.send(f"cat >{_AIDE_HOME}/aide.conf", iter([_AIDE_CONFIG.encode()]), deadline).checked()
    machine.run(f"{_AIDE} --init", deadline).checked()
