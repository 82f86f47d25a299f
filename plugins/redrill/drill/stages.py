"""What is done to an endpoint in each mode, in which order, and how long each phase may take."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from redrill.drill import finish, prepare, redeploy, relocate
from redrill.drill.arm import arm
from redrill.drill.bench import Bench
from redrill.drill.settle import settle
from redrill.drill.vanilla import boot_vanilla
from redrill.model.deadline import Deadline
from redrill.model.record import Step
from redrill.model.values import Mode


@dataclass(frozen=True, slots=True)
class Stage:
    """One phase as the engine runs it: what it does, and the seconds that it may take."""

    step: Step
    work: Callable[[Bench, Deadline], None]
    budget: float


OBSERVE_STAGES = (
    Stage(Step.PREFLIGHT, prepare.preflight, 120),
    Stage(Step.SETTLE, settle, 600),
    Stage(Step.OBSERVE_AFTER, finish.observe_after, 600),
)

_UNTIL_ARMED = (
    Stage(Step.PREFLIGHT, prepare.preflight, 900),
    Stage(Step.PLANT, prepare.plant, 60),
    Stage(Step.OBSERVE, prepare.observe_before, 600),
    Stage(Step.BACK_UP, prepare.back_up, 3600),
    Stage(Step.VERIFY_BACKUP, prepare.verify_backup, 1800),
    Stage(Step.ARM, arm, 90),
)

_UNTIL_RELEASED = (
    Stage(Step.REDEPLOY, redeploy.redeploy, 1800),
    Stage(Step.RESTORE, redeploy.restore, 3600),
    Stage(Step.VERIFY_RESTORE, redeploy.verify_restore, 1800),
    Stage(Step.SETTLE, settle, 1800),
    Stage(Step.OBSERVE_AFTER, finish.observe_after, 600),
    Stage(Step.RELEASE, finish.release, 60),
)

REPLACE_STAGES = (*_UNTIL_ARMED, *_UNTIL_RELEASED)

VANILLA_STAGES = (*_UNTIL_ARMED, Stage(Step.VANILLA, boot_vanilla, 1800), *_UNTIL_RELEASED)

RELOCATE_STAGES = (
    *_UNTIL_ARMED,
    Stage(Step.STOP, relocate.stop, 120),
    *_UNTIL_RELEASED,
    Stage(Step.HAND_BACK, relocate.hand_back, 600),
)

STAGES: Mapping[Mode, tuple[Stage, ...]] = {
    Mode.OBSERVE: OBSERVE_STAGES,
    Mode.REPLACE: REPLACE_STAGES,
    Mode.VANILLA: VANILLA_STAGES,
    Mode.RELOCATE: RELOCATE_STAGES,
}
