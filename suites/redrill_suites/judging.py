"""How a promise is judged: its findings are computed and told; any that is more than a note breaks it."""

from redrill.analysis.drift import Drift
from redrill.analysis.promises import PROMISES
from redrill.model.finding import Severity
from redrill.reporting.allure_results import attach_text
from redrill_suites.messages import tell


def judge_promise(drift: Drift, promise: str, problem: str, advice: str) -> None:
    """Fail with the findings against a promise, grouped; all of them are attached as a table."""
    findings = PROMISES[promise](drift)
    if findings:
        attach_text("findings", "\n".join(f"{finding.id} {finding.severity} {finding}" for finding in findings) + "\n")
    grave = [finding for finding in findings if finding.severity is not Severity.NOTE]
    assert not grave, tell(drift.endpoint.name, problem, grave, advice)
