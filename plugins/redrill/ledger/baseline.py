"""What a run is compared with: read from the ledger once, and kept in the run for whoever judges it again."""

from collections.abc import Sequence
from pathlib import Path

from redrill.errors import RedrillError
from redrill.ledger.percentiles import percentile
from redrill.ledger.protocol import Ledger
from redrill.model.measurement import Baseline, Measurement, key_of
from redrill.private import write_private

FILE = "baseline.json"
MOST = 20
"""Drills that a recovery is compared with: older ones tell of another time."""

LEAST = 5
"""Fewer do not make a median that a verdict could rest on."""

NOISE_SECONDS = 1.0
"""No recovery counts as slower by less: on a busy controller so much comes and goes by itself."""


def collect_baseline(ledger: Ledger, measurements: Sequence[Measurement]) -> Baseline:
    """Return what these measurements are to be compared with; one that says why, where the ledger cannot be read."""
    try:
        earlier = {
            key_of(each.endpoint, each.application): tuple(
                one.recovered_after for one in ledger.earlier(each, MOST) if one.recovered_after is not None
            )
            for each in measurements
        }
    except RedrillError as error:
        return Baseline(unknown=str(error))
    return Baseline(earlier=earlier, interrupted=tuple({each.endpoint for each in measurements if each.is_interrupted}))


def write_baseline(run_dir: Path, baseline: Baseline) -> None:
    """Keep it with the evidence of the run."""
    write_private(run_dir / FILE, baseline.model_dump_json(indent=1) + "\n")


def read_baseline(run_dir: Path) -> Baseline:
    """Return what a run was compared with: nothing, for one of before there was a ledger."""
    file = run_dir / FILE
    return Baseline.model_validate_json(file.read_bytes()) if file.exists() else Baseline()


def slower_than_usual(took: float, earlier: Sequence[float], percent: float) -> float | None:
    """Return the median of the earlier times when ``took`` is more than ``percent`` above it, and not by noise."""
    median = percentile(earlier, 50)
    is_slower = took > median * (1 + percent / 100) and took - median >= NOISE_SECONDS
    return median if is_slower else None
