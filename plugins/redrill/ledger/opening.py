"""Which ledger a fleet has."""

from pathlib import Path

from redrill.backends import load_backend
from redrill.ledger.protocol import Ledger
from redrill.model.fleet import Backend, Fleet


def open_ledger(fleet: Fleet, reports: Path) -> Ledger:
    """Return the ledger that the fleet file names, else a file in the folder of all reports."""
    backend = fleet.ledger or Backend(kind="sqlite")
    ledger: Ledger = load_backend("ledgers", backend.kind)(backend.settings, reports)
    return ledger
