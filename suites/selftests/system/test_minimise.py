"""The search for the minimal restore set, on a directory: what is found, and that the endpoint is whole afterwards."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from redrill.analysis.drift import Drift
from redrill.cli import main
from redrill.drill import settle
from redrill.drill.authorize import Authorized, remember_plan
from redrill.drill.crash import VARIABLE
from redrill.drill.engine import resume_drill, run_drill
from redrill.drill.planning import Request, make_plan
from redrill.drill.resume import find_quarantined
from redrill.errors import ProvisionError
from redrill.minimise.logbook import EVIDENCE, Limits
from redrill.minimise.report import FILE, Report
from redrill.minimise.stage import Minimiser
from redrill.model.deadline import Deadline
from redrill.model.fleet import Fleet
from redrill.model.record import DrillRecord, Location
from redrill.model.values import Mode
from redrill.provisioners.tree import TreeProvisioner
from redrill.repositories.tar import TarRepository
from selftests.support.children import in_child
from selftests.support.engine import authorize_one
from selftests.support.history import violations
from selftests.support.world import ENDPOINT, Injector, World

LEDGER, START, FORWARD = "/var/lib/app/ledger", "/etc/rc.start/50-app", "/etc/log-forward.conf"
NEEDED = {LEDGER, START, FORWARD}
"""What the sample application looks at; its configuration is in the image, too, if another one."""

WIDE = Limits()


@pytest.fixture
def small(world: World) -> World:
    """The world of a directory whose application is believed at once."""
    world.change("hold: 200ms", "hold: 1ms")
    world.change("rto: 30s", "rto: 1s")
    return world


def search(world: World, limits: Limits = WIDE, tell: Callable[[str], object] = print) -> tuple[Report, DrillRecord]:
    world.run_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    minimiser, endpoints = Minimiser(limits, lambda line: tell(line) and None), (world.fleet.endpoint(ENDPOINT),)
    stages = {Mode.REPLACE: minimiser.stages()}
    authorized = world.authorize()
    (record,) = run_drill(
        world.fleet, endpoints, Mode.REPLACE, world.run_dir, Injector(), authorized=authorized, stages=stages
    )
    assert minimiser.report is not None, record.failure
    assert violations(world.run_dir) == []
    return minimiser.report, record


def asks_for(world: World, *tests: str) -> None:
    """Have the application be healthy only when these tests are passed, too."""
    world.change(
        "run: 'sh \"$ROOT/usr/bin/app-status\"'", f"run: '{' && '.join(tests)} && sh \"$ROOT/usr/bin/app-status\"'"
    )


def trials(world: World) -> list[dict[str, object]]:
    return [json.loads(line) for line in (world.run_dir / "records" / ENDPOINT / EVIDENCE).read_text().splitlines()]


@dataclass(frozen=True, slots=True)
class Found:
    """One whole search, and the world after it."""

    world: World
    report: Report
    record: DrillRecord


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Found]:
    """What a search found where the application also looks at a file of a person."""
    folder = tmp_path_factory.mktemp("found")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(folder / "state"))
        world = World(folder)
        asks_for(world, 'grep -q notes "$ROOT/home/alice/notes"')
        yield Found(world, *search(world))


def test_exactly_what_the_application_needs_is_found_and_everything_comes_back(found: Found) -> None:
    assert {part.path for part in found.report.needed} == {*NEEDED, "/home/alice/notes"}
    assert (found.report.is_known, found.report.recovers, found.report.leaked) == (True, True, ())
    found.world.require_recovered(found.record)
    assert found.record.applications["app"].healthy


def test_every_needed_path_has_a_trial_that_shows_it(found: Found) -> None:
    evidence = trials(found.world)
    needed = {part.path for part in found.report.needed}
    for part in found.report.needed:
        assert part.trial is not None
        trial = evidence[part.trial - 1]
        assert (trial["number"], trial["recovered"], trial["why"]) == (part.trial, False, part.why)
        assert set(trial["restored"]) == needed - {part.path}
    assert (evidence[-1]["recovered"], set(evidence[-1]["restored"])) == (True, needed)


def test_the_proposal_is_a_backup_manifest_with_its_evidence(found: Found) -> None:
    file = found.world.run_dir / FILE
    proposal = yaml.safe_load(file.read_text())
    assert {each["path"] for each in proposal["include"]} == {part.path for part in found.report.needed}
    assert all(each["trial_without_it"] and each["then"] for each in proposal["include"])
    assert "the rest of /home/alice" in {each["path"] for each in proposal["not_needed"]}
    assert "not what its owner may want to keep" in file.read_text().replace("\n# ", " ")
    assert proposal["verdict"] == found.report.conclude()


def test_what_the_image_has_and_the_backup_has_not_may_have_to_go(small: World) -> None:
    (small.image / "etc/blocker").touch()
    asks_for(small, 'test ! -e "$ROOT/etc/blocker"')
    report, record = search(small)
    assert {part.path for part in report.needed if part.is_absent} == {"/etc/blocker"}
    small.require_recovered(record)


def test_the_leaked_path_that_an_application_needs_is_found(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settle, "_LEAST_PATIENCE", 1.0)
    for name in ("plugin/code", "plugin/deep/data", "other/file"):
        (small.root / "opt" / name).parent.mkdir(parents=True, exist_ok=True)
        (small.root / "opt" / name).write_text(name)
    (small.root / "srv/leak").write_text("nobody asks for it")
    asks_for(small, 'grep -q deep "$ROOT/opt/plugin/deep/data"')
    report, record = search(small)
    assert [part.path for part in report.leaked] == ["/opt/plugin/deep/data"]
    assert {part.path for part in report.needed} == NEEDED
    assert (report.recovers, report.recovers_with_leaks, report.is_known) == (False, True, True)
    assert record.applications["app"].healthy is False, "a drill restores no leaks"
    assert not (small.root / "opt/plugin").exists()
    assert "needs what no backup has: /opt/plugin/deep/data" in report.conclude()


def test_an_application_that_nothing_brings_back_ends_the_search_early(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settle, "_LEAST_PATIENCE", 1.0)
    (small.root / "run/only-now").touch()
    asks_for(small, 'test -e "$ROOT/run/only-now"')
    report, record = search(small)
    assert (report.recovers, report.recovers_with_leaks, report.trials) == (False, None, 1)
    assert small.unlike() == []
    assert record.failure is None
    assert "does not recover from its backup" in report.conclude()


def test_a_search_that_reaches_its_limit_says_so_and_restores_everything(small: World) -> None:
    report, record = search(small, Limits(trials=4))
    assert report.trials == 5
    assert (report.is_minimal, report.is_confirmed, report.is_known) == (False, True, False)
    assert {row[1] for row in report.rows()} == {"perhaps necessary"}
    small.require_recovered(record)


def test_a_search_that_somebody_stops_ends_with_the_full_restore(small: World) -> None:
    def stop(line: str) -> None:
        if line.startswith("trial   3"):
            small.kill_switch.touch()

    report, record = search(small, tell=stop)
    assert report.trials == 3
    assert not report.is_known
    assert small.unlike() == []
    assert record.failure is None


def test_a_trial_that_breaks_ends_the_search_and_not_the_restore(small: World, monkeypatch: pytest.MonkeyPatch) -> None:
    number, open_snapshot = iter(range(100)), TarRepository.open

    def fail_at_times(self: TarRepository, *words: Any) -> object:
        if next(number) == 2:
            raise OSError(5, "Input/output error")
        return open_snapshot(self, *words)

    monkeypatch.setattr(TarRepository, "open", fail_at_times)
    report, record = search(small)
    assert "Input/output error" in report.trouble
    assert report.conclude().startswith("INCOMPLETE")
    monkeypatch.undo()
    small.require_recovered(record)


POINTS = [
    "trials:before",
    "trials:trial-1",
    "trials:trial-4",
    "trials:done",
    "trials:after",
    "redeploy:done",
    "settle:before",
]


@pytest.mark.parametrize("point", POINTS)
def test_a_search_that_died_is_resumed_into_the_full_restore(
    point: str, small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, point)
    assert in_child(lambda: search(small, Limits(trials=4))) == 137
    monkeypatch.delenv(VARIABLE)
    if point == "trials:before":
        assert find_quarantined(small.folder / "runs") == []
        assert resume_drill(small.fleet, small.run_dir, Injector(), Authorized(())) == []
        small.require_as_it_was()
        return
    assert [each.endpoint for each in find_quarantined(small.folder / "runs")] == [ENDPOINT]
    small.require_recovered(small.resume())


def test_a_system_that_does_not_come_up_is_believed_only_when_it_happens_again(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    number, boot = iter(range(1000)), TreeProvisioner.boot

    def fail_at_times(self: TreeProvisioner, deadline: Deadline) -> Location:
        if next(number) in (1, 4, 9):
            raise ProvisionError("There is no room for another system at the moment.")
        return boot(self, deadline)

    monkeypatch.setattr(TreeProvisioner, "boot", fail_at_times)
    report, record = search(small)
    assert report.is_known
    assert {part.path for part in report.needed} == NEEDED
    small.require_recovered(record)


def test_the_command_shows_each_trial_the_table_and_the_verdict(
    small: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.folder)
    assert main(["minimise", str(small.fleet.source), ENDPOINT, "--environment", "lab"]) == 0
    output = capsys.readouterr().out
    assert "trial   1  recovered" in output
    assert all(path in output for path in NEEDED)
    assert f"To recover '{ENDPOINT}', 3 paths of the backup" in output
    assert output.splitlines()[-1] == f"'{ENDPOINT}' has its whole backup again, verified, and is healthy."
    assert small.unlike() == []


def test_the_command_wipes_nothing_without_the_guards(
    small: World, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(small.folder)
    command = ["minimise", str(small.fleet.source), ENDPOINT]
    assert main(command) == 10
    limits = ["--most-trials", "7", "--deadline", "90m"]
    assert main([*command, "--plan", *limits, "--environment", "lab"]) == 0
    printed = capsys.readouterr().out
    assert "to wipe again and again for the minimal restore set" in printed
    assert f"{ENDPOINT} --most-trials 7 --deadline 1h30m --environment lab --confirm " in printed
    plan = printed.split("--confirm ")[1].strip()
    drill = plan_of_a_drill(small)
    assert main([*command, "--environment", "lab", "--confirm", drill]) == 10
    assert drill.partition("-")[2] != plan.partition("-")[2]
    assert "the purpose changed" in capsys.readouterr().err
    small.require_as_it_was()


def plan_of_a_drill(world: World) -> str:
    """Make and keep the plan of a mere drill, and return its id."""
    request = Request(world.fleet, (world.fleet.endpoint(ENDPOINT),), Mode.REPLACE, "lab")
    made, _ = make_plan(request, datetime.now(UTC))
    remember_plan(made)
    return made.id


def test_a_real_system_is_searched_and_gets_everything_back(lab: Fleet, tmp_path: Path) -> None:
    minimiser, endpoints = Minimiser(Limits(trials=5), print), (lab.endpoint("web-1"),)
    authorized = authorize_one(lab, "web-1")
    (record,) = run_drill(
        lab,
        endpoints,
        Mode.REPLACE,
        tmp_path,
        Injector(),
        authorized=authorized,
        stages={Mode.REPLACE: minimiser.stages()},
    )
    report = minimiser.report
    assert report is not None
    assert (report.recovers, report.is_confirmed, report.trials) == (True, True, 6), report
    evidence = [json.loads(line) for line in (tmp_path / "records/web-1" / EVIDENCE).read_text().splitlines()]
    assert [trial["recovered"] for trial in evidence if trial["restored"] == []] == [False]
    drift = Drift(tmp_path, lab, record, lab.endpoint("web-1"))
    assert (record.failure, drift.restored()) == (None, [])
    assert record.applications["shop"].healthy
