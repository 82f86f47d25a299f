"""The picture of one recovery: what the time went into, when each application answered, and what was lost."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from redrill.model.fleet import Endpoint
from redrill.model.phases import READY, phases_until
from redrill.model.record import DrillRecord
from redrill.model.recovery import ApplicationResult, CanaryResult, Span
from redrill.model.values import spell_seconds
from redrill.private import write_private
from redrill.reporting.svg import Axis, Picture, shorten, spell_mark, width_of

HELD = "held"
_FILE = "timeline.svg"
_WIDTH, _LABELS, _RESULTS, _BEFORE, _GAP = 1080.0, 190.0, 190.0, 170.0, 22.0
_ROW, _BAR, _TOP = 34.0, 20.0, 108.0
_SMALL = 11.0
_PALETTE = ("#7a4fb5", "#0b63c5", "#0f7f8c", "#a86200", "#a13670", "#4d5bce", "#5b771d", "#8a4b2d")
_OWN_COLOURS = {READY: "#475569", HELD: "#2a8547"}
_GOOD, _BAD, _UNKNOWN, _QUIET, _GRID = "#2a8547", "#c62828", "#aab2bd", "#59636e", "#e4e7eb"


def render_timeline(record: DrillRecord, endpoint: Endpoint) -> str | None:
    """Return the recovery of an endpoint as an SVG; None when it was not wiped, so that there is nothing to show."""
    return None if record.wiped_at is None else _Timeline(record, endpoint).draw()


def write_timeline(run_dir: Path, record: DrillRecord, endpoint: Endpoint) -> None:
    """Write the picture beside the evidence of the endpoint, where there is something to show."""
    picture = render_timeline(record, endpoint)
    if picture is not None:
        write_private(run_dir / "records" / record.endpoint / _FILE, picture)


class _Timeline:
    def __init__(self, record: DrillRecord, endpoint: Endpoint) -> None:
        self._record, self._endpoint = record, endpoint
        self._phases = _phases(record)
        self._backup_age = _backup_age(record)
        left = _LABELS + (_BEFORE + _GAP if self._earliest else 0.0)
        self._before = Axis(-self._earliest * 1.1, 0, _LABELS, _LABELS + _BEFORE)
        self._since = Axis(0, self._end(), left, _WIDTH - _RESULTS - 12)
        self._picture = Picture(_WIDTH, self._title(), self._describe())
        self._y = _TOP

    @property
    def _earliest(self) -> float:
        """How many seconds before the outage the picture begins, but for a margin; 0: with the outage."""
        losses = [canary.loss or 0.0 for canary in self._record.canaries.values()]
        return max([self._backup_age or 0.0, *losses])

    def _end(self) -> float:
        """Return the last moment to show: an objective only when it does not squeeze everything else."""
        results = self._record.applications.values()
        ends = [span.ended for span in self._phases]
        ends += [change.at for result in results for change in result.changes]
        ends += [(result.recovered_after or 0.0) + result.held for result in results]
        end = max(ends, default=1.0)
        near = [objective for name in self._record.applications if (objective := self._rto(name)) <= 1.6 * end]
        return max([end, *near]) * 1.02

    def _rto(self, application: str) -> float:
        declared = application in self._endpoint.applications
        objectives = self._endpoint.objectives_of(application) if declared else self._endpoint.objectives
        return objectives.rto.total_seconds()

    def draw(self) -> str:
        """Return the whole picture."""
        rows = len(self._record.applications) + len(self._record.canaries)
        legend = _legend_lines(self._phases, self._since.right - self._since.left)
        bottom = _TOP + _ROW * (1 + rows) + 18 * len(legend) + 4
        self._draw_ground(bottom)
        self._draw_moments(bottom)
        self._draw_phases(legend)
        for name, result in sorted(self._record.applications.items()):
            self._draw_application(name, result)
        for name, canary in sorted(self._record.canaries.items()):
            self._draw_state(name, canary)
        return self._picture.render(bottom + self._draw_failure(bottom) + 16)

    def _title(self) -> str:
        times = [result.recovered_after for result in self._record.applications.values()]
        known = [time for time in times if time is not None]
        name = self._record.endpoint
        if self._record.failure is not None and not self._record.failure.is_of_clean_up:
            return f"{name}: the drill broke in phase '{self._record.failure.step.value}'"
        if len(known) < len(times):
            return f"{name}: not every application came back"
        return f"{name}: back in {spell_seconds(max(known))}" if known else f"{name}: rebuilt"

    def _describe(self) -> str:
        parts = [f"{span.name} {spell_seconds(span.seconds)}" for span in self._phases]
        words = [f"Parts of the recovery: {', '.join(parts)}."] if parts else []
        for name, result in sorted(self._record.applications.items()):
            after = result.recovered_after
            came = f"was healthy after {spell_seconds(after)}" if after is not None else "did not come back"
            words.append(f"Application {name} {came}; its objective is {spell_seconds(self._rto(name))}.")
        words += [f"State class {name}: {_tell_state(each)}." for name, each in sorted(self._record.canaries.items())]
        return " ".join(words)

    def _draw_ground(self, bottom: float) -> None:
        """Draw the words on top, both axes, and what is behind the rows."""
        picture, record = self._picture, self._record
        picture.text(16, 30, self._title(), 18, more='font-weight="600"')
        began = (record.outage_at or record.wiped_at or record.started).strftime("%Y-%m-%d %H:%M:%S UTC")
        what = f"run {record.run}, mode {record.mode.value}, outage at {began}"
        picture.text(16, 50, what, 12, _QUIET)
        if self._earliest:
            self._draw_axis(self._before, bottom, "before the outage")
        self._draw_axis(self._since, bottom, "since the outage began")

    def _draw_axis(self, axis: Axis, bottom: float, caption: str) -> None:
        self._picture.text(axis.left, 74, caption, _SMALL, _QUIET)
        for mark in axis.marks(62):
            x, words = axis.at(mark), spell_mark(mark)
            self._picture.line((x, 98), (x, bottom), _GRID)
            half = width_of(words, _SMALL) / 2
            self._picture.text(min(max(x, axis.left + half), axis.right), 92, words, _SMALL, _QUIET, _CENTRED)

    def _draw_phases(self, legend: Sequence[Sequence[Span]]) -> None:
        self._label("recovery")
        for span in self._phases:
            left, right = self._since.at(span.started), self._since.at(span.ended)
            words = _legend_words(span)
            self._picture.box(left, self._y, right - left - 1, _BAR, self._colour(span), words)
            inside = next((each for each in (words, span.name) if width_of(each, _SMALL) + 8 <= right - left), "")
            self._picture.text(left + 4, self._y + 14, inside, _SMALL, "#ffffff")
        self._y += _ROW - 6
        for line in legend:
            x = self._since.left
            for span in line:
                self._picture.box(x, self._y + 1, 9, 9, self._colour(span))
                self._picture.text(x + 13, self._y + 10, _legend_words(span), _SMALL, _QUIET)
                x += _legend_width(span)
            self._y += 18
        self._y += 10

    def _colour(self, span: Span) -> str:
        names = list(dict.fromkeys(each.name for each in self._phases if each.name not in _OWN_COLOURS))
        return _OWN_COLOURS.get(span.name) or _PALETTE[names.index(span.name) % len(_PALETTE)]

    def _draw_application(self, name: str, result: ApplicationResult) -> None:
        objective, after = self._rto(name), result.recovered_after
        self._label(name, "application")
        for started, ended, is_healthy, tip in _health(result, self._since.end):
            left, width = self._since.at(started), self._since.at(ended) - self._since.at(started)
            if is_healthy is None:
                self._picture.box(left, self._y + 8, width, 4, _UNKNOWN, tip)
            elif is_healthy:
                self._picture.box(left, self._y, width, _BAR, _GOOD, tip)
            else:
                # Lower than a healthy one, so that the colour is not all that tells them apart.
                self._picture.box(left, self._y + 6, width, 8, _BAD, tip)
        if after is not None:
            self._picture.dot(self._since.at(after), self._y + 10, "#0d3b1e", f"healthy from {spell_seconds(after)} on")
            held = width_of(words := f"held {spell_seconds(result.held)}", _SMALL)
            if self._since.at(after + result.held) - self._since.at(after) > held + 14:
                self._picture.text(self._since.at(after) + 9, self._y + 14, words, _SMALL, "#ffffff")
        if objective <= self._since.end:
            x = self._since.at(objective)
            self._picture.line((x, self._y - 4), (x, self._y + _BAR + 4), _BAD, _DASHED)
            is_far = x - self._since.left > 60
            self._picture.text(
                x - 4 if is_far else x + 4, self._y - 1, "objective", 9, _BAD, _TO_THE_LEFT if is_far else ""
            )
        told = "never" if after is None else spell_seconds(after)
        self._result(f"RTO {told} of {spell_seconds(objective)}", is_good=after is not None and after <= objective)
        self._y += _ROW

    def _draw_state(self, name: str, canary: CanaryResult) -> None:
        owner = self._endpoint.applications.get(canary.application or "")
        objectives = (owner and owner.objectives) or self._endpoint.objectives
        objective = objectives.rpo.total_seconds()
        self._label(name, "state")
        if canary.loss:
            left = self._before.at(-canary.loss)
            tip = f"the last survivor was written {spell_seconds(canary.loss)} before the outage"
            self._picture.box(left, self._y + 3, self._before.right - left, 14, _BAD, tip)
            self._picture.dot(left, self._y + 10, "#0d3b1e", tip)
        elif self._earliest and canary.loss is not None:
            self._picture.dot(self._before.right, self._y + 10, _GOOD, "every acknowledged write came back")
        self._picture.text(
            self._since.left + 8, self._y + 14, shorten(_tell_state(canary), 560, _SMALL), _SMALL, _QUIET
        )
        told = "unknown" if canary.loss is None else spell_seconds(canary.loss)
        is_harmed = bool(canary.unknown or canary.lost_before_backup or canary.altered)
        is_late = canary.loss is None or canary.loss > objective
        self._result(f"RPO {told} of {spell_seconds(objective)}", is_good=not (is_harmed or is_late))
        self._y += _ROW

    def _draw_moments(self, bottom: float) -> None:
        """Draw the lines that go behind all rows: the backup, the outage, all healthy."""
        if self._backup_age is not None:
            words = f"backup, {spell_seconds(self._backup_age)} old"
            self._moment(self._before, -self._backup_age, bottom, "#0b63c5", words)
        if self._earliest:
            self._moment(self._before, 0, bottom, "#1f2328")
        times = [result.recovered_after for result in self._record.applications.values()]
        healthy = max((time for time in times if time is not None), default=0.0) if None not in times else 0.0
        if healthy:
            self._moment(self._since, healthy, bottom, _GOOD, f"healthy, {spell_seconds(healthy)}")
        has_room = not healthy or self._since.at(healthy) - self._since.left > 100
        self._moment(self._since, 0, bottom, "#1f2328", "outage begins" if has_room else "")

    def _moment(self, axis: Axis, seconds: float, bottom: float, colour: str, words: str = "") -> None:
        x = axis.at(seconds)
        self._picture.line((x, 98), (x, bottom), colour, 'stroke-width="1.5"')
        if x + width_of(words, _SMALL) + 5 < max(axis.right, _LABELS + _BEFORE):
            self._picture.text(x + 5, bottom + 4, words, _SMALL, colour)
        else:
            self._picture.text(x - 5, bottom + 4, words, _SMALL, colour, _TO_THE_LEFT)

    def _draw_failure(self, bottom: float) -> float:
        """Write what broke the drill; return how much height it takes."""
        failure = self._record.failure
        if failure is None:
            return 0.0
        words = f"phase '{failure.step.value}': {failure.error}: {failure.message}"
        self._picture.text(16, bottom + 26, shorten(words, _WIDTH - 32, 12), 12, _BAD)
        return 24.0

    def _label(self, name: str, sort: str = "") -> None:
        self._picture.text(16, self._y + 14, shorten(name, _LABELS - 70, 12), 12, more='font-weight="600"')
        self._picture.text(_LABELS - 10, self._y + 14, sort, 10, _QUIET, _TO_THE_LEFT)

    def _result(self, words: str, *, is_good: bool) -> None:
        x = self._since.right + 16
        self._picture.text(x, self._y + 14, words, 12, _GOOD if is_good else _BAD, 'font-weight="600"')


_CENTRED, _TO_THE_LEFT = 'text-anchor="middle"', 'text-anchor="end"'
_DASHED = 'stroke-width="1.5" stroke-dasharray="4 3"'


def _phases(record: DrillRecord) -> tuple[Span, ...]:
    """Return the parts of the slowest recovery, as far as there was one, and how long it held."""
    spans = [span for span in record.timeline if span.name not in _OWN_COLOURS]
    results = record.applications.values()
    slowest = max(results, key=lambda result: result.recovered_after or 0.0, default=None)
    if slowest is None or slowest.recovered_after is None:
        return tuple(spans)
    after = slowest.recovered_after
    held = Span(name=HELD, started=after, ended=after + slowest.held)
    return (*phases_until(spans, after), held)


def _backup_age(record: DrillRecord) -> float | None:
    """Return how many seconds before the outage the backup was taken."""
    taken = record.snapshot.taken if record.snapshot else None
    began = record.outage_at or record.wiped_at
    return max(0.0, (began - taken).total_seconds()) if taken and began else None


def _health(result: ApplicationResult, end: float) -> list[tuple[float, float, bool | None, str]]:
    """Return from when to when an application was healthy, was not, or nobody knows (None), with what it said."""
    changes: list[tuple[float, bool | None, str]] = [
        (max(change.at, 0.0), change.healthy, change.detail) for change in result.changes
    ]
    if not changes or changes[0][0] > 0:
        changes.insert(0, (0.0, None, "not asked"))
    elif changes[0][1] and result.last_healthy is not None:
        # What was well before the outage is not known to be well until it first says otherwise.
        changes[0] = (0.0, None, "no answer yet")
    after, last = result.recovered_after, end
    if after is not None:
        before = [change for change in changes if change[0] <= after]
        later = changes[len(before) :]
        changes = [*before, *([] if before[-1][1] else [(after, True, "")]), *later]
        last = end if later else after + result.held
    return [
        (started, ended, is_healthy, f"{_STATES[is_healthy]} from {spell_seconds(started)}: {detail}".rstrip(": "))
        for (started, is_healthy, detail), (ended, *_) in pairwise([*changes, (last, None, "")])
        if ended > started
    ]


_STATES = {True: "healthy", False: "not healthy", None: "unknown"}


def _tell_state(canary: CanaryResult) -> str:
    if canary.unknown:
        return f"not known: {canary.unknown}"
    words = f"{canary.survived} of {canary.written} writes came back, one every {spell_mark(canary.interval)}"
    harm = [
        f"{len(numbers)} {what}"
        for numbers, what in ((canary.lost_before_backup, "lost from before the backup"), (canary.altered, "altered"))
        if numbers
    ]
    return ", ".join([words, *harm])


def _legend_words(span: Span) -> str:
    return f"{span.name} {spell_seconds(span.seconds)}"


def _legend_width(span: Span) -> float:
    return width_of(_legend_words(span), _SMALL) + 30


def _legend_lines(spans: Sequence[Span], room: float) -> list[list[Span]]:
    """Return the parts in lines that are as wide as there is room."""
    lines: list[list[Span]] = []
    left = 0.0
    for span in spans:
        if not lines or _legend_width(span) > left:
            lines.append([])
            left = room
        lines[-1].append(span)
        left -= _legend_width(span)
    return lines
