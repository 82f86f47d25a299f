"""Figures of many drills: percentiles, how often, and how the last one compares with those before it."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from redrill.model.measurement import Measurement
from redrill.model.values import Mode

NEVER = math.inf
"""The time of an application that did not come back; as an RPO: nobody knows how much was lost."""


class Trend(NamedTuple):
    """What the drills of one application came to, in one mode; times in seconds, NEVER for no recovery.

    ``change`` is the last time against the median of all before it, 0.25 for a quarter slower; None where that cannot
    be said. Interrupted drills count as drills, their times do not. ``rpo_last`` and ``rpo_worst`` are the worst of all
    state classes, None where there is none; one that is not known is the worst of all.
    """

    endpoint: str
    application: str
    mode: Mode
    drills: int
    p50: float | None
    p90: float | None
    worst: float | None
    last: float | None
    change: float | None
    rpo_last: float | None
    rpo_worst: float | None
    last_drilled: datetime


def percentile(values: Sequence[float], percent: float) -> float:
    """Return the smallest of the values that at least ``percent`` of them do not exceed: one that was measured.

    That is the nearest rank; ``values`` must not be empty, ``percent`` is above 0 and up to 100.
    """
    return sorted(values)[max(math.ceil(len(values) * percent / 100), 1) - 1]


def trends_of(history: Sequence[Measurement]) -> list[Trend]:
    """Return the figures of each application, in the order of their names; ``history`` has the oldest first."""
    groups: dict[tuple[str, str, Mode], list[Measurement]] = {}
    for each in history:
        groups.setdefault((each.endpoint, each.application, each.mode), []).append(each)
    return [_trend(*key, groups[key]) for key in sorted(groups)]


def _trend(endpoint: str, application: str, mode: Mode, drills: Sequence[Measurement]) -> Trend:
    times = [
        NEVER if each.recovered_after is None else each.recovered_after for each in drills if not each.is_interrupted
    ]
    losses = [loss for each in drills if (loss := _worst_loss(each)) is not None]
    return Trend(
        endpoint=endpoint,
        application=application,
        mode=mode,
        drills=len(drills),
        p50=percentile(times, 50) if times else None,
        p90=percentile(times, 90) if times else None,
        worst=max(times, default=None),
        last=times[-1] if times else None,
        change=_change(times),
        rpo_last=_worst_loss(drills[-1]),
        rpo_worst=max(losses, default=None),
        last_drilled=drills[-1].began,
    )


def _worst_loss(drill: Measurement) -> float | None:
    return max((NEVER if loss is None else loss for loss in drill.losses.values()), default=None)


def _change(times: Sequence[float]) -> float | None:
    if len(times) < 2:
        return None
    median = percentile(times[:-1], 50)
    return times[-1] / median - 1 if 0 < median < NEVER and times[-1] < NEVER else None
