"""A callback plugin of Ansible (https://docs.ansible.com, 'Developing plugins'): one JSON line for each task's result.

It runs inside ansible-playbook and writes to the file that ``REDRILL_TASKS`` names.
"""

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible ships no types
    """Tells what each task did or would do; what a task hides by 'no_log' stays hidden, Ansible sees to that."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "redrill_tasks"
    CALLBACK_NEEDS_ENABLED = True

    def v2_runner_on_ok(self, result: Any) -> None:
        """Tell of a task that changed, or would change, something, and of one that did not."""
        self._tell(result, "changed" if result._result.get("changed") else "ok")  # noqa: SLF001 - Ansible's own API

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        """Tell of a task that failed."""
        self._tell(result, "ok" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result: Any) -> None:
        """Tell of a host that did not answer."""
        self._tell(result, "unreachable")

    def v2_runner_on_skipped(self, result: Any) -> None:
        """Tell of a task that was not asked: its condition is false, or it cannot be checked without doing it."""
        self._tell(result, "skipped")

    def _tell(self, result: Any, status: str) -> None:
        task, answer = result._task, result._result  # noqa: SLF001 - Ansible's own API
        name = task.get_name().strip()
        place = (task.get_path() or "").rpartition("/")[2]
        diff = answer.get("diff") or []
        line = {
            "task": name,
            "place": place,
            "status": status,
            "message": str(answer.get("msg", "")) if status in ("failed", "unreachable") else "",
            "diff": [] if answer.get("_ansible_no_log") else [diff] if isinstance(diff, dict) else diff,
        }
        with open(os.environ["REDRILL_TASKS"], "a", encoding="utf-8") as file:  # noqa: PTH123 - no more imports than needed
            file.write(json.dumps(line, default=str) + "\n")
