"""The post: brings events to the stream as the world does, some twice, some late. Used by `people.py`."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

import orjson
from redis import Redis

#: Shares of events, and how late the late ones are at most.
_TWICE = 0.04
_LATE = 0.05
_LATE_S = 0.8
_UNREADABLE = 0.01

#: What a program that was written in a hurry sends: each is rejected with its reason, and blocks nothing.
_BAD = (
    b"not json at all",
    b'{"specversion": "1.0", "id": "1", "source": "crm", "type": "leadlist.changed"}',
    b'{"specversion": "1.0", "id": "1", "source": "crm", "type": "leadlist.painted", "subject": "1"}',
    b'{"specversion": "2.0", "id": "1", "source": "fax", "type": "leadlist.changed", "subject": "1", "time": "now"}',
)

Event = dict[str, Any]
#: Called with the time when an event was first added.
Arrived = Callable[[float], None]


class Post:
    """Adds events to the stream, and counts them."""

    def __init__(self, redis: Redis, stream: str, chance: Random, clock: Callable[[], float]) -> None:
        self._redis, self._stream, self._chance, self._clock = redis, stream, chance, clock
        self._late: list[tuple[float, int, Event, Arrived]] = []
        #: Entries added, of every sort.
        self.events = 0
        self.unreadable = 0

    def bring(self, event: Event, arrived: Arrived) -> None:
        """Add one event, now or a little later, perhaps twice; tell *arrived* when it was first added."""
        if self._hits(_UNREADABLE):
            self.bring_unreadable()
        if self._hits(_LATE):
            due = self._clock() + self._chance.random() * _LATE_S
            heapq.heappush(self._late, (due, self.events + len(self._late), event, arrived))
            return
        self._add(event, arrived)

    def bring_all(self, events: Sequence[tuple[Event, Arrived]]) -> None:
        """Add many at once, each exactly once."""
        for event, arrived in events:
            self._add(event, arrived, twice=False)

    def bring_unreadable(self) -> None:
        """Add something that cannot be taken in."""
        self._xadd(_BAD[self.unreadable % len(_BAD)])
        self.unreadable += 1

    def bring_late(self, *, all_of_it: bool = False) -> None:
        """Add what has been late for long enough; at the end all of it."""
        while self._late and (all_of_it or self._late[0][0] <= self._clock()):
            *_, event, arrived = heapq.heappop(self._late)
            self._add(event, arrived)

    def _add(self, event: Event, arrived: Arrived, *, twice: bool = True) -> None:
        entry = orjson.dumps(event)
        arrived(self._clock())
        self._xadd(entry)
        if twice and self._hits(_TWICE):
            self._xadd(entry)

    def _xadd(self, entry: bytes) -> None:
        self._redis.xadd(self._stream, {"event": entry})
        self.events += 1

    def _hits(self, share: float) -> bool:
        return self._chance.random() < share
