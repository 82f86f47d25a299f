"""How an application is asked whether it works: by the protocol that its users speak, not by whether it lives."""

import re
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from redrill.model.secret import SecretValue
from redrill.model.values import Value

Port = Annotated[int, Field(ge=1, le=65535)]


def _check_unit(value: str) -> str:
    if not re.fullmatch(r"[a-zA-Z0-9:_.\\@-]+\.[a-z]+", value):
        raise ValueError(f"{value!r} is not the name of a unit; write it with its type, such as 'nginx.service'")
    return value


UnitName = Annotated[str, AfterValidator(_check_unit)]


class HttpCheck(Value):
    """Healthy when a GET from the controller answers with ``status``, these ``headers``, and ``expect`` in the body.

    A header must be there and contain its text. With ``tls`` the certificate must be good for ``host`` (the endpoint's
    address when not given), which is also asked for, and be trusted by this machine, or by ``ca``, a file in PEM.
    """

    path: str = "/"
    port: Port = 80
    tls: bool = False
    ca: Path | None = None
    host: Annotated[str | None, Field(pattern=r"^[a-zA-Z0-9.:-]+$")] = None
    status: int = 200
    headers: dict[str, str] = {}
    expect: str = ""

    @model_validator(mode="after")
    def _needs_tls_for_a_ca(self) -> Self:
        if self.ca is not None and not self.tls:
            raise ValueError("'ca' says whose certificates are trusted, so it needs 'tls: true'")
        return self


class CommandCheck(Value):
    """Healthy when a command on the endpoint exits with 0 and its standard output contains ``expect``."""

    run: str
    expect: str = ""


class TcpCheck(Value):
    """Healthy when the controller can open a connection to ``port``."""

    port: Port


class UnitCheck(Value):
    """Healthy when systemd says that a unit is active, and has not restarted it since it was asked last."""

    name: UnitName


class PostgresqlCheck(Value):
    """Healthy when a query of an authenticated user answers with a row that contains ``expect``.

    The row is told as psql -At does: its values with '|' between them.
    """

    port: Port = 5432
    user: str
    password: SecretValue | None = None
    database: str
    query: str = "SELECT 1"
    expect: str = ""


class RedisCheck(Value):
    """Healthy when Redis, after AUTH, answers PING, or GET of ``key`` with a value that contains ``expect``."""

    port: Port = 6379
    user: str | None = None
    password: SecretValue | None = None
    database: Annotated[int, Field(ge=0)] = 0
    key: str | None = None
    expect: str = ""

    @model_validator(mode="after")
    def _expects_of_a_key(self) -> Self:
        if self.expect and self.key is None:
            raise ValueError("'expect' is looked for in the value of a key; name it as 'key'")
        return self


class DnsCheck(Value):
    """Healthy when the name server on the endpoint answers with a record of ``name`` whose text contains ``expect``."""

    port: Port = 53
    name: str
    type: Annotated[str, Field(pattern=r"^[A-Z0-9]+$")] = "A"
    expect: str = ""


Check = HttpCheck | TcpCheck | UnitCheck | CommandCheck | PostgresqlCheck | RedisCheck | DnsCheck

NEEDS_MACHINE = (UnitCheck, CommandCheck)
"""The checks that are asked on the endpoint itself; all others are asked from the controller."""
