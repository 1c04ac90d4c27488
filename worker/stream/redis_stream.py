"""The stream on Redis: one consumer of one group. Used by intake; `publish` by whoever adds events.

Commands of Redis 7.0 only, so that Redis, Valkey and the embedded server all pass.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from worker.errors import RedisAway
from worker.partitions import MOST, partition_key
from worker.ports import Entry, EntryId
from worker.redis_access import refusal, why

T = TypeVar("T")

#: The one field of an entry.
FIELD = "event"

_FORGET_CONSUMERS = """
local gone = 0
for _, told in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #told, 2 do consumer[told[i]] = told[i + 1] end
  if consumer['pending'] == 0 and consumer['idle'] >= tonumber(ARGV[2]) then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer['name'])
    gone = gone + 1
  end
end
return gone
"""


#: One hash a stream: how many have tried an entry alone and not come back, and who was the last of them. A worker that
#: tries once more itself has come back, even if it could not say so.
_ALONE = """
local by = ARGV[1] .. ':by'
if redis.call('HGET', KEYS[1], by) ~= ARGV[2] then
  redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
  redis.call('HSET', KEYS[1], by, ARGV[2])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
return redis.call('HGET', KEYS[1], ARGV[1]) - 1
"""
_CAME_BACK = """
local by = ARGV[1] .. ':by'
if redis.call('HGET', KEYS[1], by) == ARGV[2] then
  redis.call('HDEL', KEYS[1], by)
  if redis.call('HINCRBY', KEYS[1], ARGV[1], -1) <= 0 then redis.call('HDEL', KEYS[1], ARGV[1]) end
end
"""
#: Seconds after the last try for which the hash is kept.
_TRIED_S = 7 * 86_400


async def partitions_in_use(redis: Redis, stream: str, count: int) -> list[int]:
    """Those that are configured, and others that hold something: there may have been more of them before."""
    pipeline = redis.pipeline(transaction=False)
    for number in range(MOST):
        pipeline.execute_command("EXISTS", partition_key(stream, number))
    return [number for number, there in enumerate(await pipeline.execute()) if there or number < count]


class RedisStream:
    """Implements `Stream`. `consumer` is stable over restarts, so a restarted worker finds its own unfinished entries;
    `life` is not, so that it is known to be another one.

    The client must not decode answers, and must not retry by itself: a repeated XREADGROUP takes entries twice.
    """

    def __init__(self, redis: Redis, *, stream: str, group: str, consumer: str, life: str) -> None:
        self._redis, self._life, self._tried = redis, life, f"{stream}:tried"
        self._stream, self._group, self._consumer = stream, group, consumer

    async def read(self, count: int) -> list[Entry]:
        """See `Stream.read`."""
        return [Entry(i, e) for i, e in await self._read_group(">", count)]

    async def unfinished(self, count: int) -> list[Entry]:
        """See `Stream.unfinished`."""
        return [Entry(i, e) for i, e in await self._read_group("0", count)]

    async def take_over(self, count: int, idle_s: float) -> list[Entry]:
        """See `Stream.take_over`."""
        cursor, idle_ms = "0-0", int(idle_s * 1000)
        while True:
            # One call looks at ten entries for each that it may take; idle ones can stand further behind.
            claim = self._redis.xautoclaim(
                self._stream, self._group, self._consumer, min_idle_time=idle_ms, start_id=cursor, count=count
            )
            answer = await self._call(claim)
            if not answer:
                return []
            cursor = _text(answer[0])
            if answer[1] or cursor == "0-0":
                return [Entry(i, e) for i, e in _entries(answer[1])]

    async def ack(self, ids: Sequence[EntryId]) -> None:
        """See `Stream.ack`."""
        if ids:
            await self._call(self._redis.xack(self._stream, self._group, *ids))

    async def alone(self, entry: Entry) -> int:
        """See `Stream.alone`."""
        tried = self._redis.eval(_ALONE, 1, self._tried, entry.id, self._life, str(_TRIED_S))
        return int(await self._call(cast("Awaitable[int]", tried)))

    async def came_back(self, entry: Entry) -> None:
        """See `Stream.came_back`."""
        await self._call(cast("Awaitable[None]", self._redis.eval(_CAME_BACK, 1, self._tried, entry.id, self._life)))

    async def trim(self) -> int:
        """See `Stream.trim`. Never by MAXLEN: that also removes what nobody has read."""
        groups = await self._call(self._redis.xinfo_groups(self._stream))
        oldest_needed = [await self._oldest_needed(_text(group["name"]), group) for group in groups]
        if not oldest_needed:
            return 0
        keep_from = min(oldest_needed, key=_order)
        trimmed = self._redis.xtrim(self._stream, minid=keep_from, approximate=True)
        return int(await self._call(trimmed))

    async def forget_consumers(self, idle_s: float) -> int:
        """See `Stream.forget_consumers`. In one step: a consumer that takes entries in between would lose them."""
        idle_ms = str(int(idle_s * 1000))
        forget = self._redis.eval(_FORGET_CONSUMERS, 1, self._stream, self._group, idle_ms)
        return int(await self._call(cast("Awaitable[int]", forget)) or 0)

    async def waiting(self) -> int:
        """Entries that nobody has taken yet, or took and has not acknowledged."""
        for group in await self._call(self._redis.xinfo_groups(self._stream)):
            if _text(group["name"]) == self._group:
                # After entries were deleted by hand Redis cannot count the lag: then somebody had better look.
                untaken = 1 if group["lag"] is None else int(group["lag"])
                return untaken + int(group["pending"])
        return int(await self._call(self._redis.xlen(self._stream)))  # nobody ever read it

    async def _oldest_needed(self, name: str, group: Mapping[str, Any]) -> str:
        """The smallest id that this group still needs: its oldest unacknowledged one, or the first it has not read."""
        pending = await self._call(self._redis.xpending(self._stream, name))
        if pending["pending"]:
            return _text(pending["min"])
        time, _, sequence = _text(group["last-delivered-id"]).partition("-")
        return f"{time}-{int(sequence) + 1}"

    async def _read_group(self, start: str, count: int) -> list[tuple[EntryId, bytes | None]]:
        answer = await self._call(
            self._redis.xreadgroup(self._group, self._consumer, {self._stream: start}, count=count)
        )
        return [entry for entries in _batches(answer) for entry in _entries(entries)]

    async def _call(self, command: Awaitable[T]) -> Any:
        try:
            return await command
        except ResponseError as error:
            if "NOGROUP" not in str(error) and "no such key" not in str(error):
                raise _refused(error) from None
            await self._make_group()
            return []
        except RedisError as error:
            raise RedisAway(f"Redis cannot be reached ({type(error).__name__}); is it running?") from None

    async def _make_group(self) -> None:
        """From the very first entry: events that were added before leadsync first started count too."""
        try:
            await self._redis.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise _refused(error) from None


def _refused(error: ResponseError) -> RedisAway:
    return RedisAway(why(error) if refusal(error) else f"Redis refused: {str(error).split(' ', 1)[0]}")


def _batches(answer: Any) -> Iterable[Any]:
    """The entries of each stream: redis-py gives RESP3's as a map to lists of them, RESP2's as a list of pairs."""
    if isinstance(answer, dict):
        return [entries for batches in answer.values() for entries in batches]
    return [entries for _, entries in answer or ()]


def _entries(raw: Any) -> list[tuple[EntryId, bytes | None]]:
    """(id, event); an entry that was trimmed away while unfinished has no fields left."""
    field = FIELD.encode()
    return [(EntryId(_text(entry_id)), fields.get(field) if fields else None) for entry_id, fields in raw]


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _order(entry_id: str) -> tuple[int, int]:
    time, _, sequence = entry_id.partition("-")
    return int(time), int(sequence or 0)
