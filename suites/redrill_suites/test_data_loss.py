"""Data loss: what was acknowledged before the backup is there again, as it was written, and little is lost after it.

Numbered writes go on until the outage, to each application that declares a canary and to files in /home and /var.
- What was acknowledged before the moment that the backup is of must be there again: anything else is lost data. Of an
  application that was not made still for its backup, 'test_application_recovery' tells that.
- A write that came back torn, or with another content, is worse than a lost one.
- The loss (RPO) of a state class runs from the last write that came back to the outage, by the controller's clock, and
  is 0 when all of them did; ``objectives.rpo`` is the most that it may be. It is exact to the canary's interval.
"""

import pytest

from redrill.model.canary import Consistency
from redrill.model.fleet import Endpoint
from redrill.model.record import DrillRecord
from redrill.model.recovery import ApplicationResult
from redrill_suites.losses import require_nothing_lost, result_of, tell_numbers
from redrill_suites.messages import tell

pytestmark = [pytest.mark.redrill_requires("drill"), pytest.mark.redrill_timeline]


@pytest.mark.redrill_severity("blocker")
def test_no_acknowledged_write_is_lost(
    record: DrillRecord, recovery: ApplicationResult, application_name: str, endpoint: Endpoint
) -> None:
    if application_name not in endpoint.state_classes:
        pytest.skip(f"not applicable: application '{application_name}' declares no canary")
    if record.consistency_of(application_name) is Consistency.CRASH:
        pytest.skip("not applicable: its backup is crash-consistent; 'test_application_recovery' tells what it kept")
    result = result_of(record, application_name)
    dead = f"no write to application '{application_name}' can be read, for it did not come back"
    advice = "mend what keeps it from working, then drill again: until then its data are as good as lost."
    assert recovery.healthy or not result.unknown, tell(endpoint.name, dead, [result.unknown], advice)
    problem = f"acknowledged writes of application '{application_name}' are lost"
    advice = "they were acknowledged before the backup was made, and it does not hold them: flush before acknowledging"
    require_nothing_lost(endpoint, {application_name: result}, problem, advice)


@pytest.mark.redrill_severity("blocker")
def test_no_acknowledged_write_to_files_is_lost(record: DrillRecord, endpoint: Endpoint) -> None:
    names = [name for name, each in endpoint.state_classes.items() if each.application is None]
    if not names:
        pytest.skip(f"not applicable: endpoint '{endpoint.name}' has no canaries of its own")
    problem = "synced writes, made before the backup, are lost"
    advice = "the backup skips these folders, or holds an older state of them than it says: look at the repository"
    require_nothing_lost(endpoint, {name: result_of(record, name) for name in names}, problem, advice)


@pytest.mark.redrill_severity("blocker")
def test_no_write_came_back_altered(record: DrillRecord, endpoint: Endpoint) -> None:
    if not any(each.written and each.shows_alterations for each in record.canaries.values()):
        pytest.skip(f"not applicable: no canary of '{endpoint.name}' stores what an alteration could be seen by")
    altered = [f"{name}: {tell_numbers(each.altered)}" for name, each in record.canaries.items() if each.altered]
    advice = (
        "the backup caught these files while they were written: have the application stopped or frozen ('quiesce')."
    )
    assert not altered, tell(endpoint.name, "writes came back torn or otherwise than they were made", altered, advice)


@pytest.mark.redrill_severity("critical")
def test_loss_is_within_its_objective(record: DrillRecord, endpoint: Endpoint) -> None:
    beyond = []
    for name, each in record.canaries.items():
        targets = endpoint.objectives_of(each.application) if each.application else endpoint.objectives
        objective = targets.rpo.total_seconds()
        if each.loss is not None and each.loss > objective:
            beyond.append(f"{name}: {each.loss:.1f} s (± {each.interval:g} s), the objective is {objective:g} s")
    if not any(each.loss is not None for each in record.canaries.values()):
        pytest.skip(f"not applicable: no loss of '{endpoint.name}' was measured")
    advice = "back up more often, or to where writes go at once; 'objectives.rpo' says what the business can stand."
    assert not beyond, tell(endpoint.name, "more was lost than may be", beyond, advice)
