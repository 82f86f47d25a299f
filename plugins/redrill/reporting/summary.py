"""What people read at the end of a run: verdict.json, summary.md and the table at the terminal."""

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from redrill.model.measured import Recovery
from redrill.model.values import spell_seconds
from redrill.model.verdict import Decision, EndpointVerdict, JudgementOutcome, Verdict
from redrill.model.weighed import State, Tally
from redrill.private import write_private
from redrill.reporting.recoveries import choose_worst, tell_loss, tell_neighbour, tell_phases, worst_rpo, worst_rto

REASONS_SHOWN = 12
_NOTHING = "-"
_HEADINGS = ("endpoint", "verdict", "drill", "RTO", "RPO", "passed", "failed", "broken", "blocked", "n/a")
_STYLES = {
    Decision.APPROVE: {"green": True, "bold": True},
    Decision.REJECT: {"red": True, "bold": True},
    Decision.INCOMPLETE: {"yellow": True, "bold": True},
}
_FILES = (
    ("allure-report/index.html", "the report, once it is rendered"),
    ("summary.md", "this verdict for a change ticket"),
    ("verdict.json", "this verdict for a script"),
    ("findings.jsonl", "every finding with its state"),
    ("records/", "the evidence of each endpoint, and a picture of its recovery"),
)


class Line(NamedTuple):
    """One line for a terminal; ``markup`` is what pytest's terminal writer takes, such as {'red': True}."""

    text: str
    markup: dict[str, bool]


def write_verdict(run_dir: Path, verdict: Verdict) -> Path:
    """Write and return verdict.json; two equal verdicts give the same bytes."""
    path = run_dir / "verdict.json"
    write_private(path, verdict.model_dump_json(indent=2) + "\n")
    return path


def write_summary(run_dir: Path, verdict: Verdict) -> Path:
    """Write and return summary.md, the verdict as a change ticket takes it."""
    path = run_dir / "summary.md"
    write_private(path, "\n".join(_markdown(verdict)) + "\n")
    return path


def render_terminal(verdict: Verdict, run_dir: Path, width: int) -> list[Line]:
    """Return the end of a run for a terminal of ``width`` columns.

    That is the table of verdicts, what was measured, reasons, files, warnings, and the decision last.
    """
    lines = [*_table(verdict.endpoints), Line("", {}), *_measured(verdict.endpoints, max(width, 40))]
    for reason in verdict.reasons[:REASONS_SHOWN]:
        lines += [Line(text, {}) for text in _wrap(reason, max(width, 40))]
    if hidden := verdict.reasons[REASONS_SHOWN:]:
        lines.append(Line(f"  * … and {len(hidden)} more, all of them in verdict.json", {}))
    if verdict.reasons:
        lines.append(Line("", {}))
    lines += [Line(f"  {run_dir / name}  ({what})", {}) for name, what in _FILES]
    if findings := _findings_line(verdict.findings):
        lines += [Line("", {}), *(Line(text, {}) for text in textwrap.wrap(findings, max(width, 40)))]
    for warning in verdict.warnings:
        lines += [Line("", {}), *(Line(text, {"yellow": True}) for text in _wrap(warning, max(width, 40)))]
    lines += [Line("", {}), Line(_decision_line(verdict), _STYLES[verdict.decision])]
    return lines


def _measured(endpoints: Sequence[EndpointVerdict], width: int) -> Iterable[Line]:
    """Return what was measured of the endpoints, or of the worst of them, one line each where there is room."""
    told, hidden = choose_worst(endpoints)
    names = [f"{each.endpoint} {each.subject}" for each in told]
    indent = max(map(len, names), default=0) + 4
    wrapper = textwrap.TextWrapper(
        width, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    for name, each in zip(names, told, strict=True):
        words = wrapper.wrap(f"  {name.ljust(indent - 4)}  {each.words}")
        yield from (Line(text, {"red": True} if each.part > 1 else {}) for text in words)
    if hidden:
        yield Line(f"  … and {_count(hidden, 'endpoint')} whose figures are better, all of them in summary.md", {})
    if told:
        yield Line("", {})


def _findings_line(tally: Tally) -> str:
    """Return the findings in numbers and how many waivers and rules want to be looked at; '' when there is neither."""
    counts = ", ".join(f"{number} {state}" for state, number in tally.states.items() if number)
    troubles = ((tally.expired, "expired"), (tally.escalated, "extended too often"), (tally.unused, "not used"))
    told = ", ".join(f"{len(lines)} {trouble}" for lines, trouble in troubles if lines)
    parts = [f"findings: {counts}" * bool(counts), f"waivers and ignore rules: {told} (see summary.md)" * bool(told)]
    return "; ".join(filter(None, parts))


def _wrap(reason: str, width: int) -> list[str]:
    # paths stay whole, so that they can be copied
    wrapper = textwrap.TextWrapper(width, "  * ", "    ", break_long_words=False, break_on_hyphens=False)
    return wrapper.wrap(reason)


def _decision_line(verdict: Verdict) -> str:
    figures = verdict.figures
    parts = [_count(figures.endpoints, "endpoint"), _count(figures.judgements, "test")]
    if figures.drill_seconds is not None:
        parts.append(f"drilled in {figures.drill_seconds:.1f} s")
    if figures.worst_rto_seconds is not None:
        parts.append(f"worst RTO {spell_seconds(figures.worst_rto_seconds)}")
    if figures.worst_rpo_seconds is not None:
        parts.append(f"worst RPO {spell_seconds(figures.worst_rpo_seconds)}")
    return f"{verdict.decision} (exit {verdict.exit_code:d}): {', '.join(parts)}"


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}{'' if number == 1 else 's'}"


def _table(endpoints: Sequence[EndpointVerdict]) -> Iterable[Line]:
    rows = [_HEADINGS, *map(_row, endpoints)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for index, row in enumerate(rows):
        texts = [cell.ljust(size) for cell, size in zip(row[:2], widths[:2], strict=True)]
        figures = [cell.rjust(size) for cell, size in zip(row[2:], widths[2:], strict=True)]
        yield Line("  ".join(texts + figures), _STYLES[endpoints[index - 1].decision] if index else {"bold": True})


def _row(one: EndpointVerdict) -> tuple[str, ...]:
    drill = f"{one.drill_seconds:.1f} s" if one.drill_seconds is not None else _NOTHING
    rto, rpo = worst_rto(one.applications.values()) or _NOTHING, worst_rpo(one.losses.values()) or _NOTHING
    counts = (str(one.counts.get(outcome, 0)) for outcome in JudgementOutcome)
    return (one.endpoint, str(one.decision), drill, rto, rpo, *counts)


def _markdown(verdict: Verdict) -> Iterable[str]:
    yield f"# redrill: {verdict.decision} for '{verdict.fleet}'"
    yield ""
    yield f"**{_decision_line(verdict)}**"
    yield ""
    yield f"Run `{verdict.run}`, mode `{verdict.mode}`."
    yield ""
    yield f"| {' | '.join(_HEADINGS)} |"
    yield f"|{'|'.join([' --- '] * 2 + [' ---: '] * (len(_HEADINGS) - 2))}|"
    yield from _rows(map(_row, verdict.endpoints))
    if verdict.reasons:
        yield "## Reasons, gravest first"
        yield ""
        yield from (f"- {_cell(reason)}" for reason in verdict.reasons)
        yield ""
    yield from _measured_chapter(verdict.endpoints)
    yield from _findings_chapter(verdict.findings)
    if verdict.warnings:
        yield from ("## Warnings", "", *(f"- {_cell(warning)}" for warning in verdict.warnings), "")
    yield "## Where to look"
    yield ""
    yield from (f"- `{name}`: {what}" for name, what in _FILES if name != "summary.md")
    for name in (one.endpoint for one in verdict.endpoints):
        picture = f"; `records/{name}/timeline.svg`: how it came back" if verdict.mode.is_destructive else ""
        yield f"- `records/{name}.json`: {name}{picture}"


def _measured_chapter(endpoints: Sequence[EndpointVerdict]) -> Iterable[str]:
    recoveries = [
        (one.endpoint, name, *_recovery_cells(each))
        for one in endpoints
        for name, each in one.applications.items()
        if each.is_measured
    ]
    losses = [(one.endpoint, name, tell_loss(each)) for one in endpoints for name, each in one.losses.items()]
    others = [(one.endpoint, name, tell_neighbour(each)) for one in endpoints for name, each in one.neighbours.items()]
    if recoveries or losses or others:
        yield from ("## How long, and what was lost?", "")
    if recoveries:
        yield "| endpoint | application | RTO | objective | down | phases, in seconds | held | its data in the backup |"
        yield "| --- | --- | ---: | ---: | ---: | --- | ---: | --- |"
        yield from _rows(recoveries)
    if losses:
        yield "| endpoint | state class | RPO |"
        yield "| --- | --- | --- |"
        yield from _rows(losses)
    if others:
        yield "| drilled | neighbour | how it fared meanwhile |"
        yield "| --- | --- | --- |"
        yield from _rows(others)


def _recovery_cells(one: Recovery) -> tuple[str, ...]:
    times = (one.objective_seconds, one.downtime_seconds)
    objective, down = (spell_seconds(time) if time is not None else _NOTHING for time in times)
    rto = "never" if one.rto_seconds is None else spell_seconds(one.rto_seconds)
    phases, held = tell_phases(one.phases) or _NOTHING, spell_seconds(one.held_seconds)
    return rto, objective, down, phases, held, one.consistency or _NOTHING


def _rows(rows: Iterable[Sequence[str]]) -> Iterable[str]:
    yield from (f"| {' | '.join(map(_cell, row))} |" for row in rows)
    yield ""


def _findings_chapter(tally: Tally) -> Iterable[str]:
    told = {promise: counts for promise, counts in tally.promises.items() if counts}
    if told:
        yield "## Findings"
        yield ""
        yield f"| promise | {' | '.join(State)} |"
        yield f"| --- |{' ---: |' * len(State)}"
        for promise, counts in told.items():
            yield f"| {_cell(promise)} | {' | '.join(str(counts.get(state, 0)) for state in State)} |"
        yield ""
    chapters = {
        "Waivers that have expired": tally.expired,
        "Waivers that were extended too often": tally.escalated,
        "Waivers in force": tally.waived,
        "Waivers and ignore rules that matched nothing": tally.unused,
    }
    for title, lines in chapters.items():
        if lines:
            yield from (f"### {title}", "", *(f"- {_cell(line)}" for line in lines), "")
    if tally.waivers:
        yield f"Judged by the waivers of `{tally.waivers}`."
        yield ""


def _cell(text: str) -> str:
    """Return text in which Markdown and HTML see no marks of their own."""
    escaped = text.replace("&", "&amp;").replace("<", "&lt;")
    return "".join(f"\\{char}" if char in "\\`*[]|" else char for char in escaped)
