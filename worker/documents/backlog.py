"""The document of the plots of saved calls and of the backlog: the last hour, minute by minute, as workers noted it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from redis.exceptions import RedisError

from models.totals import Total, TotalKind
from worker.documents.metrics import WRITES
from worker.documents.overview import Overview
from worker.notes.pulse import Pulse, keep, pulses
from worker.wiring import Runtime

_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class BacklogMinute:
    """One minute; null where nobody looked."""

    needed: int | None = None
    sent: int | None = None
    stale_s: float | None = None
    event_s: float | None = None


@dataclass(frozen=True, slots=True)
class BacklogDocument:
    """Minutes by their beginning."""

    minutes: dict[datetime, BacklogMinute]

    @property
    def saved(self) -> int | None:
        """Patches that were needed in all these minutes and not sent. None is saved while more are sent than became
        needed: older ones, lists that differed when they were linked, members whose ids were learned.
        """
        known = [one for one in self.minutes.values() if one.needed is not None and one.sent is not None]
        return max(0, sum((one.needed or 0) - (one.sent or 0) for one in known)) if known else None

    @property
    def last(self) -> BacklogMinute:
        """The newest that is known."""
        return next((one for one in reversed(self.minutes.values()) if one.stale_s is not None), BacklogMinute())


async def note(runtime: Runtime, found: Overview) -> None:
    """Keep how everything stands. What nobody can tell now is missing; it would be of no use later."""
    if found.stored is None or not found.redis:
        return
    stored, names = found.stored, found.stored.brakes.configured
    sent = (one for one in stored.totals if one.kind is TotalKind.CALLS and one.detail.split(" ")[0] in WRITES)
    pulse = Pulse(
        at=stored.now,
        needed=_sum(one for one in stored.totals if one.kind is TotalKind.NEEDED),
        sent=_sum(sent),
        stale_s=max((stored.stale_s(name) for name in names), default=0.0),
        event_s=found.oldest_event_s,
    )
    await asyncio.to_thread(keep, runtime.bells, pulse)


async def backlog(runtime: Runtime) -> BacklogDocument:
    """Nothing while Redis is away."""
    try:
        return told(await asyncio.to_thread(pulses, runtime.bells))
    except (RedisError, OSError):
        return BacklogDocument({})


def told(found: Iterable[Pulse]) -> BacklogDocument:
    """What was counted since the minute before, where that one is known."""
    minutes, before = dict[datetime, BacklogMinute](), dict[datetime, Pulse]()
    for one in found:
        last, before = before.get(one.at - _MINUTE), {one.at: one}
        minutes[one.at] = BacklogMinute(
            needed=None if last is None else max(0, one.needed - last.needed),
            sent=None if last is None else max(0, one.sent - last.sent),
            stale_s=one.stale_s,
            event_s=one.event_s,
        )
    return BacklogDocument(minutes)


def _sum(totals: Iterable[Total]) -> int:
    return sum(one.number for one in totals)
