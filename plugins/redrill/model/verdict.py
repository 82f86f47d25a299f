"""What a run comes to: the judgements and the records of all endpoints, folded into one decision with its reasons."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from pydantic import Field

from redrill.errors import GRAVEST_FIRST, Exit, gravest
from redrill.model.fleet import Fleet
from redrill.model.measured import Loss, Neighbour, Recovery, losses_of, neighbours_of, recoveries_of
from redrill.model.record import DrillRecord
from redrill.model.values import Mode, Text, Value, printable
from redrill.model.weighed import State, Tally

SCHEMA = 1


class Decision(StrEnum):
    """What a change board is told."""

    APPROVE = "APPROVE"
    REJECT = "REJECT"
    INCOMPLETE = "INCOMPLETE"


class JudgementOutcome(StrEnum):
    """How one test ended; *blocked* and *not-applicable* judged nothing, *broken* says nothing about the endpoint."""

    PASSED = "passed"
    FAILED = "failed"
    BROKEN = "broken"
    BLOCKED = "blocked"
    NOT_APPLICABLE = "not-applicable"


class Judgement(Value):
    """How one test of one endpoint (None: of the fleet) ended.

    ``test`` is a stable id such as 'redrill_suites.test_drift::test_nothing_leaks'; ``parameters`` are what else the
    test is parametrised by, such as the application; ``message`` says why it did not pass.
    """

    test: str
    endpoint: str | None
    outcome: JudgementOutcome
    parameters: dict[str, str] = Field(default_factory=dict)
    message: Text = ""


class RunFailure(Value):
    """What broke the run as a whole, apart from any drill: a clean-up that left something, a refusal, a stop."""

    exit_code: Exit
    message: Text


class EndpointVerdict(Value):
    """What the run says of one endpoint, and what it has measured of its applications and state classes.

    ``first_cause`` is what broke it first, None where nothing broke.
    """

    endpoint: str
    decision: Decision
    counts: dict[JudgementOutcome, int]
    applications: dict[str, Recovery] = Field(default_factory=dict)
    losses: dict[str, Loss] = Field(default_factory=dict)
    neighbours: dict[str, Neighbour] = Field(default_factory=dict)
    lost_writes: int | None = None
    drill_seconds: float | None = None
    first_cause: str | None = None


class Figures(Value):
    """The run in numbers: from first start to last end of its drills, worst RTO and RPO, lost writes, findings."""

    endpoints: int
    judgements: int
    drill_seconds: float | None = None
    worst_rto_seconds: float | None = None
    worst_rpo_seconds: float | None = None
    lost_writes: int | None = None
    findings: dict[State, int] = {}


class Verdict(Value):
    """The outcome of a run; ``reasons`` are sentences, gravest first; there is none exactly when it is APPROVE.

    ``warnings`` are sentences about what is missing around it and changes nothing of it.
    """

    schema_version: int = SCHEMA
    decision: Decision
    exit_code: Exit
    run: str
    fleet: str
    mode: Mode
    reasons: tuple[str, ...]
    figures: Figures
    endpoints: tuple[EndpointVerdict, ...]
    findings: Tally = Tally()
    warnings: tuple[Text, ...] = ()


class _Reason(NamedTuple):
    """Why the run is not green; NOTHING_JUDGED is a gap that becomes INCOMPLETE beside anything that was judged."""

    code: Exit
    text: str


def reach_verdict(  # noqa: PLR0917 - all that a verdict rests on, in the order of a run
    fleet: Fleet,
    run: str,
    mode: Mode,
    endpoints: Sequence[str],
    records: Mapping[str, DrillRecord],
    judgements: Sequence[Judgement],
    failures: Sequence[RunFailure] = (),
    tally: Tally | None = None,
) -> Verdict:
    """Return the verdict on ``endpoints``: the gravest of all that happened wins; what nobody judged is never green.

    Judgements of endpoints that are not listed count as well; records of such endpoints do not. The order of the
    judgements does not matter.
    """
    of_run = frozenset(endpoints)
    own_records = {name: records[name] for name in endpoints if name in records}
    of_endpoint: dict[str, list[Judgement]] = {name: [] for name in endpoints}
    of_fleet: list[Judgement] = []
    for one in sorted(judgements, key=_identity):
        (of_fleet if one.endpoint is None else of_endpoint.setdefault(one.endpoint, [])).append(one)
    reasons = [_Reason(_as_failure(failure.exit_code), _sentence("", failure.message)) for failure in failures]
    reasons += _reasons_of_judgements(of_fleet)
    verdicts = []
    for name, own in of_endpoint.items():
        record = own_records.get(name)
        evidence = _reasons_of_record(name, mode, record) if name in of_run else ()
        found = [*evidence, *_reasons_of_endpoint(name, own, record)]
        verdicts.append(_judge_endpoint(name, fleet, record, own, found))
        reasons += found
    code = _weigh(reasons, any(_says_something(one) for own in of_endpoint.values() for one in own))
    if code is Exit.NOTHING_JUDGED and not reasons:
        reasons.append(_Reason(code, "Nothing was judged: the run has no endpoint."))
    return Verdict(
        decision=_decide(code),
        exit_code=code,
        run=run,
        fleet=fleet.name,
        mode=mode,
        reasons=tuple(reason.text for reason in sorted(reasons, key=_gravity)),
        figures=_sum_up(verdicts, list(own_records.values()), len(judgements), tally or Tally()),
        endpoints=tuple(verdicts),
        findings=tally or Tally(),
    )


def _identity(judgement: Judgement) -> tuple[str, str, list[tuple[str, str]], str, str]:
    parameters = sorted(judgement.parameters.items())
    return judgement.endpoint or "", judgement.test, parameters, judgement.outcome, judgement.message


def _says_something(judgement: Judgement) -> bool:
    return judgement.outcome is not JudgementOutcome.NOT_APPLICABLE


def _as_failure(code: Exit) -> Exit:
    """Return the code of something that broke: whatever the table of outcomes does not rank is INCOMPLETE."""
    return code if code in GRAVEST_FIRST and code is not Exit.REJECT else Exit.INCOMPLETE


def _reasons_of_record(name: str, mode: Mode, record: DrillRecord | None) -> Iterable[_Reason]:
    if record is None:
        if mode.is_destructive:
            yield _Reason(Exit.NOTHING_JUDGED, f"'{name}' has no record of a drill.")
    elif record.failure is not None:
        cause = _sentence(f"'{name}' failed in phase '{record.failure.step}': ", record.failure.message)
        yield _Reason(_as_failure(record.failure.exit_code), cause)
    elif mode.is_destructive and record.wiped_at is None:
        yield _Reason(Exit.INCOMPLETE, f"'{name}' was not wiped, so nothing is known of its recovery.")


def _reasons_of_endpoint(name: str, judgements: Sequence[Judgement], record: DrillRecord | None) -> Iterable[_Reason]:
    yield from _reasons_of_judgements(judgements)
    if record is not None and record.failure is not None:
        return  # the reason for all that is blocked or missing is given already
    blocked = [one for one in judgements if one.outcome is JudgementOutcome.BLOCKED]
    if blocked:
        start = f"'{name}' has {len(blocked)} blocked test{'s' * (len(blocked) > 1)}: "
        yield _Reason(Exit.INCOMPLETE, _sentence(start, blocked[0].message))
    if not any(map(_says_something, judgements)):
        yield _Reason(Exit.NOTHING_JUDGED, f"'{name}' was not judged: no test of it passed or failed.")


def _reasons_of_judgements(judgements: Sequence[Judgement]) -> Iterable[_Reason]:
    for one in judgements:
        if one.outcome is JudgementOutcome.FAILED:
            yield _Reason(Exit.REJECT, _sentence(f"{_describe(one)} failed: ", one.message))
        elif one.outcome is JudgementOutcome.BROKEN:
            yield _Reason(Exit.INCOMPLETE, _sentence(f"{_describe(one)} broke: ", one.message))
        elif one.outcome is JudgementOutcome.BLOCKED and one.endpoint is None:
            yield _Reason(Exit.INCOMPLETE, _sentence(f"{_describe(one)} is blocked: ", one.message))


def _describe(judgement: Judgement) -> str:
    test = judgement.test.rpartition("::")[2]
    parameters = ", ".join(f"{name} '{value}'" for name, value in sorted(judgement.parameters.items()))
    subject = f"'{judgement.endpoint}'" if judgement.endpoint is not None else "The fleet"
    return f"{subject}: '{test}'{f' ({parameters})' if parameters else ''}"


def _sentence(start: str, message: str) -> str:
    """Return ``start`` and the first line of ``message`` as one sentence."""
    line = next((line.strip() for line in printable(message).splitlines() if line.strip()), "no reason was given")
    return start + (line if line.endswith((".", "!", "?")) else f"{line.rstrip(':;,')}.")


def _gravity(reason: _Reason) -> int:
    rank = Exit.INCOMPLETE if reason.code is Exit.NOTHING_JUDGED else reason.code
    return GRAVEST_FIRST.index(rank)


def _weigh(reasons: Sequence[_Reason], has_judged: bool) -> Exit:
    codes = {reason.code for reason in reasons}
    if not has_judged and codes <= {Exit.NOTHING_JUDGED}:
        return Exit.NOTHING_JUDGED
    return gravest([Exit.INCOMPLETE if code is Exit.NOTHING_JUDGED else code for code in codes])


def _decide(code: Exit) -> Decision:
    return {Exit.APPROVE: Decision.APPROVE, Exit.REJECT: Decision.REJECT}.get(code, Decision.INCOMPLETE)


def _judge_endpoint(
    name: str, fleet: Fleet, record: DrillRecord | None, judgements: Sequence[Judgement], reasons: Sequence[_Reason]
) -> EndpointVerdict:
    counted = Counter(one.outcome for one in judgements)
    losses = losses_of(fleet, record) if record is not None else {}
    return EndpointVerdict(
        endpoint=name,
        decision=_decide(_weigh(reasons, has_judged=True)),
        counts={outcome: counted[outcome] for outcome in JudgementOutcome},
        applications=recoveries_of(fleet, record) if record is not None else {},
        losses=losses,
        neighbours=neighbours_of(fleet, record) if record is not None else {},
        lost_writes=_add(loss.lost for loss in losses.values()),
        drill_seconds=(record.ended - record.started).total_seconds() if record is not None else None,
        first_cause=_first_cause(record, judgements),
    )


def _first_cause(record: DrillRecord | None, judgements: Sequence[Judgement]) -> str | None:
    if record is not None and record.failure is not None:
        return _sentence(f"{record.failure.step}: ", record.failure.message)
    causes = [one.message for one in judgements if one.outcome in (JudgementOutcome.BROKEN, JudgementOutcome.BLOCKED)]
    return _sentence("", causes[0]) if causes else None


def _add(numbers: Iterable[int | None]) -> int | None:
    """Return the sum of the known numbers; None when none is known."""
    known = [number for number in numbers if number is not None]
    return sum(known) if known else None


def _sum_up(
    verdicts: Sequence[EndpointVerdict], records: Sequence[DrillRecord], judgements: int, tally: Tally
) -> Figures:
    times = [one.rto_seconds for verdict in verdicts for one in verdict.applications.values()]
    losses = [one.rpo_seconds for verdict in verdicts for one in verdict.losses.values()]
    span = max(one.ended for one in records) - min(one.started for one in records) if records else None
    return Figures(
        endpoints=len(verdicts),
        judgements=judgements,
        drill_seconds=span.total_seconds() if span is not None else None,
        worst_rto_seconds=max((time for time in times if time is not None), default=None),
        worst_rpo_seconds=max((loss for loss in losses if loss is not None), default=None),
        lost_writes=_add(verdict.lost_writes for verdict in verdicts),
        findings=tally.states,
    )
