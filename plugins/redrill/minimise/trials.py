"""One trial: an endpoint is rebuilt, gets some of its state back, and its applications are asked whether they work."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from redrill.drill.bench import Bench
from redrill.drill.crash import crash_here
from redrill.drill.health.asking import Asker, Target
from redrill.drill.owners import stop_owners
from redrill.drill.redeploy import boot_restored, reach_rebuilt, rebuild, restore
from redrill.drill.take_down import OLD_BOOT_SECONDS
from redrill.errors import RedrillError, RestoreError
from redrill.machine.protocol import Machine
from redrill.machine.ssh_machine import OldBoot
from redrill.minimise.leaked import SavedLeaks, put_back
from redrill.minimise.pieces import Piece, PieceTree, extents
from redrill.model.deadline import Deadline, pause
from redrill.model.manifest import Manifest
from redrill.model.record import Step
from redrill.model.values import STATE_PATHS
from redrill.probes.files import read_manifest
from redrill.provisioners.protocol import Provisioner
from redrill.repositories.restore import restore_part

_REBUILD_SECONDS = 1800.0
_RESTORE_SECONDS = 3600.0
_LEAST_PATIENCE = 20.0
_INTERVAL = 0.05
_MARGIN = 1.0
"""Seconds that every trial gets beyond twice what the slowest recovery took so far."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Whether all applications were healthy and held it, and what they said else; seconds since the restore ended.

    ``unwell`` are those that were not healthy in the end; without ``is_up`` nobody could ask them.
    """

    recovered: bool
    why: str
    seconds: float
    unwell: frozenset[str] = frozenset()
    is_up: bool = True


class Workshop:
    """Rebuilds one endpoint again and again. ``fresh`` is what its state paths are without a restore, once known."""

    def __init__(self, bench: Bench, builder: Provisioner, leaks: SavedLeaks) -> None:
        self.fresh: Manifest | None = None
        self._bench = bench
        self._builder = builder
        self._leaks = leaks
        self._first_location = bench.location
        self._patience: float | None = None

    def try_out(self, number: int, tree: PieceTree | None, pieces: Sequence[Piece], leaked: Sequence[Piece]) -> Answer:
        """Rebuild the endpoint, restore these pieces of ``tree`` (without it: all, as a drill does), and ask.

        A system that does not come up, or cannot be reached, has not recovered. What breaks before that is raised: the
        tool is broken then, and not the choice of pieces.
        """
        bench = self._bench
        bench.fresh_root = bench.interim_boot = None
        rebuild(bench, self._builder, f"{bench.run}-trial-{number}", Deadline.after(_REBUILD_SECONDS))
        crash_here(bench.endpoint.name, Step.TRIALS, f"trial-{number}")
        deadline = Deadline.after(_RESTORE_SECONDS)
        if tree is None:
            self._restore_all(deadline)
        else:
            self._restore_part(tree, pieces, deadline)
        put_back(self._target(deadline), self._leaks, leaked, deadline)
        began = time.monotonic()
        answer = self._come_up(began)
        if answer.recovered:
            self._patience = max(self._patience or 0.0, 2 * answer.seconds + _MARGIN)
        return answer

    def end(self) -> None:
        """Leave the workbench as a drill needs it that now destroys and restores the endpoint."""
        bench = self._bench
        bench.disconnect()
        bench.fresh_root = bench.interim_boot = None
        bench.location = self._first_location

    def _restore_all(self, deadline: Deadline) -> None:
        self.fresh = read_manifest(reach_rebuilt(self._bench, deadline), STATE_PATHS, (), deadline)
        restore(self._bench, deadline)

    def _restore_part(self, tree: PieceTree, pieces: Sequence[Piece], deadline: Deadline) -> None:
        bench, machine = self._bench, reach_rebuilt(self._bench, deadline)
        if machine.has_init:
            stop_owners(machine, bench.endpoint, deadline)
        if bench.snapshot is None or bench.repository is None:
            raise RestoreError(f"Endpoint '{bench.endpoint.name}' has no backup to restore.")
        if pieces:
            stale = tree.stale(pieces)
            restore_part(
                machine, bench.repository, bench.snapshot, deadline, tree.saved, part=extents(pieces), stale=stale
            )

    def _target(self, deadline: Deadline) -> Machine:
        bench = self._bench
        return bench.machine if bench.is_connected else reach_rebuilt(bench, deadline)

    def _come_up(self, began: float) -> Answer:
        bench = self._bench
        rto = max(bench.endpoint.objectives_of(name).rto.total_seconds() for name in bench.endpoint.applications)
        deadline = Deadline.after(self._patience or max(2 * rto, _LEAST_PATIENCE))
        try:
            boot_restored(bench, deadline)
            self._remember_boot(deadline)
        except RedrillError as error:
            names = frozenset(bench.endpoint.applications)
            return Answer(False, f"it does not come up: {error}", time.monotonic() - began, names, is_up=False)
        return self._ask(began, deadline)

    def _remember_boot(self, deadline: Deadline) -> None:
        """Have the next trial not take this boot for its own."""
        bench = self._bench
        if bench.machine.has_init and bench.location:
            boot_id = bench.machine.run("cat /proc/sys/kernel/random/boot_id", deadline).checked().text
            bench.old_boot = OldBoot(boot_id, bench.location.host_keys, OLD_BOOT_SECONDS)

    def _ask(self, began: float, deadline: Deadline) -> Answer:
        """Ask all applications until all of them have been healthy for the longest hold time; not where nothing runs.

        In a directory nothing happens by itself: what is not healthy at once will not be.
        """
        bench = self._bench
        applications = bench.endpoint.applications
        askers = {name: Asker(application) for name, application in applications.items()}
        hold = max(application.hold.total_seconds() for application in applications.values())
        target = Target(bench.location.address if bench.location else "", bench.machine)
        healthy_since: float | None = None
        while True:
            asked = time.monotonic()
            checks = [(name, check) for name, asker in askers.items() for check in asker.ask(target)]
            wrong = [f"{name}: {check.check}: {check.detail}" for name, check in checks if not check.healthy]
            now = time.monotonic()
            if wrong:
                healthy_since = None
                if deadline.is_over or not bench.machine.has_init:
                    unwell = frozenset(name for name, check in checks if not check.healthy)
                    return Answer(False, "; ".join(wrong), now - began, unwell)
            else:
                healthy_since = asked if healthy_since is None else healthy_since
                if asked - healthy_since >= hold:
                    return Answer(True, "", now - began)
            pause(min(_INTERVAL, hold) if healthy_since else _INTERVAL)
