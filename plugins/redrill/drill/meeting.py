"""Endpoints that need each other are taken down together, so that their site starts cold and is seen to come up."""

import threading
from collections.abc import Sequence

from redrill.drill.halt import Halt
from redrill.model.deadline import Deadline, wait_until
from redrill.model.fleet import Endpoint
from redrill.model.needs import needed_endpoints


class Meeting:
    """Where the drills of one wave wait for those that they have needs with, directly or by others; for any thread."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._groups = _groups(endpoints)
        self._expected = {endpoint.name for endpoint in endpoints}
        self._turn = threading.Lock()

    def leave(self, name: str) -> None:
        """The drill of an endpoint is over, or need not be waited for any more."""
        with self._turn:
            self._expected.discard(name)

    def await_others(self, name: str, halt: Halt, deadline: Deadline) -> list[str]:
        """Wait until all that an endpoint has needs with are here or have left; return who is still missing then."""
        self.leave(name)

        def missing(is_last_try: bool) -> list[str] | None:
            late = sorted(self._groups.get(name, frozenset()) & self._expected)
            return late if is_last_try or halt.reason or not late else None

        return wait_until(missing, deadline, interval=0.02)


def _groups(endpoints: Sequence[Endpoint]) -> dict[str, frozenset[str]]:
    """Return for each endpoint all that are connected with it by needs, itself included."""
    groups = {endpoint.name: frozenset({endpoint.name}) for endpoint in endpoints}
    for name, needed in needed_endpoints(endpoints).items():
        whole = frozenset[str]().union(*(groups[each] for each in (name, *needed) if each in groups))
        groups |= dict.fromkeys(whole, whole)
    return groups
