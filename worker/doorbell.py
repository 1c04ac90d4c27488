"""The doorbell: rings intake the moment entries arrive. A process of its own, started by `leadsync worker`.

It reads no event and writes nothing: if it dies, beat's tick still finds every entry within seconds.
"""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterable, Sequence
from types import FrameType
from typing import Any

import structlog
from kombu.exceptions import OperationalError
from redis import Redis
from redis.exceptions import RedisError, ResponseError

from worker.celery_app import TaskName
from worker.dispatch import ring
from worker.partitions import partition_key
from worker.redis_access import client, needed, why
from worker.settings import load_settings

log = structlog.get_logger(__name__)

#: Below redis-py's socket time-out, or an empty stream looks like a dead server.
_BLOCK_MS = 2_000
_PAUSE_S = 1.0

_BEFORE_ALL = "0-0"


def ring_and_mark(redis: Redis, keys: Sequence[str], partitions: Iterable[int]) -> dict[str, str]:
    """Ring for everything up to now in these partitions, and answer with the ids to listen from, by key.

    The newest id first, then the ring: an entry that comes in between is seen by the intake that was rung.
    """
    heard = dict[str, str]()
    for number in partitions:
        heard[keys[number]] = _newest(redis, keys[number])
        ring(redis, TaskName.INTAKE, number)
    return heard


def listen(redis: Redis, keys: Sequence[str], heard: dict[str, str]) -> dict[str, str]:
    """Wait for entries after those `heard` and ring. Answers with the ids to go on from."""
    # `count`, because an entry may be 8 MiB and its contents are of no interest here.
    after: dict[Any, Any] = {**heard}
    came = redis.xread(after, count=1, block=_BLOCK_MS) or {}
    told = {_text(key) for key in (came if isinstance(came, dict) else dict(came))}
    return heard | ring_and_mark(redis, keys, [number for number, key in enumerate(keys) if key in told])


def main() -> None:
    """Listen until told to stop."""
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    settings = load_settings()
    redis, events = client(needed(settings.redis.url)), settings.events
    keys = [partition_key(events.stream, number) for number in range(events.partitions)]
    heard = dict[str, str]()
    while True:
        try:
            # At the start, and after Redis was away, for what arrived while nobody listened.
            heard = listen(redis, keys, heard) if heard else ring_and_mark(redis, keys, range(len(keys)))
        except (RedisError, OSError, OperationalError) as error:
            log.warning("doorbell_waits_for_redis", reason=why(error))
            time.sleep(_PAUSE_S)
            heard = {}


def _newest(redis: Redis, stream: str) -> str:
    try:
        newest = redis.xinfo_stream(stream)["last-generated-id"]
    except ResponseError:  # no such stream yet
        return _BEFORE_ALL
    return _text(newest)


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _stop(_number: int, _frame: FrameType | None) -> None:
    sys.exit(0)


if __name__ == "__main__":
    main()
