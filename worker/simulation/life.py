"""A life: one worker process until it is killed. It sees the world through its ports, and each call may be its last.

A killed worker does nothing more: from then on every port raises `Killed`, and so do calls that were under way,
whose effects are done all the same.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol, TypeVar

from worker.errors import RedisAway, Transient
from worker.limits.base import Ending, Grant, Lane, Report
from worker.ports import Entry, EntryId, Stream
from worker.remotes.base import Answer, Request, Wire
from worker.remotes.line import Tickets
from worker.simulation.clock import VirtualLoop
from worker.simulation.faults import Fault
from worker.simulation.script import Script, Streams
from worker.store.memory import MemoryStore, MemoryTx

T = TypeVar("T")
_Coming = Coroutine[Any, Any, T]

#: How likely each call is the last one, or pauses its worker, or finds its server away.
_KILLED, _PAUSED, _AWAY = 0.012, 0.004, 0.02
#: A little longer than a lease.
PAUSE_S = (5.0, 55.0)
#: Workers that such an entry kills when they try it alone; then it must have been put aside.
_DEATHS = 2
#: What may befall a life between two calls.
_ENDS = frozenset({Fault.KILLED, Fault.PAUSED})
#: What marks an entry that kills whoever takes it in.
DEADLY = b'"deadly'


class Killed(BaseException):
    """This worker is no more. Not an `Exception`: nobody catches it on its way out."""


class Fate(Protocol):
    """What happens to workers; a history is one."""

    script: Script
    streams: Streams
    loop: VirtualLoop
    #: Faults befall only while this is on.
    war: bool

    def met(self, fault: Fault) -> None:
        """Count a fault that happened."""
        ...

    def tell(self, who: str, what: object, *more: object) -> None:
        """Add to the story."""
        ...

    def next_call(self) -> int:
        """The number of this port call."""
        ...

    def died(self, who: str, call: int, what: str) -> None:
        """A worker was killed."""
        ...


class Life:
    """One worker process."""

    def __init__(self, who: str, fate: Fate) -> None:
        self.who, self.loop = who, fate.loop
        self._fate, self._faults, self._kill_at = fate, fate.script.faults, fate.script.kill_at
        self._chance = fate.streams[f"life {who}"]
        #: Most lives of most histories cannot be cut short at all.
        self._endangered = fate.script.kill_at is not None or not _ENDS.isdisjoint(self._faults)
        self._dead = self._paused = False
        #: It took something in that will kill it.
        self.doomed = False

    async def before(self, what: str) -> int:
        """A call is about to be made; answers with its number."""
        self.go_on()
        call = self._fate.next_call()
        if self._endangered or self.doomed:
            if self._strikes(call, after=False) or self.doomed:
                self._die(call, f"before {what}")
            if self._pauses():
                await self._pause()
        return call

    async def after(self, call: int, what: str) -> None:
        """The call has had its effect."""
        self.go_on()
        if self._endangered:
            if self._strikes(call, after=True):
                self._die(call, f"after {what}")
            if self._pauses():
                await self._pause()

    def go_on(self) -> None:
        """Raises `Killed` when it is dead."""
        if self._dead:
            raise Killed

    @property
    def dead(self) -> bool:
        """Killed already."""
        return self._dead

    def meets(self, fault: Fault, share: float = _AWAY) -> bool:
        """Whether this call meets that fault."""
        if fault not in self._faults or not self._fate.war or self._chance.random() >= share:
            return False
        self._fate.met(fault)
        return True

    def _strikes(self, call: int, *, after: bool) -> bool:
        if self._kill_at is not None:
            return self._kill_at == (call, after)
        return self.meets(Fault.KILLED, _KILLED)

    def _die(self, call: int, what: str) -> None:
        self._dead = True
        self._fate.died(self.who, call, what)
        raise Killed

    def _pauses(self) -> bool:
        """Once, or pauses would add up to more than a write may take to arrive."""
        return not self._paused and self.meets(Fault.PAUSED, _PAUSED)

    async def _pause(self) -> None:
        self._paused = True
        await self.loop.after(self._chance.uniform(*PAUSE_S))
        self.go_on()


class LivingStore:
    """Implements `Store` for one worker."""

    def __init__(self, store: MemoryStore, life: Life, streams: Streams) -> None:
        self._store, self._life, self._chance = store, life, streams["transactions"]

    async def run(self, work: Callable[[MemoryTx], T]) -> T:
        """See `Store.run`. Each transaction takes a moment in which others go on."""
        life = self._life
        call = await life.before("a transaction")
        await life.loop.after(self._chance.random() * 0.06)
        life.go_on()
        if life.meets(Fault.STORE_AWAY):
            raise Transient("the database is away")
        result = self._store.run_now(work)
        await life.after(call, "a transaction")
        if life.meets(Fault.COMMIT_UNKNOWN):
            raise Transient("the database went away during the commit")
        return result


class LivingWire:
    """Implements `Wire` for one worker."""

    def __init__(self, wire: Wire, life: Life) -> None:
        self._wire, self._life = wire, life

    async def exchange(self, request: Request) -> Answer:
        """See `Wire.exchange`."""
        call = await self._life.before(request.method)
        try:
            return await self._wire.exchange(request)
        finally:
            if not self._life.dead:
                await self._life.after(call, request.method)
            self._life.go_on()


class LivingTickets:
    """Implements `Tickets` for one worker. What a dead one held comes back by itself."""

    def __init__(self, tickets: Tickets, life: Life) -> None:
        self._tickets, self._life = tickets, life

    async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
        """See `Tickets.take`."""
        call = await self._life.before("tickets")
        if self._life.meets(Fault.REDIS_AWAY):
            raise RedisAway("Redis cannot be reached")
        grant = await self._tickets.take(lane, want, patience_s=patience_s)
        try:
            await self._life.after(call, "tickets")
        except asyncio.CancelledError:  # as a `Throttle` does it: nobody will ever see them
            for ticket in grant.tickets:
                self._tickets.give_back(Report(ticket=ticket, ending=Ending.UNSENT))
            raise
        return grant

    def give_back(self, report: Report) -> None:
        """See `Tickets.give_back`."""
        if not self._life.dead:
            self._tickets.give_back(report)

    async def flush(self) -> None:
        """See `Tickets.flush`."""
        await self._life.before("reports")
        await self._tickets.flush()


class LivingStream:
    """Implements `Stream` for one worker."""

    def __init__(self, stream: Stream, life: Life) -> None:
        self._stream, self._life = stream, life

    async def read(self, count: int) -> list[Entry]:
        """See `Stream.read`."""
        entries = await self._called(lambda: self._stream.read(count), "reading the stream")
        self._life.doomed |= any(DEADLY in (one.event or b"") for one in entries)
        return entries

    async def unfinished(self, count: int) -> list[Entry]:
        """See `Stream.unfinished`."""
        return await self._called(lambda: self._stream.unfinished(count), "reading the stream")

    async def take_over(self, count: int, idle_s: float) -> list[Entry]:
        """See `Stream.take_over`."""
        return await self._called(lambda: self._stream.take_over(count, idle_s), "reading the stream")

    async def ack(self, ids: Sequence[EntryId]) -> None:
        """See `Stream.ack`."""
        await self._called(lambda: self._stream.ack(ids), "an acknowledgement")

    async def alone(self, entry: Entry) -> int:
        """See `Stream.alone`."""
        died = await self._called(lambda: self._stream.alone(entry), "noting a try")
        self._life.doomed |= died < _DEATHS and DEADLY in (entry.event or b"")
        return died

    async def came_back(self, entry: Entry) -> None:
        """See `Stream.came_back`."""
        await self._called(lambda: self._stream.came_back(entry), "coming back")

    async def trim(self) -> int:
        """See `Stream.trim`."""
        return await self._called(self._stream.trim, "trimming")

    async def forget_consumers(self, idle_s: float) -> int:
        """See `Stream.forget_consumers`."""
        return await self._called(lambda: self._stream.forget_consumers(idle_s), "forgetting consumers")

    async def _called(self, work: Callable[[], _Coming[T]], what: str) -> T:
        call = await self._life.before(what)
        if self._life.meets(Fault.REDIS_AWAY):
            raise RedisAway("Redis cannot be reached")
        result = await work()
        await self._life.after(call, what)
        return result
