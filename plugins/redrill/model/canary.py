"""Numbered writes that measure what a drill loses, and how data is made still for a backup."""

from redrill.model.values import Value


class Canary(Value):
    """Commands on the endpoint that store one numbered write (``$REDRILL_CANARY``) and list all that are stored.

    ``write`` must exit with 0 only when the write is durable. ``read`` prints one number a line. ``clear``, when
    given, removes them after the drill.
    """

    write: str
    read: str
    clear: str | None = None
