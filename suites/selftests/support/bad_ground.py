"""Where bad inputs are tried: a good fleet of directories, and an SSH server; each test spoils its own copy."""

import struct
import subprocess
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from redrill.drill.authorize import remember_plan
from redrill.drill.planning import make_plan
from redrill.loader import load_fleet
from selftests.support.guarded import put_token, token_of, wipe
from selftests.support.sshd import Sshd
from selftests.support.trees import root_of, tree_fleet

FAR = """\
fleet: far
environment: lab
disposable: true
guards: {{limits: {{most_of_role: 100}}, kill_switch: {{file: stop}}}}
locks: {{kind: flock, folder: locks}}
defaults:
  expendable: true
  image: {{name: none, version: "1"}}
  provisioner: {{kind: counted-host}}
  repository: {{kind: tar, directory: backups}}
endpoints:
  far-1:
    address: "{address}"
    ssh: {{user: {user}, port: {port}, key: {key}, known_hosts: known, config: config{jump}}}
"""
"""A fleet whose only endpoint is behind SSH."""


@dataclass(frozen=True)
class Ground:
    """A fleet that would be drilled as it is, ready to be spoilt; ``undo`` takes back what is not below ``folder``."""

    folder: Path
    sshd: Sshd
    environment: dict[str, str] = field(default_factory=dict)
    undo: ExitStack = field(default_factory=ExitStack)

    @classmethod
    def prepare(cls, folder: Path, sshd: Sshd) -> "Ground":
        """Bring up a fleet of three directories below ``folder``, whose wipes are counted."""
        ground = cls(folder, sshd)
        tree_fleet(folder)
        ground.edit("kind: tree", "kind: counted-tree")
        ground.edit("guards:", "guards:\n  kill_switch: {file: stop}\n")
        (folder / "no-program").write_text("echo it ran\n")
        return ground

    def copy(self, folder: Path) -> "Ground":
        """Return the same fleet in an empty folder, which is quicker than to bring one up."""
        subprocess.run(["cp", "-a", f"{self.folder}/.", folder], check=True)
        copied = Ground(folder, self.sshd)
        copied.fleet.write_text(copied.fleet.read_text().replace(str(self.folder), str(folder)))
        return copied

    @property
    def fleet(self) -> Path:
        """The fleet file."""
        return self.folder / "tree.yml"

    def root(self, endpoint: str) -> Path:
        """The directory that an endpoint is."""
        return root_of(self.folder, endpoint)

    def edit(self, old: str, new: str) -> None:
        """Change the fleet file in one place."""
        text = self.fleet.read_text()
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {self.fleet}"
        self.fleet.write_text(text.replace(old, new))

    def far(self, address: str = "127.0.0.1", key: str = "", *, is_behind_itself: bool = False) -> None:
        """Put a fleet with one SSH endpoint into the place of the directories; its known_hosts file is not there yet.

        An address of the controller is never connected to; behind a jump host nobody can tell that it is one.
        """
        (self.folder / "config").touch()
        port, user = self.sshd.port, self.sshd.user
        jump = f", proxy_jump: '{user}@127.0.0.1:{port}'" if is_behind_itself else ""
        text = FAR.format(address=address, user=user, port=port, key=key or self.sshd.key, jump=jump)
        self.fleet.write_text(text)

    def guard(self) -> None:
        """Make the fleet one that needs tokens and a confirmed plan, and give each endpoint its token."""
        self.edit("disposable: true", "disposable: false")
        fleet = load_fleet(self.fleet)
        for endpoint in fleet.endpoints:
            put_token(self.folder, endpoint.name, token_of(fleet, endpoint.name))

    def plan(self, age: timedelta = timedelta()) -> Sequence[str]:
        """Return the option that confirms a plan to wipe one endpoint, made some time ago."""
        plan, _ = make_plan(wipe(load_fleet(self.fleet), "oak-1"), datetime.now(UTC) - age)
        remember_plan(plan)
        return ("--endpoint", "oak-1", "--confirm", plan.id)

    def mount(self, endpoint: str, path: str) -> None:
        """Mount a file system of its own over a directory of an endpoint, with a file in it."""
        target = self.root(endpoint) / path
        subprocess.run(["mount", "-t", "tmpfs", "none", target], check=True)
        self.undo.callback(subprocess.run, ["umount", target], check=True)
        (target / "precious").write_text("not of this endpoint\n")

    def zone(self, name: str, change: datetime) -> None:
        """Make up a time zone (tzfile(5)) that is UTC until ``change`` and an hour ahead from then on."""
        types = struct.pack(">lbblbb", 0, 0, 0, 3600, 1, 4)
        body = struct.pack(">lb", int(change.timestamp()), 1) + types + b"UTC\0AHD\0"
        folder = self.folder / "zoneinfo"
        folder.mkdir()
        (folder / name).write_bytes(b"TZif" + bytes(16) + struct.pack(">6l", 0, 0, 0, 1, 2, 8) + body)
        self.environment["PYTHONTZPATH"] = f"{folder}:/usr/share/zoneinfo"
