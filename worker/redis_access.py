"""How Redis is reached: its address, as Celery spells it too, the prefix of our keys, and a client that tries once.

Used by every process, and by supervisors that never call Redis: the client is imported by who asks for one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qs, quote, unquote, urlsplit

from worker.errors import RedisAway, UsageError

if TYPE_CHECKING:
    from redis import Redis

#: The key prefix of everything leadsync keeps in Redis beside the stream.
PREFIX = "leadsync"

_GOES_ON: Final = "leadsync then goes on by itself"
#: What its refusals mean, and what to do. redis-py turns the first word of some of them into a class.
_REFUSALS: Final = {
    "OutOfMemoryError": ("Redis has used up its memory", f"raise its maxmemory; {_GOES_ON}"),
    "MISCONF": ("Redis cannot write to its disk", f"make room there, or see its log; {_GOES_ON}"),
    "ReadOnlyError": ("Redis is a replica, which takes no writes", "name the primary in redis.url"),
}


def needed(redis_url: str | None) -> str:
    """The address, for processes that start no server themselves. Raises `UsageError` when there is none."""
    if redis_url is None:
        raise UsageError("no redis.url: set it for processes on several machines, or use leadsync up on one")
    return redis_url


def socket_url(path: str) -> str:
    """The address of a server behind a unix socket; any path may be one."""
    return f"unix://{quote(path)}?db=0"


def broker_url(redis_url: str) -> str:
    """The same Redis as Celery spells it."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    database = parse_qs(parts.query).get("db", ["0"])[0]
    # A path may stand there as it is or encoded; Celery would split it at a semicolon.
    return f"redis+socket://{parts.netloc}{quote(unquote(parts.path))}?virtual_host={database}"


def client(redis_url: str) -> Redis:
    """For one command now and then: it fails rather than tries again, and waits 5 s at most."""
    from redis import Redis
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    return Redis.from_url(redis_url, retry=Retry(NoBackoff(), 0), socket_timeout=5)


def refusal(error: Exception) -> tuple[str, str] | None:
    """Why Redis takes no writes, and what to do. None when it does not say so."""
    for one in (error, error.__cause__):  # Celery wraps what it got
        for word in (type(one).__name__, str(one).partition(" ")[0]):
            if word in _REFUSALS:
                return _REFUSALS[word]
    return None


def why(error: Exception) -> str:
    """One sentence: it takes no writes, or cannot be reached."""
    says, step = refusal(error) or (f"Redis cannot be reached ({type(error).__name__})", "start it, then try again")
    return f"{says}: {step}"


def check_reachable(redis_url: str) -> None:
    """Raises `RedisAway` with one sentence when nobody answers there, or somebody who is not for us."""
    from redis.exceptions import RedisError

    redis = client(redis_url)
    try:
        redis.ping()
    except (RedisError, OSError) as error:
        where = urlsplit(redis_url)
        place = where.path if where.scheme == "unix" else f"{where.hostname}:{where.port or 6379}"
        raise RedisAway(
            f"redis.url: Redis at {place} cannot be used ({type(error).__name__}); "
            "start it or mend the address, or leave redis.url out for a server of leadsync's own"
        ) from None
    finally:
        redis.close()
