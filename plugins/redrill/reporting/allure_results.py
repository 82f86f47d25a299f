"""What redrill adds to the Allure result of the test that is running: identity, phases, attachments."""

import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import allure
from allure_commons.model2 import Label, Parameter, Status, StatusDetails, TestStepResult
from allure_pytest.listener import AllureListener

from redrill.model.record import DrillRecord, Outcome, Phase
from redrill.model.values import printable
from redrill.model.weighed import Weighed
from redrill.reporting.findings import findings_csv
from redrill.reporting.identity import Identity

_OWN_LABELS = ("host", "thread", "package", "parentSuite", "suite", "subSuite", "endpoint")
_TYPES = {kind.extension: kind for kind in allure.attachment_type}


def attach_phases(record: DrillRecord, listener: AllureListener | None) -> None:
    """Add the phases of a drill, which ran before the test, to the running test as steps with their true times."""
    if listener is None:
        return
    for phase in record.phases:
        uuid = str(uuid4())
        step = TestStepResult(name=str(phase.step), start=_milliseconds(phase.started), parameters=_facts(phase))
        is_done = phase.outcome is Outcome.DONE
        listener.allure_logger.start_step(None, uuid, step)
        listener.allure_logger.stop_step(
            uuid,
            stop=_milliseconds(phase.ended),
            status=Status.PASSED if is_done else Status.BROKEN,
            statusDetails=None if is_done else StatusDetails(message=_why(phase, record)),
        )


def attach_text(name: str, body: str) -> None:
    """Attach text to the running test."""
    allure.attach(printable(body), name, allure.attachment_type.TEXT)


def attach_json(name: str, value: Any) -> None:
    """Attach a value to the running test as indented JSON; what JSON does not know is attached as its text."""
    body = json.dumps(value, indent=2, default=str, ensure_ascii=True)
    allure.attach(body, name, allure.attachment_type.JSON)


def attach_svg(name: str, picture: str | None) -> None:
    """Attach a picture to the running test, if there is one."""
    if picture is not None:
        allure.attach(picture, name, allure.attachment_type.SVG)


def attach_file(path: Path, name: str) -> None:
    """Attach a copy of a file to the running test; a file that is not there is said to be missing."""
    if path.is_file():
        kind = _TYPES.get(path.suffix.removeprefix("."), allure.attachment_type.TEXT)
        allure.attach.file(path, name, kind)
    else:
        attach_text(name, f"'{path.name}' is missing: it was never written, or it was deleted since.\n")


def attach_findings(weighed: Sequence[Weighed]) -> None:
    """Attach findings to the running test as a table."""
    if weighed:
        # Of all formats, Allure shows only CSV as a table of the page's own.
        allure.attach(findings_csv(weighed), "findings", allure.attachment_type.CSV)


def name_result(
    listener: AllureListener | None,
    identity: Identity,
    times: tuple[datetime, datetime] | None = None,
    severity: str | None = None,
) -> None:
    """Give the result of the running test its stable identity, labels and title; ``times`` replace when it ran.

    To be called when the report of its teardown is made, by a wrapper that is outside of Allure's own (``tryfirst``):
    earlier, allure-pytest would still add labels and a history id of its own.
    """
    result = listener.allure_logger.get_test(None) if listener is not None else None
    if result is None:
        return
    result.name, result.fullName = identity.title, identity.full_name
    result.historyId, result.testCaseId = identity.history_id, identity.case_id
    result.titlePath = identity.title_path
    result.parameters = [
        *(Parameter(name=name, value=value) for name, value in identity.parameters.items()),
        *(_exclude(parameter) for parameter in result.parameters if parameter.name not in identity.parameters),
    ]
    others = {(label.name, label.value) for label in result.labels if label.name not in _OWN_LABELS}
    if severity is not None:
        others.add(("severity", severity))
    result.labels = [Label(name, value) for name, value in [*own_labels(identity).items(), *sorted(others)]]
    if result.statusDetails is not None:
        result.statusDetails.message = printable(result.statusDetails.message or "")
        result.statusDetails.trace = printable(result.statusDetails.trace or "")
    if times is not None:
        result.start, result.stop = map(_milliseconds, times)


def own_labels(identity: Identity) -> dict[str, str]:
    """Return the labels that redrill decides; the endpoint is the one host, so that it gets a lane in the timeline."""
    labels = {"parentSuite": "redrill", "suite": identity.promise, "package": identity.module, "thread": "redrill"}
    return {**labels, "host": identity.endpoint or "fleet", "endpoint": identity.endpoint or "fleet"}


def _exclude(parameter: Parameter) -> Parameter:
    parameter.excluded = True
    return parameter


def _facts(phase: Phase) -> list[Parameter]:
    facts = {"took": f"{phase.seconds:.2f} s of {phase.budget:g} s", "detail": printable(phase.detail)}
    return [Parameter(name=name, value=value) for name, value in facts.items() if value]


def _why(phase: Phase, record: DrillRecord) -> str:
    is_cause = record.failure is not None and record.failure.step is phase.step
    return printable(record.failure.message if is_cause and record.failure else phase.detail)


def _milliseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
