"""One drill at a time for an endpoint, and none but its own for an endpoint that a drill left wiped."""

from redrill.drill.locks.holding import EndpointLock, abandon, forget, hold, identify, open_locks
from redrill.drill.locks.protocol import LockStore, Ownership

__all__ = ["EndpointLock", "LockStore", "Ownership", "abandon", "forget", "hold", "identify", "open_locks"]
