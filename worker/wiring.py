"""Wiring: everything one process needs, made from settings after it was forked. Used by every entry point."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import resource
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from secrets import token_hex
from typing import Any, TypeVar

from redis import Redis as SyncRedis
from redis.asyncio import Redis

from worker import redis_access, tracing
from worker.clock import SystemClock
from worker.embedded import embedded_redis
from worker.limits.base import Window
from worker.limits.budget import RedisBudget, budget_client
from worker.limits.throttle import Throttle
from worker.loop import Loop
from worker.partitions import partition_key
from worker.remotes.registry import Registry
from worker.settings import Settings, load_settings
from worker.store.database import open_database
from worker.store.sql import SqlStore
from worker.store.views import Views
from worker.stream.redis_stream import RedisStream, partitions_in_use
from worker.sync.push import Door

T = TypeVar("T")

#: Enough for hundreds of remotes with their connections.
_FILES = 65_536


@dataclass
class Runtime:
    """Settings turned into ports. Lives as long as its process; nothing is connected before it is used."""

    settings: Settings
    redis_url: str
    #: In a thread; None where nothing goes on by itself, as in a command.
    loop: Loop | None = None

    def __post_init__(self) -> None:
        self.registry = Registry(self.settings)
        self.clock = SystemClock()
        self._runner = self.loop or asyncio.Runner()
        self._doors: dict[str, Door] = {}

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On this process's one event loop: connections live on between tasks."""
        return self._runner.run(work)

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """The same for work that mostly waits: it may go on after this returns, see `worker.loop`."""
        _ = self.store, self.redis  # made here, not by whichever of two threads comes first
        (self.loop.begin if self.loop else self.run)(work)

    def go_on(self, work: Callable[[], Coroutine[Any, Any, None]]) -> bool:
        """From inside the loop: begin this too. False where there is no loop that goes on, or enough does already."""
        return self.loop is not None and self.loop.go_on(work)

    @cached_property
    def store(self) -> SqlStore:
        """The database."""
        return SqlStore(open_database(self.settings.database_url))

    @cached_property
    def views(self) -> Views:
        """What people ask of it, in snapshots."""
        return Views(open_database(self.settings.database_url))

    @cached_property
    def redis(self) -> Redis:
        """A client that never sends a command twice by itself."""
        return budget_client(self.redis_url)

    @cached_property
    def bells(self) -> SyncRedis:
        """For ringing after the loop's work is done; Celery's own publishing is synchronous too."""
        return redis_access.client(self.redis_url)

    @cached_property
    def life(self) -> str:
        """This process' own name, which no later one has."""
        return token_hex(8)

    def stream(self, consumer: str, partition: int = 0) -> RedisStream:
        """One partition of the stream of events, as that consumer."""
        events = self.settings.events
        key = partition_key(events.stream, partition)
        return RedisStream(self.redis, stream=key, group=events.group, consumer=consumer, life=self.life)

    async def partitions(self) -> list[int]:
        """Partitions of the stream in which there may be something."""
        events = self.settings.events
        return await partitions_in_use(self.redis, events.stream, events.partitions)

    def budget(self, remote: str) -> RedisBudget:
        """The rate budget that all workers share."""
        settings = self.settings.remotes[remote]
        windows = (
            Window(limit=settings.requests_per_second, seconds=1.0),
            Window(limit=settings.requests_per_minute, seconds=60.0),
        )
        # A call that never reports (its worker was killed, its outcome is unclear) may be counted late; held for
        # as long as such a write can land, a few kills would stop a small budget for minutes.
        return RedisBudget(self.redis, remote, windows, hold_s=2 * settings.timeout_s, prefix=redis_access.PREFIX)

    def door(self, remote: str) -> Door:
        """One remote with all that is needed to call it."""
        if remote not in self._doors:
            settings = self.settings.remotes[remote]
            self._doors[remote] = Door(
                connector=self.registry.connector(remote),
                wire=self.registry.wire(remote),
                tickets=Throttle(self.budget(remote)),
                max_in_flight=settings.max_in_flight,
                timeout_s=settings.timeout_s,
                late_write_s=self.settings.sync.late_write_s,
            )
        return self._doors[remote]

    def close(self) -> None:
        """Hang up everywhere."""
        self.run(self.hang_up())
        self._runner.close()
        for name in ("store", "views"):
            if name in self.__dict__:
                getattr(self, name).close()

    async def hang_up(self) -> None:
        """End what still runs on this loop, then its connections: nothing may open a new one afterwards."""
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
        await self.registry.close()
        if "redis" in self.__dict__:
            await self.redis.aclose()


@contextlib.contextmanager
def opened(settings: Settings) -> Iterator[Runtime]:
    """A runtime for one command. Without redis.url the embedded server is shared, or started meanwhile."""
    with contextlib.ExitStack() as stack:
        url = settings.redis.url or stack.enter_context(embedded_redis(settings.data_dir)).url
        runtime = Runtime(settings, url)
        stack.callback(runtime.close)
        yield runtime


@cache
def process_runtime() -> Runtime:
    """The runtime of a child process (Celery's children, doorbell, web). Its parent has set redis.url."""
    collect_seldom()
    _allow_files()
    settings = load_settings()
    tracing.begin()
    return Runtime(settings, redis_access.needed(settings.redis.url), Loop())


def collect_seldom() -> None:
    """For a process that stays. Batches and pages make many small values and no cycles; at the default of 700 the
    collector takes a quarter of the CPU, and makes a large page wait for 0.1 s. What was imported stays for good, so
    that nobody looks through it again and again.
    """
    gc.freeze()
    gc.set_threshold(500_000)


def _allow_files() -> None:
    """A hundred remotes keep more connections than the 1,024 files that systems allow unless asked for more."""
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if most == resource.RLIM_INFINITY else min(_FILES, most)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
