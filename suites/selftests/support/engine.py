"""The engine without pytest around it: for tests that need its process for themselves."""

from redrill.drill.authorize import Authorized, authorize
from redrill.drill.planning import Request
from redrill.model.fleet import Fleet
from redrill.model.values import Mode


def authorize_one(fleet: Fleet, endpoint: str, mode: Mode = Mode.REPLACE) -> Authorized:
    """Ask every guard about the redeploy of one endpoint of a fleet of the lab."""
    return authorize(Request(fleet, (fleet.endpoint(endpoint),), mode, "lab", None))
