"""Where configuration or data names the very endpoint that it is on."""

from enum import StrEnum

from redrill.model.values import Text, Value


class TokenKind(StrEnum):
    """What of an endpoint a text can name."""

    NAME = "name"
    FQDN = "full name"
    ADDRESS = "address"
    MAC = "hardware address"
    MACHINE_ID = "machine id"
    DISK = "disk id"
    INTERFACE = "interface"


class HostReference(Value):
    """The lines (from 1, the first 20) of a file that hold one of the endpoint's own tokens.

    ``token`` is the first 16 hex digits of its SHA-256; neither it nor the lines are ever kept in clear.
    """

    path: Text
    kind: TokenKind
    token: str
    lines: tuple[int, ...]
