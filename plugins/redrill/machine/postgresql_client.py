"""One query to a PostgreSQL server that ends in time, whatever the server does; needs the extra 'postgresql'."""

import select
from collections.abc import Mapping

from psycopg import pq
from psycopg.conninfo import make_conninfo
from psycopg.pq.abc import PGconn, PGresult

from redrill.model.deadline import Deadline

_GOOD = {pq.ExecStatus.TUPLES_OK, pq.ExecStatus.COMMAND_OK, pq.ExecStatus.EMPTY_QUERY}


def query(url: Mapping[str, str], statement: str, deadline: Deadline, knock: float) -> str:
    """Return what a statement answers as ``psql -At`` prints it; ``url`` are parameters of libpq, such as 'host'.

    OSError, which never holds the password, when there is no answer in time, or the server refuses.
    ``knock`` is how many seconds the server may take to the first word. libpq is asked without blocking, for its own
    time-outs are whole seconds, at least two, and it has none for an answer.
    """
    quiet = {"application_name": "redrill", "gssencmode": "disable"}
    connection = pq.PGconn.connect_start(make_conninfo("", **quiet, **url).encode())
    try:
        _log_in(connection, deadline, knock)
        connection.send_query(statement.encode())
        return _read(connection, deadline)
    finally:
        connection.finish()


def _log_in(connection: PGconn, deadline: Deadline, knock: float) -> None:
    limit = deadline.within(knock)
    status: int = pq.PollingStatus.WRITING  # as libpq wants the first turn to be taken
    while status != pq.PollingStatus.OK:
        if connection.status == pq.ConnStatus.BAD:
            raise OSError(_words(connection.error_message))
        _wait(connection, limit, is_writing=status == pq.PollingStatus.WRITING)
        limit = deadline if connection.status != pq.ConnStatus.STARTED else limit
        status = connection.connect_poll()
        if status == pq.PollingStatus.FAILED:
            raise OSError(_words(connection.error_message))


def _read(connection: PGconn, deadline: Deadline) -> str:
    lines: list[str] = []
    while True:
        while connection.is_busy():
            _wait(connection, deadline, is_writing=False)
            _consume(connection)
        result = connection.get_result()
        if result is None:
            return "\n".join(lines)
        if result.status not in _GOOD:
            raise OSError(_words(result.error_message))
        lines += [_spell_row(result, row) for row in range(result.ntuples)]


def _spell_row(result: PGresult, row: int) -> str:
    values = (result.get_value(row, column) or b"" for column in range(result.nfields))
    return "|".join(value.decode("utf-8", "replace") for value in values)


def _consume(connection: PGconn) -> None:
    try:
        connection.consume_input()
    except Exception as error:  # of psycopg, whose class is no OSError
        raise OSError(_words(connection.error_message)) from error


def _wait(connection: PGconn, deadline: Deadline, *, is_writing: bool) -> None:
    poll = select.poll()
    poll.register(connection.socket, select.POLLOUT if is_writing else select.POLLIN)
    if not poll.poll(deadline.remaining * 1000):
        raise TimeoutError(f"no answer within {deadline.budget:g} s")


def _words(message: bytes) -> str:
    return message.decode("utf-8", "replace").strip().partition("\n")[0] or "the connection was closed"
