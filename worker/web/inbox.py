"""The inbox: puts news into Redis, each once. Called by `webhooks.py`.

| key                       | is                                                                                       |
| ------------------------- | ---------------------------------------------------------------------------------------- |
| the stream of events      | what intake reads; the doorbell rings by itself                                          |
| `leadsync:nudge:REMOTE`   | "something changed there, nobody says what": the next scan of the remote takes it away   |
| `leadsync:webhook:…`      | this news was taken; kept for longer than senders repeat                                 |
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from secrets import token_hex

from redis.asyncio import Redis
from redis.exceptions import RedisError

from worker.errors import RedisAway
from worker.notes import nudges
from worker.partitions import partition_key, partition_of
from worker.redis_access import PREFIX
from worker.settings import EventSettings
from worker.stream.redis_stream import FIELD
from worker.web.news import News

#: Standard Webhooks' senders give up after 75 hours.
_REMEMBER_MS = 7 * 24 * 3600 * 1000

# One step, and the mark last: an error on the way leaves no mark without its event.
_PUT = """
local mark = KEYS[2]
if mark and redis.call('EXISTS', mark) == 1 then return 0 end
if ARGV[1] == 'event' then
  redis.call('XADD', KEYS[1], '*', ARGV[2], ARGV[3])
else
  redis.call('SET', KEYS[1], ARGV[3], 'PX', ARGV[2])
end
if mark then redis.call('SET', mark, 1, 'PX', ARGV[4]) end
return 1
"""


class Inbox:
    """Where webhooks of all remotes end up."""

    def __init__(self, redis: Redis, events: EventSettings, nudged: Callable[[str], None]) -> None:
        """`nudged` is told of each remote with a new nudge, and returns at once."""
        self._put = redis.register_script(_PUT)
        self._events, self._nudged = events, nudged

    async def put(self, remote: str, news: News, *, nudge_s: float) -> bool:
        """False for a repeat. When this returns, Redis has the news. Raises `RedisAway`.

        Nudges become one, the newest; it is forgotten after `nudge_s`, when the regular scan has looked anyway.
        """
        event = ("event", FIELD, news.event) if news.event is not None else ("nudge", int(nudge_s * 1000), token_hex(8))
        keys = [self._stream(news.event) if news.event is not None else nudges.key(remote)]
        if news.id is not None:
            keys.append(f"{PREFIX}:webhook:{remote}:{hashlib.sha256(news.id.encode()).hexdigest()}")
        try:
            new = bool(await self._put(keys=keys, args=[*event, _REMEMBER_MS]))
        except (RedisError, OSError) as error:
            raise RedisAway(f"Redis cannot take the event ({type(error).__name__})") from None
        if new and news.event is None:
            self._nudged(remote)
        return new

    def _stream(self, event: bytes) -> str:
        return partition_key(self._events.stream, partition_of(event, self._events.partitions))
