"""What redrill promises about an endpoint, by name, and how the findings against each promise are computed."""

from collections.abc import Callable, Mapping

from redrill.analysis.drift import Drift
from redrill.model.finding import Finding

Analysis = Callable[[Drift], list[Finding]]

PROMISES: Mapping[str, Analysis] = {}
"""Each analysis raises UnknownFactError when the evidence does not know what it needs."""
