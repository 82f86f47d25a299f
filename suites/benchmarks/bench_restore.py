"""The restore of one real tree over SSH, against what else brings it there: tar over ssh, rsync, restic over sftp."""

import os
import shlex
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bench_lab import BenchLab
from carried import carry
from measure import BrokenBenchmarkError, Row, seconds_of, take_turns

from redrill.machine.local_machine import LocalMachine
from redrill.machine.protocol import Result
from redrill.machine.ssh_machine import SshMachine
from redrill.model.deadline import Deadline
from redrill.model.fleet import Backend
from redrill.model.manifest import Manifest
from redrill.model.values import STATE_PATHS
from redrill.provisioners.nspawn import NspawnProvisioner
from redrill.repositories.protocol import Snapshot
from redrill.repositories.restore import restore_snapshot, restore_tree
from redrill.repositories.tar import TarRepository
from selftests.support.sshd import Sshd, running_sshd

ENDPOINT = "web-1"
BULK = "/home/bench"
"""Where the endpoint gets a copy of its own programs and documents: thousands of small files and some large ones."""

_SOURCES = "/usr/bin /usr/share /usr/lib/postgresql /usr/lib/python3*"
_TARGET = "/run/bench-target"
"""Where every side puts the tree: in the memory of the endpoint, for a disk that others use, too, is never the same."""

_TOOLS = "/run/bench-tools"
_SECONDS = 600.0
_MEMBERS = [path.strip("/") for path in STATE_PATHS]


def bench_restore(lab: BenchLab) -> list[Row]:
    """Measure each way in turns; ours starts from an endpoint with little state, the others from an empty folder."""
    with lab.machine(ENDPOINT) as machine:
        _run(machine, f"mkdir -p {BULK} && cp -a {_SOURCES} {BULK}/")
        stored = store(lab, machine)
        lab.say(f"  {len(stored.manifest.entries)} entries, {stored.size / 1e6:.0f} MB")
        options = (f"ListenAddress {_bridge_address(lab)}", "Subsystem sftp internal-sftp")
        with running_sshd(lab.folder / "vault", *options) as vault:
            ways = Ways(lab, machine, stored, vault)
            sides: dict[str, Callable[[], float]] = {
                "our restore": ways.ours,
                "tar over ssh": ways.plain_tar,
                "rsync over ssh": ways.rsync,
                "restic over sftp": ways.restic,
            }
            ours, plain, by_rsync, by_restic = take_turns(max(3, lab.rounds), sides, lab.say).values()
    shown = [f"{stored.size / 1e6 / seconds:.0f} MB/s" for seconds in (ours, plain, by_rsync, by_restic)]
    return [
        Row(
            f"restore over SSH ({stored.size / 1e6:.0f} MB), tar | ssh tar", shown[0], shown[1], plain / ours, ">= 0.9"
        ),
        Row("  rsync -aHAXS over ssh", shown[0], shown[2], by_rsync / ours, "> 1"),
        Row("  restic restore over sftp", shown[0], shown[3], by_restic / ours, "> 1"),
    ]


@dataclass(frozen=True, slots=True)
class Stored:
    """The state of an endpoint in our repository, and unpacked in ``tree`` for everybody else."""

    repository: TarRepository
    snapshot: Snapshot
    manifest: Manifest
    tree: Path

    @property
    def size(self) -> int:
        """How many bytes its files have."""
        return sum(entry.size for entry in self.manifest.entries.values())

    @property
    def count(self) -> int:
        """How many entries are in the bulk."""
        return sum(path.startswith(f"{BULK}/") for path in self.manifest.entries)


def store(lab: BenchLab, machine: SshMachine) -> Stored:
    """Back the endpoint up, and unpack that here."""
    backend = Backend.model_validate({"kind": "tar", "directory": str(lab.folder / "backups")})
    endpoint = lab.fleet.endpoint(ENDPOINT).model_copy(update={"repository": backend, "churn": ("/var/**",)})
    repository = TarRepository(lab.fleet, endpoint)
    snapshot = repository.create(machine, "bench", Deadline.after(_SECONDS))
    manifest = repository.verify(snapshot, Deadline.after(_SECONDS))
    tree = lab.folder / "tree"
    for name in _MEMBERS:
        (tree / name).mkdir(parents=True)
    with repository.open(snapshot, Deadline.after(_SECONDS)) as stream:
        restore_tree(LocalMachine("tree", tree), stream, Deadline.after(_SECONDS))
    return Stored(repository, snapshot, manifest, tree)


class Ways:
    """Each method brings the whole state to the endpoint once and returns how many seconds that took."""

    def __init__(self, lab: BenchLab, machine: SshMachine, stored: Stored, vault: Sshd) -> None:
        self._lab = lab
        self._machine = machine
        self._endpoint = lab.fleet.endpoint(ENDPOINT)
        self._stored = stored
        self._folder = lab.folder / "client"
        self._folder.mkdir()
        self._alias = machine.write_client_config(self._folder)
        self._rsync = carry(machine, "rsync", _TOOLS)
        self._restic = carry(machine, "restic", _TOOLS)
        self._vault = f"sftp:vault:{self._store_for_restic()}"
        self._introduce(vault)

    def ours(self) -> float:
        """Restore as the drill of a real endpoint does: connect, unpack beside the old state, swap."""
        stored = self._stored

        def work() -> None:
            with closing(_Elsewhere(ENDPOINT, self._endpoint.ssh, self._lab.location(ENDPOINT))) as machine:
                deadline = Deadline.after(_SECONDS)
                restore_snapshot(machine, stored.repository, stored.snapshot, deadline, stored.manifest)

        return self._timed(work)

    def plain_tar(self) -> float:
        """Copy by the oldest way of all."""
        ssh = shlex.join([*self._ssh(), self._alias, f"tar --numeric-owner -C {_TARGET} -xpf -"])
        return self._pipe(f"tar --numeric-owner -C {self._stored.tree} -cf - {' '.join(_MEMBERS)} | {ssh}")

    def rsync(self) -> float:
        """Copy by rsync with all that it can keep."""
        command = ["rsync", "-aHAXS", "--numeric-ids", "-e", shlex.join(self._ssh()), f"--rsync-path={self._rsync}"]
        return self._pipe(shlex.join([*command, f"{self._stored.tree}/", f"{self._alias}:{_TARGET}/"]))

    def restic(self) -> float:
        """Have the endpoint pull the snapshot from a repository on this machine, with an empty cache."""
        command = (
            f"RESTIC_PASSWORD=bench {self._restic} -q -r {self._vault} --cache-dir {_TOOLS}/cache "
            f"-o sftp.command='ssh -F {_TOOLS}/config vault -s sftp' restore latest --target {_TARGET}"
        )
        _run(self._machine, f"rm -rf {_TOOLS}/cache")
        return self._pipe(shlex.join([*self._ssh(), self._alias, command]))

    def _timed(self, work: Callable[[], object]) -> float:
        folders = " ".join(f"{_TARGET}/{name}" for name in _MEMBERS)
        _run(self._machine, f"mkdir {_TARGET} && mount -t tmpfs -o mode=755 bench {_TARGET} && mkdir {folders}")
        try:
            seconds = seconds_of(work)
            count = int(_run(self._machine, f"find {_TARGET}{BULK} -mindepth 1 -printf . | wc -c"))
            if count != self._stored.count:
                raise BrokenBenchmarkError(f"{count} of {self._stored.count} entries are there after a restore.")
        finally:
            _run(self._machine, f"umount {_TARGET} && rmdir {_TARGET}")
        return seconds

    def _pipe(self, command: str) -> float:
        return self._timed(lambda: _run_here(["bash", "-o", "pipefail", "-c", command]))

    def _ssh(self) -> list[str]:
        return ["ssh", "-F", str(self._folder / "ssh_config")]

    def _store_for_restic(self) -> Path:
        folder = self._lab.folder / "restic"
        restic = ["env", "RESTIC_PASSWORD=bench", "restic", "-q", "--no-cache", "-r", str(folder)]
        _run_here([*restic, "init"])
        _run_here(["sh", "-c", f"cd {self._stored.tree} && exec {shlex.join(restic)} backup {' '.join(_MEMBERS)}"])
        return folder

    def _introduce(self, vault: Sshd) -> None:
        """Tell the endpoint how to log in to the server that has restic's repository."""
        config = (
            f"Host vault\n  HostName {_bridge_address(self._lab)}\n  Port {vault.port}\n  User {vault.user}\n"
            f"  IdentityFile {_TOOLS}/id\n  IdentitiesOnly yes\n  BatchMode yes\n  StrictHostKeyChecking yes\n"
            f"  HostKeyAlias vault\n  UserKnownHostsFile {_TOOLS}/known_hosts\n"
        )
        files = {"config": config, "known_hosts": f"vault {vault.host_key}\n", "id": vault.key.read_text()}
        for name, text in files.items():
            command = f"umask 077; cat > {_TOOLS}/{name}"
            self._machine.send(command, iter([text.encode()]), Deadline.after(_SECONDS)).checked()


class _Elsewhere(SshMachine):
    """An endpoint on which the root of the state paths is the target of the benchmark."""

    def send(self, command: str, source: Iterator[bytes] | BinaryIO, deadline: Deadline) -> Result:
        return super().send(f"export ROOT={_TARGET}; {command}", source, deadline)


def _bridge_address(lab: BenchLab) -> str:
    """Return the address of this machine on the bridge of the lab."""
    place = NspawnProvisioner(lab.fleet, lab.fleet.endpoint(ENDPOINT)).place
    shown = _run_here(["ip", "-br", "-4", "address", "show", "dev", place.lab.bridge])
    return shown.split()[2].partition("/")[0]


def _run(machine: SshMachine, command: str) -> str:
    return machine.run(command, Deadline.after(_SECONDS)).checked().text


def _run_here(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})
    if done.returncode != 0:
        raise BrokenBenchmarkError(f"{shlex.join(command)[:300]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
