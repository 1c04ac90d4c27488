"""The stream of events as people see it: how much it holds for us, and since when. All partitions together."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError, ResponseError

from worker.documents.remotes import UNKNOWN, Unknown
from worker.partitions import partition_key
from worker.wiring import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamDocument:
    """Events in the stream."""

    #: Nobody has taken them yet. Redis loses count when entries were deleted by hand.
    waiting: int | Unknown
    #: Taken, not yet finished.
    pending: int

    def __add__(self, other: StreamDocument) -> StreamDocument:
        unknown = isinstance(self.waiting, str) or isinstance(other.waiting, str)
        waiting: int | Unknown = UNKNOWN if unknown else int(self.waiting) + int(other.waiting)
        return StreamDocument(waiting=waiting, pending=self.pending + other.pending)


async def ask_stream(runtime: Runtime) -> StreamDocument | Unknown:
    """How much the stream holds for us."""
    try:
        parts = await asyncio.gather(*(_held(runtime, key) for key in await _keys(runtime)))
    except (RedisError, OSError):
        return UNKNOWN
    return sum(parts, StreamDocument(waiting=0, pending=0))


async def oldest_event_s(runtime: Runtime) -> float | None:
    """Age of the oldest event that is not taken in yet: 0 without one, None where Redis does not answer.

    The moment of an entry is in its id. An entry whose id somebody made up may tell nonsense; never below zero.
    """
    try:
        entries = await asyncio.gather(*(_oldest(runtime, key) for key in await _keys(runtime)))
        made_ms = [int(entry.partition("-")[0]) for entry in entries if entry is not None]
        if not made_ms:
            return 0.0
        seconds, microseconds = await runtime.redis.time()
    except (RedisError, OSError):
        return None
    return max(0.0, seconds + microseconds / 1e6 - min(made_ms) / 1000)


async def _keys(runtime: Runtime) -> list[str]:
    return [partition_key(runtime.settings.events.stream, number) for number in await runtime.partitions()]


async def _held(runtime: Runtime, key: str) -> StreamDocument:
    mine = await _our_group(runtime, key)
    if mine is None:
        return StreamDocument(waiting=int(await runtime.redis.xlen(key)), pending=0)
    return StreamDocument(waiting=UNKNOWN if mine["lag"] is None else mine["lag"], pending=mine["pending"])


async def _oldest(runtime: Runtime, key: str) -> str | None:
    """Taken and not finished, or else not taken yet."""
    mine = await _our_group(runtime, key)
    if mine is not None and mine["pending"]:
        pending: dict[str, Any] = await runtime.redis.xpending(key, runtime.settings.events.group)
        if pending["min"]:
            return _text(pending["min"])
    after = f"({_text(mine['last-delivered-id'])}" if mine is not None else "-"
    entries = await runtime.redis.xrange(key, min=after, count=1)
    return _text(entries[0][0]) if entries else None


async def _our_group(runtime: Runtime, key: str) -> dict[str, Any] | None:
    """What Redis tells of it; None before anybody has added an event, or taken one."""
    try:
        groups: list[dict[str, Any]] = await runtime.redis.xinfo_groups(key)
    except ResponseError as error:
        if "no such key" not in str(error):
            raise
        return None
    name = runtime.settings.events.group.encode()
    return next((group for group in groups if group["name"] == name), None)


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)
