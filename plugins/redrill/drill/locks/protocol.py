"""What a store of locks can do; what the locks mean is decided in one place for all stores."""

import hashlib
from datetime import datetime
from typing import Protocol

from redrill.model.values import Text, Value, printable


class Ownership(Value):
    """Who took an endpoint last, and what became of that.

    ``identity`` is what the lock is for (an address or a directory), ``endpoint`` its name in the owner's fleet.
    ``recovery`` says why the endpoint is held until its run has recovered it, '' when it is not. ``note`` says why it
    no longer is, when a person decided that.
    """

    identity: Text
    endpoint: Text
    run: Text
    holder: Text
    since: datetime
    released: datetime | None = None
    recovery: Text = ""
    note: Text = ""

    def but(self, **changes: object) -> "Ownership":
        """Return it with other values, which are checked: what is written must be equal to what is read again."""
        return Ownership.model_validate({**dict(self), **changes})


class LockStore(Protocol):
    """Claims that die with their process, beside ownerships that nothing but ``write`` ever changes.

    Every method raises GuardError when the store cannot be reached or understood, within seconds. Safe for many
    threads.
    """

    def claim(self, identity: str) -> bool:
        """Claim an endpoint for this process; False when a living process, this one included, has claimed it."""

    def is_claimed(self, identity: str) -> bool:
        """Whether the claim of this process still stands, asked of the store itself."""

    def free(self, identity: str) -> None:
        """Give the claim up; one that is lost already is no error."""

    def read(self, identity: str) -> Ownership | None:
        """Return who took the endpoint last, None when nobody ever did."""

    def write(self, ownership: Ownership) -> None:
        """Replace what is known of the endpoint; it is on disk when this returns. Only for who has the claim."""


def digest(identity: str) -> bytes:
    """Return the 32 bytes that an endpoint is filed under."""
    return hashlib.sha256(printable(identity).encode()).digest()
