"""What the owner's configuration management would change: tasks that are not done on the endpoint."""

from redrill.analysis.drift import Drift
from redrill.errors import UnknownFactError
from redrill.model.desired_state import TaskResult
from redrill.model.finding import Finding, Severity

DESIRED_STATE = "desired state"
"""The promise of this module."""


def find_undone_tasks(drift: Drift) -> list[Finding]:
    """Return the tasks of the playbook that would change something; UnknownFactError when one could not be checked."""
    result, name = drift.record.playbook, drift.endpoint.name
    if result is None:
        raise UnknownFactError(f"The playbook of '{name}' was not checked in this run.")
    if result.unknown:
        raise UnknownFactError(f"What the playbook of '{name}' would change is unknown: {result.unknown}")
    if result.failed:
        first = result.failed[0]
        raise UnknownFactError(
            f"{len(result.failed)} tasks of the playbook of '{name}' could not be checked, first '{first.task}' "
            f"({first.place}): {first.message}"
        )
    return [_finding(name, task) for task in result.changes]


def _finding(endpoint: str, task: TaskResult) -> Finding:
    return Finding(
        promise=DESIRED_STATE,
        kind="undone task",
        endpoint=endpoint,
        subject=task.task,
        detail=f"'{task.place}' would change it",
        severity=Severity.MAJOR,
        why="the endpoint is not in the state that its owner declares",
        group=task.place.partition(":")[0],
        facts={"diff": task.diff} if task.diff else {},
    )
