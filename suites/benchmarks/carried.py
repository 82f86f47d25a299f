"""Programs of this machine on an endpoint that lacks them: carried there with their libraries, into its memory."""

import shutil
import subprocess
from pathlib import Path

from measure import BrokenBenchmarkError

from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline

_SECONDS = 300.0


def carry(machine: SshMachine, name: str, home: str) -> str:
    """Put a program with the libraries that it needs into the folder ``home`` there; return how to call it."""
    program = shutil.which(name)
    if program is None:
        raise BrokenBenchmarkError(f"'{name}' is missing on this machine; install it.")
    listed = subprocess.run(["ldd", program], capture_output=True, text=True, check=False).stdout.splitlines()
    libraries = [Path(line.split(" => ")[1].split()[0]) for line in listed if " => /" in line]
    own = [path for path in libraries if path.name.split(".")[0] not in ("libc", "libm")]
    files = [program, *map(str, own)]
    packed = subprocess.run(["tar", "-ch", "--transform=s|.*/||", *files], capture_output=True, check=True).stdout
    deadline = Deadline.after(_SECONDS)
    machine.send(f"mkdir -p {home} && tar -xC {home} -f -", iter([packed]), deadline).checked()
    return f"env LD_LIBRARY_PATH={home} {home}/{name}"
