"""The doorbell: rings intake the moment entries arrive. A process of its own, started by `leadsync worker`.

It reads no event and writes nothing: if it dies, beat's tick still finds every entry within seconds.
"""

from __future__ import annotations

import signal
import sys
import time
from types import FrameType

import structlog
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from worker.celery_app import TaskName
from worker.dispatch import ring
from worker.redis_access import client, needed
from worker.settings import load_settings

log = structlog.get_logger(__name__)

#: Below redis-py's socket time-out, or an empty stream looks like a dead server.
_BLOCK_MS = 2_000
_PAUSE_S = 1.0

_BEFORE_ALL = "0-0"


def ring_and_mark(redis: Redis, stream: str) -> str:
    """Ring for everything up to now, and answer with the id to listen from.

    The newest id first, then the ring: an entry that comes in between is seen by the intake that was rung.
    """
    newest = _newest(redis, stream)
    ring(redis, TaskName.INTAKE)
    return newest


def listen(redis: Redis, stream: str, last: str) -> str:
    """Wait for entries after `last` and ring. Answers with the id to go on from."""
    # `count`, because an entry may be 8 MiB and its contents are of no interest here.
    came = redis.xread({stream: last}, count=1, block=_BLOCK_MS)
    return ring_and_mark(redis, stream) if came else last


def main() -> None:
    """Listen until told to stop."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    settings = load_settings()
    redis, stream = client(needed(settings.redis.url)), settings.events.stream
    last: str | None = None
    while True:
        try:
            # At the start, and after Redis was away, for what arrived while nobody listened.
            last = listen(redis, stream, last) if last else ring_and_mark(redis, stream)
        except (RedisError, OSError) as error:
            log.warning("doorbell_waits_for_redis", error=type(error).__name__)
            time.sleep(_PAUSE_S)
            last = None


def _newest(redis: Redis, stream: str) -> str:
    try:
        newest = redis.xinfo_stream(stream)["last-generated-id"]
    except ResponseError:  # no such stream yet
        return _BEFORE_ALL
    return newest.decode() if isinstance(newest, bytes) else str(newest)


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
