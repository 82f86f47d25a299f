"""The state that an owner's configuration management wants, and how far an endpoint is from it."""

from pathlib import Path

from redrill.model.values import Duration, Text, Value, parse_duration


class DesiredState(Value):
    """An Ansible playbook that is checked, never applied; ``timeout`` is for all of it."""

    playbook: Path
    timeout: Duration = parse_duration("10m")


class TaskResult(Value):
    """A task that would change something, or could not be checked; ``place`` is 'file:line', ``diff`` what it says."""

    task: Text
    place: Text
    message: Text = ""
    diff: Text = ""


class PlaybookResult(Value):
    """What a check of a playbook said: how many tasks were fine, which would change something, which failed.

    ``skipped`` is the number of tasks that Ansible does not ask in a check. ``unknown`` says why nothing is known.
    """

    fine: int = 0
    skipped: int = 0
    changes: tuple[TaskResult, ...] = ()
    failed: tuple[TaskResult, ...] = ()
    unknown: Text = ""
