"""What a drill has measured, in words: how long each application took, and what each state class lost."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from redrill.model.canary import Consistency
from redrill.model.measured import Loss, Neighbour, Recovery
from redrill.model.values import spell_seconds
from redrill.model.verdict import EndpointVerdict

LINES_SHOWN = 16
"""More do not fit beside the table and the reasons on one screen."""

LEAST_PHASE = 0.05
"""Seconds below which a part of a recovery is not worth its words."""


class Told(NamedTuple):
    """What was measured: whose it is, in words, and how much it is of its objective (above 1: missed)."""

    endpoint: str
    subject: str
    words: str
    part: float


def tell_measured(one: EndpointVerdict) -> list[Told]:
    """Return what was measured of an endpoint: a line for each application, one for all state classes, one for others.

    State classes with another objective have a line of their own.
    """
    name = one.endpoint
    recoveries = [
        Told(name, application, tell_recovery(each), _part(each.rto_seconds, each.objective_seconds))
        for application, each in one.applications.items()
        if each.is_measured
    ]
    by_objective: dict[float | None, dict[str, Loss]] = {}
    for state, each in one.losses.items():
        by_objective.setdefault(each.objective_seconds, {})[state] = each
    losses = [
        Told(name, "", tell_losses(group), max(_part(each.rpo_seconds, objective) for each in group.values()))
        for objective, group in by_objective.items()
    ]
    parts = map(_part_of_errors, one.neighbours.values())
    others = [Told(name, "", tell_neighbours(one.neighbours), max(parts))] if one.neighbours else []
    return [*recoveries, *losses, *others]


def choose_worst(endpoints: Sequence[EndpointVerdict], most: int = LINES_SHOWN) -> tuple[list[Told], int]:
    """Return what was measured, in the order of the run, of as many endpoints as fit, and how many others there are.

    The worst of them fit first, at least one.
    """
    told = {one.endpoint: tell_measured(one) for one in endpoints}
    told = {name: lines for name, lines in told.items() if lines}
    chosen: set[str] = set()
    room = most
    for name in sorted(told, key=lambda name: -max(line.part for line in told[name])):
        room -= len(told[name])
        if chosen and room < 0:
            break
        chosen.add(name)
    return [line for name, lines in told.items() if name in chosen for line in lines], len(told) - len(chosen)


def tell_recovery(recovery: Recovery) -> str:
    """Return such as 'RTO 2.2 s of 2m = wipe 0.3 + restore 0.6 + ready 1.3, held 1.0 s'.

    That its backup was like what a crash leaves is said as well.
    """
    origin = f", from a {Consistency.CRASH} backup" if recovery.consistency is Consistency.CRASH else ""
    if recovery.rto_seconds is None:
        parts = tell_phases(recovery.phases)
        return f"RTO never{_of(recovery.objective_seconds)}{f': {parts}' if parts else ''}{origin}"
    words = f"RTO {spell_seconds(recovery.rto_seconds)}{_of(recovery.objective_seconds)}"
    parts = tell_phases(recovery.phases)
    return f"{words}{f' = {parts}' if parts else ''}, held {spell_seconds(recovery.held_seconds)}{origin}"


def tell_phases(phases: dict[str, float]) -> str:
    """Return the parts of a recovery with their seconds, such as 'wipe 0.3 + restore 41'."""
    return " + ".join(
        f"{name} {spell_seconds(seconds).removesuffix(' s')}"
        for name, seconds in phases.items()
        if seconds >= LEAST_PHASE
    )


def tell_loss(loss: Loss) -> str:
    """Return such as '12 s of 15m: 24 of 412 writes lost'."""
    if loss.unknown or loss.rpo_seconds is None:
        return f"unknown{_of(loss.objective_seconds)}: {loss.unknown or 'it was not measured'}"
    words = f"{spell_seconds(loss.rpo_seconds)}{_of(loss.objective_seconds)}"
    return f"{words}: {loss.lost} of {loss.written} writes lost"


def tell_losses(losses: Mapping[str, Loss]) -> str:
    """Return such as 'RPO of 15m: 1.4 s (orders), 0 s (append /var); 24 of 824 writes lost', the worst first.

    All of ``losses`` have the same objective.
    """
    by_time: dict[str, list[str]] = {}
    worst_first = sorted(losses.items(), key=lambda item: -_part(item[1].rpo_seconds, 1.0))
    for name, each in worst_first:
        by_time.setdefault("unknown" if each.rpo_seconds is None else spell_seconds(each.rpo_seconds), []).append(name)
    told = ", ".join(f"{time} ({', '.join(names)})" for time, names in by_time.items())
    written, lost = sum(each.written for each in losses.values()), sum(each.lost or 0 for each in losses.values())
    return f"RPO{_of(worst_first[0][1].objective_seconds)}: {told}; {lost} of {written} writes lost"


def tell_neighbours(neighbours: Mapping[str, Neighbour]) -> str:
    """Return such as 'neighbours: 2 of 192 answers bad (logs-1/hub: 2 of 96 answers bad, for 0.2 s at once)'."""
    failed, asked = sum(each.failed for each in neighbours.values()), sum(each.asked for each in neighbours.values())
    odd = {name: each for name, each in neighbours.items() if each.failed or each.unasked_seconds}
    told = "; ".join(f"{name}: {tell_neighbour(each)}" for name, each in odd.items())
    return f"neighbours: {failed} of {asked} answers bad{f' ({told})' if told else ''}"


def tell_neighbour(neighbour: Neighbour) -> str:
    """Return such as '2 of 96 answers bad, for 0.2 s at once'."""
    longest = f", for {spell_seconds(neighbour.longest_seconds)} at once" if neighbour.failed else ""
    unasked = neighbour.unasked_seconds
    gap = f", not asked in the first {spell_seconds(unasked)}, for the drill was interrupted" if unasked else ""
    return f"{neighbour.failed} of {neighbour.asked} answers bad{longest}{gap}"


def _part_of_errors(neighbour: Neighbour) -> float:
    if neighbour.asked and not neighbour.failed:
        return 0.0
    # Nobody knows, or none may be bad.
    if not neighbour.asked or not neighbour.objective_percent:
        return math.inf
    return 100 * neighbour.failed / neighbour.asked / neighbour.objective_percent


def _of(objective: float | None) -> str:
    return f" of {spell_seconds(objective)}" if objective is not None else ""


def _part(seconds: float | None, objective: float | None) -> float:
    if seconds is None:
        return math.inf
    return seconds / objective if objective else 0.0


def worst_rto(recoveries: Iterable[Recovery]) -> str:
    """Return the worst recovery beside its objective, such as '2.2 s of 2m'; '' where nothing was measured."""
    measured = [each for each in recoveries if each.is_measured]
    worst = max(measured, key=lambda each: _part(each.rto_seconds, each.objective_seconds), default=None)
    if worst is None:
        return ""
    told = "never" if worst.rto_seconds is None else spell_seconds(worst.rto_seconds)
    return f"{told}{_of(worst.objective_seconds)}"


def worst_rpo(losses: Iterable[Loss]) -> str:
    """Return the worst loss beside its objective; '' where nothing was measured."""
    worst = max(losses, key=lambda each: _part(each.rpo_seconds, each.objective_seconds), default=None)
    if worst is None:
        return ""
    told = "unknown" if worst.rpo_seconds is None else spell_seconds(worst.rpo_seconds)
    return f"{told}{_of(worst.objective_seconds)}"
