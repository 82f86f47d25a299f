"""Measurements of small drills, for the tests of the ledger."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from redrill.model.measurement import Measurement
from redrill.model.values import Mode
from redrill.model.verdict import Decision
from selftests.verdict_samples import START, make_spans


def measure(number: int = 1, recovered_after: float | None = 2.0, **more: Any) -> Measurement:
    """Return what the drill with this number, an hour after the one before it, measured of 'shop' on 'web-1'."""
    given = {
        "run": f"r{number}",
        "fleet": "shop-staging",
        "endpoint": "web-1",
        "application": "shop",
        "mode": Mode.REPLACE,
        "image": "debian 12",
        "began": START + timedelta(hours=number),
        "recovered_after": recovered_after,
        "downtime": 1.9,
        "held": 1.0,
        "verdict": Decision.APPROVE,
        "phases": make_spans(wipe=0.5, restore=1.0),
        "losses": {"orders": 0.2, "append /var": None},
    }
    return Measurement.model_validate({**given, **more})


def measure_all(times: Sequence[float | None]) -> list[Measurement]:
    """Return what one drill after the other measured."""
    return [measure(number, time) for number, time in enumerate(times, 1)]
