"""How an application is asked whether it works: by the protocol that its users speak, not by whether it lives."""

from typing import Annotated

from pydantic import Field

from redrill.model.values import Value

Port = Annotated[int, Field(ge=1, le=65535)]


class HttpCheck(Value):
    """Healthy when a GET from the controller answers with ``status`` and a body that contains ``expect``."""

    path: str = "/"
    port: Port = 80
    tls: bool = False
    status: int = 200
    expect: str = ""


class CommandCheck(Value):
    """Healthy when a command on the endpoint exits with 0 and its standard output contains ``expect``."""

    run: str
    expect: str = ""


class TcpCheck(Value):
    """Healthy when the controller can open a connection to ``port``."""

    port: Port
