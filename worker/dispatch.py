"""Dispatch: ring a worker, once. Called after the commit by tasks, by the doorbell and by beat's tick.

A ring is a Celery message plus a short-lived key that keeps the same message from piling up. Losing either is
harmless: the tick rings again for whatever the database says is due.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import TypeVar, cast

import structlog
from kombu.exceptions import OperationalError
from redis import Redis
from redis.asyncio import Redis as AsyncRedis
from redis.exceptions import RedisError

from worker.celery_app import TaskName, app
from worker.errors import LeadsyncError
from worker.redis_access import PREFIX, why

T = TypeVar("T")

log = structlog.get_logger(__name__)

#: A message not taken up in this time counts as lost, and may be sent again.
_RING_MS = 2_000
#: A turn whose holder was killed ends after this; it is prolonged while its holder lives.
_TURN_MS = 5_000

#: Where a message was taken up, the next ring goes through from here on: first, so that nothing falls between. In one
#: step, so that who holds the turn cannot end it between our asking and our being sent away.
_TAKE_TURN = """
if ARGV[3] == '1' then redis.call('DEL', KEYS[1]) end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
redis.call('SET', KEYS[3], 1, 'PX', 2 * ARGV[2])
return 0
"""
_END_TURN = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
return redis.call('DEL', KEYS[2])
"""


def ring(redis: Redis, task: TaskName, *args: str | int) -> bool:
    """Send the message unless the same one is under way. True when it was sent."""
    if not redis.set(_bell(task, args), 1, nx=True, px=_RING_MS):
        return False
    app.send_task(task.value, args=list(args))
    return True


def ring_all(redis: Redis, remotes: Iterable[str]) -> None:
    """Ring for a push of each remote."""
    for remote in sorted(remotes):
        ring(redis, TaskName.PUSH, remote)


@contextlib.contextmanager
def put_off(task: TaskName, **ids: str) -> Iterator[None]:
    """What passes by itself, or waits for a person, is one line in the log: the next tick tries again."""
    try:
        yield
    except LeadsyncError as error:
        log.warning("task_put_off", task=task.value, reason=str(error), **ids)
    except (RedisError, OperationalError) as error:
        log.warning("task_put_off", task=task.value, reason=why(error), **ids)


class Turn:
    """One worker at a time, as long as Redis remembers. Only saves work: what must not happen twice is guarded by
    leases in the database.
    """

    def __init__(self, redis: AsyncRedis, task: TaskName, *args: str | int) -> None:
        self._redis, self._bell = redis, (bell := _bell(task, args))
        self._held, self._again, self._mine = f"{bell}:turn", f"{bell}:again", secrets.token_hex(8)
        self._prolonging: asyncio.Task[None] | None = None
        self._ended = asyncio.Event()

    async def take(self, *, rung: bool = True) -> bool:
        """False when another worker has the turn; that one is told to look again at its end. Answers the ring, unless
        none was heard: the message of another may still be under way, and needs no second one beside it.
        """
        keys = self._bell, self._held, self._again
        taken = self._redis.eval(_TAKE_TURN, 3, *keys, self._mine, _TURN_MS, int(rung))
        if not await cast("Awaitable[int]", taken):
            return False
        self._prolonging = asyncio.create_task(_prolong(self._redis, self._held, self._ended))
        return True

    async def end(self) -> bool:
        """Give it back. True when somebody was sent away meanwhile, so that the work must be looked at again."""
        if self._prolonging is not None:
            # Told, not cancelled: the client may swallow a cancellation, and then prolong for ever.
            self._ended.set()
            await self._prolonging
        ended = self._redis.eval(_END_TURN, 2, self._held, self._again, self._mine)
        return bool(await cast("Awaitable[int]", ended))


async def in_turn(
    redis: AsyncRedis, work: Callable[[], Awaitable[T]], task: TaskName, *args: str | int, rung: bool = True
) -> tuple[T | None, bool]:
    """Do this as the only worker that does. What it came to, None when another one has the turn;
    and whether somebody was sent away meanwhile, so that it must be looked at again.
    """
    turn = Turn(redis, task, *args)
    if not await turn.take(rung=rung):
        return None, False
    again = False
    try:
        done = await work()
    finally:
        again = await turn.end()
    return done, again


async def _prolong(redis: AsyncRedis, key: str, ended: asyncio.Event) -> None:
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_TURN_MS / 5_000):
                await ended.wait()
                return
        with contextlib.suppress(Exception):  # Redis away: the turn ends by itself, the work need not
            await redis.pexpire(key, _TURN_MS)


def _bell(task: TaskName, args: Iterable[str | int]) -> str:
    return ":".join((PREFIX, "bell", task.value, *map(str, args)))
