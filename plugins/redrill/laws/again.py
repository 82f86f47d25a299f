"""The second drill of all endpoints, from the last to the first, one after another: what acting the laws need."""

from dataclasses import replace
from pathlib import Path

from redrill.drill import prepare
from redrill.drill.authorize import Authorized, authorize
from redrill.drill.bench import Bench
from redrill.drill.engine import run_drill
from redrill.drill.hard_cases import plant_hard_cases
from redrill.drill.planning import Plan, Request
from redrill.drill.progress import LineProgress, LiveProgress
from redrill.drill.redeploy import begin_wipe
from redrill.drill.stages import REPLACE_STAGES, Stage
from redrill.errors import FleetError, GuardError, RedrillError
from redrill.minimise.leaked import SavedLeaks
from redrill.minimise.pieces import PieceTree
from redrill.minimise.trials import Answer, Workshop
from redrill.model.deadline import Deadline
from redrill.model.manifest import Manifest
from redrill.model.record import DrillRecord, Step
from redrill.model.values import Mode, Value
from redrill.private import write_private

PURPOSE = "drill twice for the laws (--redrill-laws)"

_TRIALS = 2
"""How often the second drill rebuilds an endpoint before it restores it: with all of its backup, and with a part."""

_SUBSET_SECONDS = 4 * 3600.0
_HALVED = "/var/"


class Subset(Value):
    """What came of a restore without some of /var beside that of the whole backup; ``unknown`` says why nothing did.

    ``whole`` and ``part`` are the applications that were healthy.
    """

    left_out: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    part: tuple[str, ...] = ()
    unknown: str = ""


def again_dir(run_dir: Path) -> Path:
    """Return the folder of the second drill of a run: a run of its own, with a name of its own."""
    return run_dir / f"{run_dir.name}-again"


def subset_file(run_dir: Path, endpoint: str) -> Path:
    """Return where the second drill keeps what a part of the backup came to."""
    return run_dir / "records" / endpoint / "subset.json"


def for_laws(request: Request) -> Request:
    """Return the request for a drill and the second one after it, so that one plan names all that they do.

    FleetError in another mode, GuardError when the fleet file forbids to wipe an endpoint again so soon.
    """
    if request.mode is not Mode.REPLACE:
        raise FleetError(f"'--redrill-laws' drills twice in mode 'replace', not '{request.mode.value}'.")
    if request.fleet.guards.min_interval:
        raise GuardError(
            "Nothing was touched. The laws need a second drill right after the first, and 'guards.min_interval' of the "
            "fleet file forbids it: drill without '--redrill-laws', or a fleet that does not say so."
        )
    return replace(request, purpose=PURPOSE, trials=_TRIALS + 1)


def drill_again(
    request: Request, plan: Plan | None, run_dir: Path, progress: LineProgress | LiveProgress
) -> list[DrillRecord]:
    """Drill the endpoints of a finished run once more, as its ``plan`` says; GuardError before anything is touched.

    What answers now is another boot, and time has passed, so all guards are asked again.
    """
    folder = again_dir(run_dir)
    folder.mkdir(mode=0o700)
    endpoints = tuple(reversed(request.endpoints))
    anew = replace(request, endpoints=endpoints, trials=_TRIALS)
    authorized = authorize(anew, None, folder, part_of=plan)
    one_by_one = Authorized(tuple((each,) for each in endpoints), authorized.permits, authorized.plan)
    stages = {request.mode: law_stages()}
    return run_drill(request.fleet, endpoints, request.mode, folder, progress, authorized=one_by_one, stages=stages)


def law_stages() -> tuple[Stage, ...]:
    """Return the phases of the second drill: with hard cases among the state, and a trial of a part of the backup."""
    stages: list[Stage] = []
    for stage in REPLACE_STAGES:
        if stage.step is Step.REDEPLOY:
            stages.append(Stage(Step.TRIALS, try_subset, _SUBSET_SECONDS))
        stages.append(Stage(Step.PLANT, plant, stage.budget) if stage.step is Step.PLANT else stage)
    return tuple(stages)


def plant(bench: Bench, deadline: Deadline) -> None:
    """Plant what every drill does, and hard cases."""
    prepare.plant(bench, deadline)
    number = plant_hard_cases(bench.machine, bench.run, deadline)
    bench.detail += f", {number} hard cases"


def try_subset(bench: Bench, _deadline: Deadline) -> None:
    """Restore the whole backup, then all but every second piece of /var, and ask the applications each time."""
    if not bench.endpoint.applications:
        return
    builder = begin_wipe(bench)
    shop = Workshop(bench, builder, SavedLeaks(bench.folder / "none", Manifest({})))
    try:
        subset = _compare(bench, shop)
    except (RedrillError, OSError) as error:
        subset = Subset(unknown=str(error))
    finally:
        shop.end()
    write_private(subset_file(bench.run_dir, bench.endpoint.name), subset.model_dump_json(indent=1) + "\n")
    bench.detail = f"without {len(subset.left_out)} pieces of /var: {len(subset.part)} healthy"
    bench.outage.begin()


def _compare(bench: Bench, shop: Workshop) -> Subset:
    whole = shop.try_out(1, None, (), ())
    tree = PieceTree(bench.snapshot_manifest or Manifest({}), shop.fresh or Manifest({}))
    finer = [part for root in tree.roots() for part in tree.expand(root) or (root,)]
    left_out = [piece for piece in finer if piece.path.startswith(_HALVED)][::2]
    part = shop.try_out(2, tree, [piece for piece in finer if piece not in left_out], ())
    return Subset(left_out=tuple(map(str, left_out)), whole=_well(bench, whole), part=_well(bench, part))


def _well(bench: Bench, answer: Answer) -> tuple[str, ...]:
    return tuple(name for name in bench.endpoint.applications if name not in answer.unwell)


def read_subset(run_dir: Path, endpoint: str) -> Subset:
    """Return what ``try_subset`` has written; RedrillError when there is nothing."""
    try:
        return Subset.model_validate_json(subset_file(run_dir, endpoint).read_bytes())
    except (OSError, ValueError) as error:
        raise RedrillError(f"What a part of the backup of '{endpoint}' came to cannot be read: {error}.") from error
