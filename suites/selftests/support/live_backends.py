"""Provisioners for live restores: fresh systems that are dangerous, or not what they say."""

import subprocess
from pathlib import Path

from redrill.errors import ProvisionError
from redrill.model.deadline import Deadline, wait_until
from redrill.model.record import Location
from redrill.provisioners.nspawn import NspawnProvisioner
from redrill.provisioners.nspawn_tree import make_key


class RunningPostgresqlProvisioner(NspawnProvisioner):
    """Deploys an image with PostgreSQL enabled, as Debian's packages leave it: its cluster runs in the fresh system."""

    def redeploy_stopped(self, deadline: Deadline) -> Path:
        root = super().redeploy_stopped(deadline)
        # The image ships no key, and without one it does not start as it is configured.
        subprocess.run(["chroot", root, "make-ssl-cert", "generate-default-snakeoil"], check=True, capture_output=True)
        subprocess.run(["systemctl", f"--root={root}", "--quiet", "enable", "postgresql.service"], check=True)
        return root

    def redeploy(self, deadline: Deadline) -> Location:
        location = super().redeploy(deadline)
        pid = self.place.merged / "var/lib/postgresql/15/main/postmaster.pid"

        def runs(is_last_try: bool) -> bool | None:
            if pid.exists() and "ready" in pid.read_text():
                return True
            if is_last_try:
                raise ProvisionError("PostgreSQL does not run in the fresh system.")
            return None

        wait_until(runs, deadline.within(30))
        return location


class OtherKeyProvisioner(NspawnProvisioner):
    """Says that the fresh system has another host key than it has: somebody else answers at its address."""

    def redeploy(self, deadline: Deadline) -> Location:
        location = super().redeploy(deadline)
        key = self.place.directory / "other"
        make_key(key, "nobody")
        kind, text = key.with_suffix(".pub").read_text().split()[:2]
        return location.model_copy(update={"host_keys": (f"{kind} {text}",)})


PROVISIONERS = {"running-postgresql": RunningPostgresqlProvisioner, "other-key": OtherKeyProvisioner}


def install(folder: Path) -> None:
    """Make the backends known to every Python that has ``folder`` on its path, as an installed package would."""
    info = folder / "live_backends-1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: live-backends\nVersion: 1\n")
    lines = [f"{kind} = {__name__}:{backend.__name__}" for kind, backend in PROVISIONERS.items()]
    (info / "entry_points.txt").write_text("\n".join(["[redrill.provisioners]", *lines]) + "\n")
