"""One question to a Redis server; needs the extra 'redis'."""

from dataclasses import dataclass

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from redrill.model.deadline import Deadline


@dataclass(frozen=True, slots=True)
class RedisPlace:
    """Where to log in, and as whom: ``database`` is a number, ``user`` and ``password`` are those of AUTH."""

    host: str
    port: int
    database: int
    user: str | None
    password: str | None


def ask_redis_server(place: RedisPlace, key: str | None, deadline: Deadline, knock: float) -> str:
    """Return what PING says, or the value of ``key``.

    OSError when there is no answer in time, the server refuses, or has no such key. ``knock`` is how many seconds the
    connection alone may take.
    """
    client = Redis(
        host=place.host,
        port=place.port,
        db=place.database,
        username=place.user,
        password=place.password,
        socket_timeout=max(deadline.remaining, 0.001),
        socket_connect_timeout=min(knock, max(deadline.remaining, 0.001)),
        protocol=2,  # the third one needs a log-in first, and Redis 6
        # By default it asks again and again, and so hides what is to be seen.
        retry=Retry(NoBackoff(), 0),
    )
    try:
        answer = client.ping() if key is None else client.get(key)
    except RedisError as error:
        raise OSError(str(error)) from error
    finally:
        client.close()
    if answer is None:
        raise OSError(f"there is no key {key!r}")
    return answer.decode("utf-8", "replace") if isinstance(answer, bytes) else "PONG"
