"""How a promise is judged: its findings are computed, weighed by the owner's rules, and told; an open one breaks it."""

from datetime import UTC

import pytest

from redrill.analysis.drift import Drift
from redrill.analysis.promises import PROMISES, why_not
from redrill.analysis.weighing import weigh
from redrill.drill.waivers import read_waivers
from redrill.model.waivers import Waivers
from redrill.model.weighed import State
from redrill.reporting.allure_results import attach_findings
from redrill.reporting.findings import keep_findings
from redrill_suites.messages import tell_findings


def judge_promise(drift: Drift, promise: str, problem: str, advice: str) -> None:
    """Fail with the open findings against a promise, grouped; all findings are attached as a table.

    A promise that says nothing about the endpoint is not applicable. Waivers expire by the day of the drill, so that a
    stored run is judged alike for ever.
    """
    __tracebackhide__ = True  # what follows is the same for every promise; the message says all
    if reason := why_not(promise, drift):
        pytest.skip(f"not applicable: {reason}")
    name = drift.endpoint.name
    waivers = read_waivers(drift.results_dir) if drift.results_dir else Waivers()
    weighed = weigh(PROMISES[promise](drift), drift.endpoint.ignore, waivers, drift.record.ended.astimezone(UTC).date())
    if drift.results_dir:
        keep_findings(drift.results_dir, name, promise, weighed)
    attach_findings(weighed)
    is_broken = any(one.state is State.OPEN for one in weighed)
    assert not is_broken, tell_findings(name, problem, weighed, advice)
