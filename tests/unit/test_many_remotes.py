"""A hundred remotes in one process, on virtual time: a dead, a slow and a limited one change nothing for the others,
and of one budget each lane has its share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from models.lead_list import Copy, Field, LeadList, Seen, Stamp, Wanted
from models.observation import Shown
from tests.support.fairness import jain
from tests.support.heart import BOTH, remote_rules
from worker.engine.plan import restand
from worker.engine.rules import Rules
from worker.errors import RemoteDown
from worker.limits.base import Budget, Ending, Lane, Report, Window
from worker.limits.memory import MemoryBudget
from worker.limits.throttle import Throttle
from worker.ports import Tx
from worker.remotes.base import Answer, Request, Wire
from worker.remotes.memory import MemoryConnector
from worker.simulation.clock import START, VirtualLoop, run_virtually
from worker.store.memory import MemoryStore
from worker.sync.push import Door, push

REMOTES, LISTS = 100, 20
BAD = ("remote00", "remote01", "remote02")
HEALTHY = [f"remote{n:02}" for n in range(len(BAD), REMOTES)]
RULES = Rules(remotes={"crm": remote_rules(0)} | {name: remote_rules(1, directions=BOTH) for name in (*BAD, *HEALTHY)})


@dataclass
class Trouble:
    """A wire that takes its time, and answers as it is told."""

    loop: VirtualLoop
    wire: Wire
    latency_s: float = 0.1
    dead: bool = False
    limited: bool = False
    arrived: list[float] = field(default_factory=list)

    async def exchange(self, request: Request) -> Answer:
        self.arrived.append(self.loop.monotonic())
        await asyncio.sleep(self.latency_s)
        if self.dead:
            raise RemoteDown("no connection: refused")
        if self.limited and len(self.arrived) % 2:
            return Answer(status=429, headers={"retry-after": "5"}, body=b"{}")
        return await self.wire.exchange(request)


class Town:
    """All remotes with their lists, in one store, on one loop: as in one process of a worker."""

    def __init__(self, told: Collection[str]) -> None:
        self.loop = VirtualLoop()
        self.store = MemoryStore(self.loop.now)
        self.wires: dict[str, Trouble] = {}
        self.doors = {name: self._door(name) for name in told}
        self.store.run_now(self._differing)

    def _door(self, name: str) -> Door:
        shown = [Shown(remote_id=f"{name}-{n}", fields={Field.NAME: "old"}) for n in range(LISTS)]
        connector = MemoryConnector(name, shown)
        wire = self.wires[name] = Trouble(self.loop, connector.wire)
        if name in BAD:
            dead, slow, limited = (name == one for one in BAD)
            wire.dead, wire.limited, wire.latency_s = dead, limited, 10.0 if slow else 0.1
        budget = _budget(self.loop)
        tickets = Throttle(budget, self.loop.monotonic)
        return Door(
            connector=connector, wire=wire, tickets=tickets, max_in_flight=4, timeout_s=20.0, late_write_s=120.0
        )

    def _differing(self, tx: Tx) -> None:
        """The CRM says "new", the others were last seen with "old"."""
        earlier, stamp = Stamp(START - timedelta(seconds=1)), Stamp(START)
        for name in self.doors:
            for n, number in enumerate(tx.create([None] * LISTS)):
                crm = Copy(remote="crm", remote_id=f"c-{name}-{n}", seen={Field.NAME: Seen("new", stamp)})
                other = Copy(remote=name, remote_id=f"{name}-{n}", seen={Field.NAME: Seen("old", earlier)})
                wanted = {Field.NAME: Wanted("new", stamp, "crm")}
                made = LeadList(id=number, wanted=wanted, copies={"crm": crm, name: other})
                tx.save([(None, restand(made, RULES, tx.now))])

    def ends(self, seconds: float) -> Mapping[str, float]:
        """Push everything for so long, in slices, as the tasks do. When each remote had its last call."""

        async def serve(door: Door) -> None:
            while self.loop.monotonic() < seconds:
                await push(door, self.store, RULES, self.loop, for_s=5.0, spread=lambda: 0.5)
                await asyncio.sleep(1.0)  # the tick

        async def all_of_it() -> None:
            await asyncio.gather(*map(serve, self.doors.values()))

        run_virtually(all_of_it(), self.loop)
        return {name: wire.arrived[-1] for name, wire in self.wires.items()}


def _budget(loop: VirtualLoop) -> Budget:
    return MemoryBudget([Window(limit=10, seconds=1.0)], hold_s=40.0, now=loop.monotonic, spread=lambda: 0.5)


def test_three_bad_remotes_change_nothing_for_the_others() -> None:
    """Each healthy remote makes its calls at the very moments at which it makes them without the bad ones."""
    alone, beside = Town(HEALTHY), Town([*BAD, *HEALTHY])

    before, after = alone.ends(30.0), beside.ends(30.0)

    assert before == {name: after[name] for name in HEALTHY}
    assert {LISTS} == {len(beside.wires[name].arrived) for name in HEALTHY}
    assert 1.0 == round(jain([1 / after[name] for name in HEALTHY]), 6)


def test_bad_remotes_are_still_served() -> None:
    """The slow one gets through with its calls in flight, the limited one at its pace, the dead one is probed."""
    town = Town([*BAD, *HEALTHY])

    town.ends(120.0)

    names = {name: [one.fields[Field.NAME] for one in _lists(town, name)] for name in BAD}
    assert [0, LISTS, LISTS] == [names[name].count("new") for name in BAD]
    dead, _, _ = (town.wires[name].arrived for name in BAD)
    assert 0 < len(dead) < 2 * LISTS


def _lists(town: Town, name: str) -> list[Shown]:
    connector = town.doors[name].connector
    assert isinstance(connector, MemoryConnector)
    return list(connector.wire.lists.values())


def test_lanes_share_a_budget_as_they_are_entitled() -> None:
    """
    Three lanes that all want more than there is: the lower two get their trickle each, alike, and live the rest.
    """
    loop = VirtualLoop()
    throttle = Throttle(_budget(loop), loop.monotonic)
    granted = dict.fromkeys(Lane, 0)

    async def want(lane: Lane) -> None:
        while loop.monotonic() < 300.0:
            grant = await throttle.take(lane, 4, patience_s=10.0)
            granted[lane] += len(grant.tickets)
            await asyncio.sleep(0.05)
            for ticket in grant.tickets:
                throttle.give_back(Report(ticket=ticket, ending=Ending.ANSWERED))

    async def all_lanes() -> None:
        await asyncio.gather(*(want(lane) for lane in Lane for _ in range(5)))

    run_virtually(all_lanes(), loop)

    total = sum(granted.values())
    lower = [granted[Lane.RETRY], granted[Lane.SCAN]]
    assert jain(lower) > 0.99
    assert 0.08 < sum(lower) / total < 0.15, granted
