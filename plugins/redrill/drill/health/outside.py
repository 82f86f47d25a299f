"""Checks that are asked from the controller: each returns what to tell of a good answer, or raises UNANSWERED."""

import http.client
import socket

from redrill.drill.health.inside import UnhealthyError
from redrill.drill.health.patience import Patience
from redrill.machine.web import Page, fetch
from redrill.model.checks import DnsCheck, HttpCheck, PostgresqlCheck, RedisCheck, TcpCheck
from redrill.secrets_source import reveal

UNANSWERED = (OSError, http.client.HTTPException)
"""What a check raises besides UnhealthyError: no connection, no time left, or an answer of another protocol."""

_MOST = 1 << 20
_SHOWN = 200


def ask_http(address: str, check: HttpCheck, patience: Patience) -> str:
    """GET a page."""
    page = Page(address, check.port, check.path, check.tls, check.host, check.ca)
    answer = fetch(page, patience.deadline, most=_MOST, knock=patience.knock)
    if answer.status != check.status:
        raise UnhealthyError(f"status {answer.status}, expected {check.status}")
    for name, text in check.headers.items():
        if text not in (found := answer.headers.get(name) or ""):
            raise UnhealthyError(f"header '{name}' is {found!r}, which lacks {text!r}")
    if check.expect.encode() not in answer.body:
        raise UnhealthyError(f"body {answer.body[:_SHOWN]!r} lacks {check.expect!r}")
    return f"status {answer.status}"


def ask_tcp(address: str, check: TcpCheck, patience: Patience) -> str:
    """Open a connection."""
    socket.create_connection((address, check.port), patience.knock).close()
    return "connected"


def ask_postgresql(address: str, check: PostgresqlCheck, patience: Patience) -> str:
    """Log in and run the query."""
    from redrill.machine.postgresql_client import query  # noqa: PLC0415 - an extra

    url = {"host": address, "port": str(check.port), "user": check.user, "dbname": check.database}
    if check.password is not None:
        url["password"] = reveal(check.password)
    return _expect(check.expect, query(url, check.query, patience.deadline, patience.knock))


def ask_redis(address: str, check: RedisCheck, patience: Patience) -> str:
    """Log in and PING, or GET the key."""
    from redrill.machine.redis_client import RedisPlace, ask_redis_server  # noqa: PLC0415 - an extra

    password = reveal(check.password) if check.password else None
    place = RedisPlace(address, check.port, check.database, check.user, password)
    return _expect(check.expect, ask_redis_server(place, check.key, patience.deadline, patience.knock))


def ask_dns(address: str, check: DnsCheck, patience: Patience) -> str:
    """Ask for the records of the name."""
    from redrill.machine.dns_client import ask_name_server  # noqa: PLC0415 - an extra

    # Over UDP there is no connection whose end would be noticed: the whole answer must come soon.
    records = ask_name_server(address, check.port, check.name, check.type, patience.deadline.within(patience.knock))
    if not records:
        raise UnhealthyError("the name server has no such record")
    return _expect(check.expect, ", ".join(records))


def _expect(wanted: str, answer: str) -> str:
    if wanted not in answer:
        raise UnhealthyError(f"{answer[:_SHOWN]!r} lacks {wanted!r}")
    return answer[:_SHOWN]
