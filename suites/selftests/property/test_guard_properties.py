"""Over all inventories: nothing is destroyed that a guard forbids, and everything is that no guard forbids."""

import secrets
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import StringIO
from pathlib import Path
from unittest.mock import patch

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from redrill.drill.arm import arm
from redrill.drill.authorize import authorize
from redrill.drill.bench import Bench
from redrill.drill.engine import run_drill
from redrill.drill.guards.token import write_token
from redrill.drill.planning import Request, make_plan
from redrill.drill.progress import LineProgress
from redrill.drill.redeploy import redeploy
from redrill.drill.stages import Stage
from redrill.errors import GuardError
from redrill.model.deadline import Deadline
from redrill.model.fleet import Backend, Endpoint, Fleet
from redrill.model.guards import Guards
from redrill.model.manifest import Manifest
from redrill.model.record import ImageFacts, Location, SnapshotFacts, Step
from redrill.model.values import Mode, Value
from redrill.repositories.protocol import Snapshot

NOW = datetime.now(UTC)
TODAY = NOW.date()
TOKENS = ("good", "absent", "expired", "other fleet", "other host", "world-writable")
EVENTS = ("nothing", "token gone", "another host", "kill switch", "backup lost")


@dataclass(frozen=True)
class Case:
    """One endpoint: what the inventory and the endpoint itself say, and what happens between the plan and the wipe."""

    expendable: bool
    allow: str
    machine: int
    protected: str
    role: str | None
    event: str


@dataclass(frozen=True)
class Inventory:
    """A fleet, and what somebody who starts a drill of it says."""

    cases: tuple[Case, ...]
    most: int
    most_of_role: int
    environment: str
    confirmed: str

    def is_allowed(self) -> bool:
        """Whether the plan may be carried out, judged independently of the guards."""
        roles = Counter(case.role for case in self.cases if case.role)
        return (
            self.environment == "staging"
            and self.confirmed == "as planned"
            and 0 < len(self.cases) <= self.most
            and (not roles or self.most_of_role == 100)
            and len({case.machine for case in self.cases}) == len(self.cases)
            and all(case.expendable and case.allow == "good" and case.protected == "no" for case in self.cases)
        )


def mostly(usual, *others):
    """Draw the usual value most of the time, so that many inventories are drilled."""
    return st.sampled_from([usual] * 20 + list(others))


CASES = st.builds(
    Case,
    expendable=mostly(True, False),
    allow=mostly(*TOKENS),
    machine=st.integers(0, 1000),
    protected=mostly("no", "name", "identity"),
    role=st.sampled_from([None, "web", "db"]),
    event=mostly(*EVENTS),
)
INVENTORIES = st.builds(
    Inventory,
    cases=st.lists(CASES, min_size=0, max_size=3).map(tuple),
    most=mostly(3, 1, 2),
    most_of_role=mostly(100, 50),
    environment=mostly("staging", "prod", ""),
    confirmed=st.sampled_from(["as planned"] * 3 + ["nothing", "tampered", "stale"]),
)


class FakeProvisioner:
    """Destroys nothing, and remembers what it was told to destroy."""

    destroyed: list[str]
    Settings = Value

    def __init__(self, _fleet: Fleet, endpoint: Endpoint) -> None:
        self._endpoint = endpoint

    def locate(self) -> Location:
        return Location(root=Path(self._endpoint.provisioner.settings["root"]))

    def describe_image(self) -> ImageFacts:
        return ImageFacts(name="image", version="1", digest="sha256:0")

    def redeploy(self, _deadline: Deadline) -> Location:
        self.destroyed.append(self._endpoint.name)
        return self.locate()


def machine_id(number: int) -> str:
    return f"{number + 1:032x}"


def build(folder: Path, inventory: Inventory) -> Fleet:
    """Make the endpoints, as directories, and the fleet that declares them."""
    endpoints = []
    for number, case in enumerate(inventory.cases):
        root = folder / f"e{number}"
        for path in ("etc/redrill", "run"):
            (root / path).mkdir(parents=True, mode=0o755)
        (root / "etc/machine-id").write_text(machine_id(case.machine) + "\n")
        (root / "etc/hostname").write_text(f"e{number}\n")
        (root / "run/boot-id").write_text(f"{number}\n")
        if case.allow != "absent":
            file = root / "etc/redrill/allow"
            until = TODAY - timedelta(days=1) if case.allow == "expired" else TODAY + timedelta(days=1)
            other = machine_id(case.machine + 5000) if case.allow == "other host" else machine_id(case.machine)
            file.write_text(write_token("other" if case.allow == "other fleet" else "shop", other, until))
            file.chmod(0o666 if case.allow == "world-writable" else 0o644)
        provisioner = Backend(kind="fake", root=str(root))
        endpoints.append(
            Endpoint(name=f"e{number}", role=case.role, expendable=case.expendable, provisioner=provisioner)
        )
    protected = {
        "names": [f"e{n}" for n, case in enumerate(inventory.cases) if case.protected == "name"],
        "identities": [machine_id(case.machine) for case in inventory.cases if case.protected == "identity"],
    }
    guards = {
        "protected": protected,
        "limits": {"most_endpoints": inventory.most, "most_of_role": inventory.most_of_role},
        "waves": {"canary": 0, "size": 2, "stop_after_failures": 9},
        "kill_switch": {"file": str(folder / "stop")},
    }
    return Fleet(
        name="shop",
        environment="staging",
        source=folder / "fleet.yml",
        endpoints=tuple(endpoints),
        guards=Guards.model_validate(guards),
        locks=Backend(kind="flock", folder=str(folder / "locks")),
    )


def stages_of(folder: Path, inventory: Inventory) -> dict[Mode, tuple[Stage, ...]]:
    """Return a drill of four phases: connect, a backup (and what else happens then), arm, redeploy."""

    def back_up(bench: Bench, _deadline: Deadline) -> None:
        event = inventory.cases[int(bench.endpoint.name[1:])].event
        root = folder / bench.endpoint.name
        if event != "backup lost":
            digest = secrets.token_hex(32)
            facts = {"id": "s", "entries": 0, "size": 0, "stored_size": 0, "sha256": digest}
            bench.snapshot = Snapshot(endpoint=bench.endpoint.name, created=NOW, paths=(), **facts)
            bench.snapshot_manifest = Manifest({})
            bench.evidence.snapshot = SnapshotFacts(manifest=Path("none"), **facts)
        if event == "token gone":
            (root / "etc/redrill/allow").unlink()
        if event == "another host":
            (root / "etc/machine-id").write_text("e" * 32 + "\n")
        if event == "kill switch":
            (folder / "stop").touch()

    connect = Stage(Step.PREFLIGHT, lambda bench, deadline: bench.connect(bench.locate(), deadline), 60)
    backup = Stage(Step.VERIFY_BACKUP, back_up, 60)
    return {Mode.REPLACE: (connect, backup, Stage(Step.ARM, arm, 60), Stage(Step.REDEPLOY, redeploy, 60))}


def drill(folder: Path, inventory: Inventory) -> list[str]:
    """Plan, confirm and run it; return what was destroyed."""
    fleet = build(folder, inventory)
    FakeProvisioner.destroyed = []
    request = Request(fleet, fleet.endpoints, Mode.REPLACE, inventory.environment or None)
    with patch("redrill.drill.reach.load_backend", lambda _group, _kind: FakeProvisioner):
        plan, _ = make_plan(request, NOW)
        old, _ = make_plan(request, NOW - timedelta(hours=2))
        ids = {"as planned": plan.id, "nothing": None, "tampered": plan.id[:-16] + "0" * 16, "stale": old.id}
        try:
            authorized = authorize(request, ids[inventory.confirmed], now=NOW)
        except GuardError:
            return FakeProvisioner.destroyed
        (folder / "run").mkdir()
        progress = LineProgress(StringIO())
        stages = stages_of(folder, inventory)
        run_drill(fleet, fleet.endpoints, Mode.REPLACE, folder / "run", progress, authorized=authorized, stages=stages)
    return FakeProvisioner.destroyed


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(inventory=INVENTORIES)
def test_only_what_every_guard_allows_is_destroyed(tmp_path: Path, inventory: Inventory) -> None:
    destroyed = drill(tmp_path / secrets.token_hex(8), inventory)
    assert len(destroyed) == len(set(destroyed)), "no endpoint is destroyed twice"
    if not inventory.is_allowed():
        assert destroyed == []
        return
    quiet = {f"e{n}" for n, case in enumerate(inventory.cases) if case.event == "nothing"}
    assert set(destroyed) <= quiet
    if all(case.event != "kill switch" for case in inventory.cases):
        assert set(destroyed) == quiet, "what no guard forbids is drilled"
