"""From pytest's reports to judgements: failed, broken, blocked and not applicable never mix."""

from typing import Any

import pytest

from redrill.errors import RedrillError
from redrill.model.verdict import Judgement, JudgementOutcome
from redrill.plugin.reports import identify_item

PROPERTY = "redrill"
"""The name under which a report carries what it judges, also from a worker to the main process."""


class BlockedError(RedrillError):
    """An earlier failure of the endpoint's drill blocks this judgement; the message is that first cause."""


def mark_report(item: pytest.Item, call: pytest.CallInfo[Any], report: pytest.TestReport) -> None:
    """Put onto a report what it says about which endpoint."""
    identity = identify_item(item)
    facts = {
        "test": identity.test,
        "endpoint": identity.endpoint,
        "parameters": {name: value for name, value in identity.parameters.items() if name != "endpoint"},
        "outcome": outcome.value if (outcome := _outcome(call, report)) else None,
        "message": _message(call, report),
    }
    report.user_properties.append((PROPERTY, facts))
    if outcome is JudgementOutcome.BLOCKED and call.excinfo is not None:
        # Where the fixture stands says nothing; the first cause, once more, says all.
        report.longrepr = str(call.excinfo.value)


def _outcome(call: pytest.CallInfo[Any], report: pytest.TestReport) -> JudgementOutcome | None:
    """Return the outcome that this phase of a test decides, None when it decides nothing."""
    if report.outcome == "passed":
        return JudgementOutcome.PASSED if report.when == "call" else None
    if report.skipped:
        return JudgementOutcome.NOT_APPLICABLE
    error = call.excinfo.value if call.excinfo else None
    if isinstance(error, BlockedError):
        return JudgementOutcome.BLOCKED
    # A test that passes although it was expected to fail, strictly, has failed without an exception.
    is_verdict = report.when == "call" and isinstance(error, AssertionError | pytest.fail.Exception | None)
    return JudgementOutcome.FAILED if is_verdict else JudgementOutcome.BROKEN


def _message(call: pytest.CallInfo[Any], report: pytest.TestReport) -> str:
    if call.excinfo is None:
        return str(report.longrepr) if report.failed else ""
    lines = str(call.excinfo.value).splitlines() or [call.excinfo.typename]
    return "\n".join(lines[:6])


def read_judgement(report: pytest.TestReport) -> Judgement | None:
    """Return the judgement that a report carries, None when it decides nothing."""
    if report.outcome == "rerun":  # type: ignore[comparison-overlap]  # set by pytest-rerunfailures
        return None
    facts = dict(report.user_properties).get(PROPERTY)
    return Judgement.model_validate(facts) if isinstance(facts, dict) and facts["outcome"] else None


def find_crash(report: pytest.TestReport) -> str | None:
    """Return what a report says that no test made, such as that of pytest-xdist for a worker that died."""
    if report.failed and PROPERTY not in dict(report.user_properties):
        return str(report.longrepr)
    return None
