"""Pulse: what was needed, sent and late, minute by minute, kept in Redis for the plots. Written by `tasks/alerts.py`.

Read by the page Now. Losing it costs an hour of two plots, nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from worker.redis_access import PREFIX

if TYPE_CHECKING:
    from redis import Redis

_KEY: Final = f"{PREFIX}:pulse"
_MINUTE_S: Final = 60
#: The first minute of an hour needs the one before it.
_KEPT_S: Final = 3600 + 2 * _MINUTE_S


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """How everything stood at the end of one minute."""

    at: datetime
    #: Patches, since the ledger begins.
    needed: int
    sent: int
    #: For how long the oldest due copy has not been in sync; the age of the oldest event, when Redis told it.
    stale_s: float
    event_s: float | None


def keep(redis: Redis, pulse: Pulse) -> None:
    """The last one of each minute stays."""
    minute = int(pulse.at.timestamp()) // _MINUTE_S * _MINUTE_S
    row = orjson.dumps([minute, pulse.needed, pulse.sent, round(pulse.stale_s, 1), pulse.event_s])
    with redis.pipeline() as pipeline:
        pipeline.zremrangebyscore(_KEY, minute, "+inf")
        pipeline.zremrangebyscore(_KEY, "-inf", minute - _KEPT_S)
        pipeline.zadd(_KEY, {row: minute})
        pipeline.expire(_KEY, _KEPT_S)
        pipeline.execute()


def pulses(redis: Redis) -> list[Pulse]:
    """Those of the last hour, oldest first; minutes in which nobody looked are not there."""
    return [_pulse(row) for row in redis.zrange(_KEY, 0, -1)]


def _pulse(row: Any) -> Pulse:
    minute, needed, sent, stale_s, event_s = orjson.loads(row)
    at = datetime.fromtimestamp(minute, UTC)
    return Pulse(at=at, needed=needed, sent=sent, stale_s=stale_s, event_s=event_s)
