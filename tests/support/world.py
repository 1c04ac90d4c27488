"""A small world for tests of intake and push: remotes in memory, wires that fail on request, counted tickets."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import orjson

from models.lead_list import Copy, Field, Kind, LeadList, Value
from models.observation import Shown
from models.patch import Patch
from models.scan import Scan, Trigger
from tests.support.heart import NOON, rules_of
from worker.engine.rules import Rules
from worker.errors import RedisAway, Unclear
from worker.limits.base import Ending, Grant, Lane, Report, Wait
from worker.ports import EntryId, Store
from worker.remotes.base import Answer, Page, Request, Send, Wire
from worker.remotes.memory import MemoryConnector
from worker.store.memory import MemoryStore
from worker.stream.memory import Log, MemoryStream
from worker.sync.intake import Taken, drain
from worker.sync.push import Door, Pushed, push
from worker.sync.scan import scan
from worker.sync.schedule import begin

TIMEOUT_S = 20.0
LATE_WRITE_S = 120.0
BATCH = 500
TAKEOVER_S = 45.0

#: What befalls one request instead of a good answer.
Fault = Callable[[Request, Wire], Awaitable[Answer]]


class TestClock:
    """Real seconds, but nobody waits."""

    __test__ = False

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(0)


class CountedTickets:
    """Hands out as many tickets as it is told to hold, and knows which came back."""

    def __init__(self) -> None:
        self.left = 1_000_000
        self.broken = False
        self.out: set[str] = set()
        self.endings: list[Ending] = []
        self._numbers = 0

    async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
        await asyncio.sleep(0)
        if self.broken:
            raise RedisAway("Redis cannot be reached (ConnectionError); is it running?")
        granted = min(want, self.left)
        if not granted:
            return Grant(wait_s=60.0, why=Wait.BUDGET)
        self.left -= granted
        tickets = tuple(str(self._numbers + n) for n in range(granted))
        self._numbers += granted
        self.out |= set(tickets)
        return Grant(tickets=tickets)

    async def flush(self) -> None:
        await asyncio.sleep(0)

    def give_back(self, report: Report) -> None:
        self.out.remove(report.ticket)  # twice is an error too
        self.endings.append(report.ending)


class FaultyWire:
    """A wire to a remote in memory. Faults befall the next requests in order; overlaps of writes are counted."""

    def __init__(self, wire: Wire, set_clock: Callable[[], None]) -> None:
        self._wire = wire
        self.set_clock = set_clock
        self.faults: deque[Fault | None] = deque()
        self.sent: list[Request] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.overlaps = 0
        self._busy: set[str] = set()
        #: Seconds of the loop that each request takes.
        self.latency_s = 0.0

    @property
    def patches(self) -> list[Any]:
        """Bodies of all PATCHes, in order."""
        return [request.body for request in self.sent if request.writes]

    async def exchange(self, request: Request) -> Answer:
        self.set_clock()
        self.sent.append(request)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        self.overlaps += request.path in self._busy
        self._busy.add(request.path)
        try:
            await asyncio.sleep(self.latency_s)
            fault = self.faults.popleft() if self.faults else None
            return await (fault(request, self._wire) if fault else self._wire.exchange(request))
        finally:
            self.in_flight -= 1
            self._busy.discard(request.path)


async def lost(_request: Request, _wire: Wire) -> Answer:
    """Never arrives, and nobody can tell."""
    raise Unclear("no answer within 20 s")


async def applied(request: Request, wire: Wire) -> Answer:
    """Done there, but its answer is lost."""
    await wire.exchange(request)
    raise Unclear("no answer within 20 s")


def answers(status: int, body: Any = None, **headers: str) -> Fault:
    """The remote answers this and does nothing."""

    async def fault(_request: Request, _wire: Wire) -> Answer:
        raw = body if isinstance(body, bytes) else orjson.dumps(body or {"error": {"message": f"status {status}"}})
        return Answer(status=status, headers=headers, body=raw)

    return fault


class Unversioned(MemoryConnector):
    """A remote whose lists carry no version and no members, like Instantly."""

    async def get(self, send: Send, remote_id: str) -> Shown:
        return replace(await super().get(send, remote_id), version=None, members=None)

    async def patch(self, send: Send, remote_id: str, kind: Kind | None, patch: Patch) -> Shown | None:
        shown = await super().patch(send, remote_id, kind, patch)
        return shown and replace(shown, version=None, members=None)

    async def create(self, send: Send, kind: Kind | None, patch: Patch, at: datetime) -> Shown:
        return replace(await super().create(send, kind, patch, at), version=None, members=None)

    async def page(self, send: Send, cursor: str | None) -> Page:
        page = await super().page(send, cursor)
        return Page(tuple(replace(shown, version=None, members=None) for shown in page.items), page.next)


class World:
    """Three remotes, one stream, one store."""

    def __init__(self, rules: Rules | None = None, store: Store | None = None, *, max_in_flight: int = 16) -> None:
        self.now = NOON
        self.rules = rules or rules_of()
        self.memory = MemoryStore(lambda: self.now)
        self.store: Store = store or self.memory
        self.log = Log(self._seconds)
        self.stream = MemoryStream(self.log, "one")
        self.remotes = {
            name: (MemoryConnector if rules.versioned else Unversioned)(name)
            for name, rules in self.rules.remotes.items()
        }
        self.wires = {name: FaultyWire(remote.wire, self._set_clocks) for name, remote in self.remotes.items()}
        self.tickets = {name: CountedTickets() for name in self.remotes}
        self.max_in_flight = max_in_flight
        self._events = 0

    def _seconds(self) -> float:
        return self.now.timestamp()

    def _set_clocks(self) -> None:
        """Remotes live at the same time as the database: what they change is stamped no earlier."""
        for remote in self.remotes.values():
            remote.wire._now = max(remote.wire._now, self.now)

    # -- what people do

    def put(self, remote: str, remote_id: str = "1", /, *, members: Iterable[str] = (), **fields: Value) -> Shown:
        """A list appears, or is edited: only what is named changes."""
        self._set_clocks()
        before = self.remotes[remote].wire.lists.get(remote_id, Shown(remote_id=remote_id, fields={Field.NAME: ""}))
        known = before.members or frozenset()
        values = {**before.fields, **{Field(name): value for name, value in fields.items()}}
        return self.remotes[remote].wire.put(replace(before, fields=values, members=known | frozenset(members)))

    def shown(self, remote: str, remote_id: str = "1") -> Shown:
        """What a remote holds now."""
        return self.remotes[remote].wire.lists[remote_id]

    # -- what remotes tell

    def event(self, remote: str, shown: Shown | None, remote_id: str = "1", /, **more: Any) -> bytes:
        """An event about a list as it was shown; without, "look again"."""
        self._events += 1
        head: dict[str, Any] = {
            "specversion": "1.0",
            "id": f"e{self._events}",
            "source": remote,
            "type": "leadlist.changed",
            "subject": shown.remote_id if shown else remote_id,
            "time": shown.version if shown else self.now,
        }
        data: dict[str, Any] = dict(more.pop("data", {}))
        if shown is not None and "fields" not in data:
            data["fields"] = {field.value: value for field, value in shown.fields.items()}
            if shown.members is not None and not {"members_added", "members_removed"} & data.keys():
                data["fields"]["members"] = sorted(shown.members)
        return orjson.dumps(head | ({"data": data} if data else {}) | more)

    def tell(self, remote: str, shown: Shown | None, remote_id: str = "1", /, **more: Any) -> EntryId:
        """The same, added to the stream."""
        return self.log.add(self.event(remote, shown, remote_id, **more))

    # -- what leadsync does

    def door(self, remote: str) -> Door:
        """One remote with all that is needed to call it."""
        return Door(
            connector=self.remotes[remote],
            wire=self.wires[remote],
            tickets=self.tickets[remote],
            max_in_flight=self.max_in_flight,
            timeout_s=TIMEOUT_S,
            late_write_s=LATE_WRITE_S,
        )

    async def intake(self, batch: int = BATCH) -> Taken:
        """Take in all that was told."""
        return await drain(self.stream, self.store, self.rules, batch=batch, takeover_s=TAKEOVER_S)

    async def push(self, remote: str, for_s: float = 60.0, expects: int = 0) -> Pushed:
        """Push one remote until nothing of it is due."""
        door, clock = self.door(remote), TestClock()
        return await push(door, self.store, self.rules, clock, for_s=for_s, spread=lambda: 0.5, expects=expects)

    async def scan(self, remote: str, trigger: Trigger = Trigger.PERSON, for_s: float = 60.0) -> Scan:
        """Scan one remote to its end, and read by id what it did not show."""
        await self.store.run(lambda tx: begin(tx, remote, trigger))
        for _ in range(50):
            if await scan(self.door(remote), self.store, self.rules, TestClock(), for_s=for_s) is None:
                break
            await self.push(remote)
            self.wait(1)
        latest = await self.store.run(lambda tx: tx.scans.latest(remote))
        assert latest is not None
        return latest

    async def sync(self) -> None:
        """Take in and push until nothing is due now."""
        await self.intake()
        for _ in range(20):
            if not [one for name in self.remotes if (one := await self.push(name)).calls]:
                return
        raise AssertionError("pushing goes on and on")

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    async def rest(self) -> None:
        """Let time pass and sync until nothing is due any more."""
        for _ in range(200):
            await self.sync()
            moments = [copy.due_at for copy in self.copies() if copy.due_at is not None]
            if not moments:
                return
            self.now = max(self.now, *moments, *(c.lease_until for c in self.copies() if c.lease_until))
        raise AssertionError("this world never comes to rest")

    # -- what it looks like inside

    def copies(self) -> list[Copy]:
        """All copies."""
        return [copy for one in self.memory.tables.lists.values() for copy in one.copies.values()]

    def list_of(self, remote: str = "crm", remote_id: str = "1") -> LeadList:
        """The lead list that a remote's list belongs to, with all members."""
        return self.memory.tables.lists[self.memory.tables.links[remote, remote_id]]

    def copy(self, remote: str, remote_id: str = "1") -> Copy:
        """One copy."""
        return self.list_of(remote, remote_id).copies[remote]

    def wanted(self, remote: str = "crm", remote_id: str = "1") -> Mapping[str, Value]:
        """Wanted values by name."""
        wanted = self.list_of(remote, remote_id).wanted
        return {field.value: one.value for field, one in wanted.items()}

    def patches(self, remote: str) -> list[Any]:
        """Bodies of all PATCHes sent to one remote."""
        return self.wires[remote].patches

    def tickets_out(self) -> set[str]:
        """Tickets that nobody gave back."""
        return {ticket for tickets in self.tickets.values() for ticket in tickets.out}


async def linked(world: World, *remotes: str, name: str = "A") -> World:
    """The same list on these remotes, tied together and in sync."""
    first, *others = remotes
    shown = world.put(first, name=name)
    for other in others:
        world.put(other, name=name)
    world.tell(first, shown, data={"links": dict.fromkeys(others, "1")})
    await world.rest()
    for wire in world.wires.values():
        wire.sent.clear()
    return world


async def edited(world: World, remote: str = "crm", **fields: Any) -> World:
    """A person edits, and the event comes."""
    world.tell(remote, world.put(remote, **fields))
    await world.intake()
    return world


async def many_due(world: World, lists: int) -> None:
    """So many lists, each with one field due on lance."""
    for number in range(lists):
        key = str(number)
        world.put("lance", key, name="A")
        world.tell("crm", world.put("crm", key, name="A"), data={"links": {"lance": key}})
    await world.rest()
    for number in range(lists):
        world.tell("crm", world.put("crm", str(number), name="B"))
    await world.intake()
    for wire in world.wires.values():
        wire.sent.clear()


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scene."""
    asyncio.run(scene())


def reasons(world: World) -> list[str]:
    """Why entries were rejected."""
    return [reject.reason for reject in world.memory.tables.rejects.values()]


# Bad events


def raw_event(**changes: Any) -> bytes:
    """An event of the CRM about its list 1, at noon, with these attributes."""
    head = {"specversion": "1.0", "id": "x", "source": "crm", "type": "leadlist.changed", "subject": "1"}
    return orjson.dumps({**head, "time": NOON, **changes})
