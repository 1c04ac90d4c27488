"""The in-memory twin of the Redis stream: one shared log, any number of consumers. Used by tests and simulations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count, takewhile

from worker.ports import Entry, EntryId


@dataclass
class _Pending:
    consumer: str
    taken_at: float


#: Tells workers apart that were started one after the other.
_births = count(1)


@dataclass
class Log:
    """What the Redis server would hold. `now` is its clock, in seconds."""

    now: Callable[[], float]
    entries: dict[EntryId, bytes] = field(default_factory=dict)
    pending: dict[EntryId, _Pending] = field(default_factory=dict)
    #: Who tried an entry alone and has not come back.
    tried: dict[EntryId, list[str]] = field(default_factory=dict)
    #: When each consumer last asked for something.
    consumers: dict[str, float] = field(default_factory=dict)
    #: Number of the newest entry handed to anybody.
    delivered: int = 0
    added: int = 0

    def add(self, event: bytes) -> EntryId:
        """XADD."""
        self.added += 1
        entry_id = EntryId(f"{self.added}-0")
        self.entries[entry_id] = event
        return entry_id


class MemoryStream:
    """Implements `Stream` for one consumer of a log."""

    def __init__(self, log: Log, consumer: str, life: str = "") -> None:
        """`life`: a name for this process, which one that is started anew does not have."""
        self._log, self._consumer, self._life = log, consumer, life or f"{consumer} {next(_births)}"

    async def read(self, count: int) -> list[Entry]:
        """See `Stream.read`."""
        self._asks()
        newest = takewhile(lambda one: _number(one) > self._log.delivered, reversed(self._log.entries))
        fresh = [*newest][::-1][:count]
        for entry_id in fresh:
            self._log.delivered = _number(entry_id)
            self._log.pending[entry_id] = _Pending(self._consumer, self._log.now())
        return [self._entry(i) for i in fresh]

    async def unfinished(self, count: int) -> list[Entry]:
        """See `Stream.unfinished`."""
        self._asks()
        return self._again([i for i, p in self._log.pending.items() if p.consumer == self._consumer][:count])

    async def take_over(self, count: int, idle_s: float) -> list[Entry]:
        """See `Stream.take_over`."""
        self._asks()
        idle = [i for i, p in self._log.pending.items() if self._log.now() - p.taken_at >= idle_s]
        return self._again(idle[:count])

    async def ack(self, ids: Sequence[EntryId]) -> None:
        """See `Stream.ack`."""
        for entry_id in ids:
            self._log.pending.pop(entry_id, None)

    async def alone(self, entry: Entry) -> int:
        """See `Stream.alone`."""
        tried = self._log.tried.setdefault(entry.id, [])
        if self._life not in tried:
            tried.append(self._life)
        return len(tried) - 1

    async def came_back(self, entry: Entry) -> None:
        """See `Stream.came_back`."""
        left = [life for life in self._log.tried.pop(entry.id, []) if life != self._life]
        if left:
            self._log.tried[entry.id] = left

    async def trim(self) -> int:
        """See `Stream.trim`."""
        needed = min((_number(i) for i in self._log.pending), default=self._log.delivered + 1)
        gone = [i for i in self._log.entries if _number(i) < needed]
        for entry_id in gone:
            del self._log.entries[entry_id]
        return len(gone)

    async def forget_consumers(self, idle_s: float) -> int:
        """See `Stream.forget_consumers`."""
        busy = {one.consumer for one in self._log.pending.values()}
        last = self._log.now() - idle_s
        idle = [name for name, asked in self._log.consumers.items() if asked <= last and name not in busy]
        for name in idle:
            del self._log.consumers[name]
        return len(idle)

    def _asks(self) -> None:
        self._log.consumers[self._consumer] = self._log.now()

    def _again(self, ids: list[EntryId]) -> list[Entry]:
        for entry_id in ids:
            pending = self._log.pending[entry_id]
            pending.consumer, pending.taken_at = self._consumer, self._log.now()
        return [self._entry(i) for i in ids]

    def _entry(self, entry_id: EntryId) -> Entry:
        return Entry(entry_id, self._log.entries.get(entry_id))


def _number(entry_id: EntryId) -> int:
    return int(entry_id.partition("-")[0])
