"""One history: linked lists, then bad times in which people edit, then peace until nothing is left to do.

`History(script).play()` plays it; `judges.complaints` says whether it ended well. What judges look at is public.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from functools import cached_property, partial

import orjson
import structlog

from models.lead_list import Field
from models.scan import UNDER_WAY, Scan, ScanState, Trigger
from worker.limits.base import Grant, Lane, Report, Window
from worker.limits.memory import MemoryBudget
from worker.limits.throttle import Throttle
from worker.remotes.line import Tickets
from worker.simulation.clock import VirtualLoop, run_virtually
from worker.simulation.faults import Fault
from worker.simulation.holder import Holder
from worker.simulation.leads import DOUBLES, KEEPS_OFF, RemoteWithLeads
from worker.simulation.life import PAUSE_S
from worker.simulation.people import People, newborn
from worker.simulation.post import Post
from worker.simulation.remote import STRICT, Habits, SimulatedRemote, Written
from worker.simulation.script import Script, Streams
from worker.simulation.wire import LyingWire, spelling
from worker.simulation.witness import Witness
from worker.simulation.workers import Workers
from worker.store.memory import MemoryStore
from worker.sync.schedule import begin
from worker.sync.upkeep import check

#: A sender's clock may be ahead by this much.
BELIEVED_S = 290.0
#: Calls of ports beyond which a history surely goes round in circles.
_MOST_CALLS = 20_000
#: Rounds of scans and pushes after which peace must have come to rest.
_ROUNDS = 30


class NoRest(AssertionError):
    """It goes on and on."""


class Turnstile:
    """Tickets without a limit; the twin of a `Throttle` where no limit is played. Counts who has not come back."""

    def __init__(self) -> None:
        self.out: set[str] = set()
        self._given = 0

    async def take(self, lane: Lane, want: int = 1, *, patience_s: float | None = None) -> Grant:
        """See `Tickets.take`."""
        tickets = tuple(str(self._given + number) for number in range(want))
        self._given += want
        self.out.update(tickets)
        return Grant(tickets=tickets)

    def give_back(self, report: Report) -> None:
        """See `Tickets.give_back`."""
        self.out.remove(report.ticket)  # twice is an error too

    async def flush(self) -> None:
        """See `Tickets.flush`."""


class History:
    """Implements `Fate`."""

    def __init__(self, script: Script) -> None:
        self.script, self.streams = script, Streams(script)
        self.war = False
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(lambda _loop, _context: None)  # the tasks of the dead end unheard
        #: (moment, who, what, and whatever else there is to say): told in words by `story`.
        self.trace: list[tuple[object, ...]] = []
        self.counts: Counter[str] = Counter()
        self.calls = self.killed = self.bugs = 0
        self.store = MemoryStore(self.loop.now)
        self.rules = script.rules
        self.remotes = {name: self._remote(name) for name in self.rules.remotes}
        self.post = Post(self.loop, self)
        self._silence()
        paused_s = PAUSE_S[1] + 5.0 if Fault.PAUSED in script.faults else 0.0
        self.witness = Witness(
            self.rules, self.remotes, self.post, self.loop, lambda: self.store.tables, paused_s=paused_s
        )
        self.people = People(self.remotes, self.post, self.witness, self.loop, self)
        self.wires = {name: LyingWire(remote, self.loop, self) for name, remote in self.remotes.items()}
        self.turnstiles = {name: Turnstile() for name in self.remotes}
        self.workers = Workers(
            self.remotes, self.wires, self._tickets, self.store, self.post, self.witness, self.loop, self
        )
        self.holder = Holder(self.store, self.loop, self)
        #: Writes that followed from news of nothing new.
        self.echoes: list[Written] = []
        #: Events that were acknowledged and had no effect, in sentences.
        self.unheard: list[str] = []
        #: Copies that did not stand as they should when all was at rest.
        self.mismatches = 0

    # -- what befalls it

    def tell(self, who: str, what: object, *more: object) -> None:
        """Add to the trace."""
        self.trace.append((self.loop.time(), who, what, *more))

    def met(self, fault: Fault) -> None:
        """See `Fate.met`."""
        self.counts[fault] += 1

    def next_call(self) -> int:
        """See `Fate.next_call`."""
        self.calls += 1
        return self.calls

    def died(self, who: str, call: int, what: str) -> None:
        """See `Fate.died`."""
        self.killed += 1
        self.counts[f"killed {who.split(maxsplit=1)[0]}"] += 1
        self.tell(who, f"is killed {what}", f"call {call}")
        self.witness.overlooks()

    # -- how it goes

    def play(self) -> History:
        """From the first list to the end of peace."""
        run_virtually(self._play(), self.loop)
        return self

    async def _play(self) -> None:
        await self._begin()
        self.tell("---", "bad times")
        self.war = True
        ends = self.loop.time() + self.script.war_s
        self.people.plan(self.loop.time(), self.script.war_s * 0.95)
        for remote in self.remotes.values():
            self.loop.call_later(self.script.war_s / 2, self.post.spoil, remote)
        await asyncio.gather(*self.workers.at_work(ends), self.holder.at_work(ends))
        self.war = False
        self.tell("---", "peace")
        await self._calm_down()
        await self.rest()
        await self._echo()

    async def _begin(self) -> None:
        """The same lists everywhere, tied together; where leadsync creates lists, it does."""
        self.workers.strangers = self.witness.strangers = self.people.unknown
        await self.workers.introduce([name for name in self.people.names if name not in self.people.unknown])
        there = [name for name, rules in self.rules.remotes.items() if not rules.creates] or [next(iter(self.remotes))]
        first, *others = (self.remotes[name] for name in there)
        for number in self.people.numbers:
            shown = first.put(newborn(f"{first.name[0]}{number}", number, first))
            links = {}
            for other in others:
                links[other.name] = other.put(newborn(f"{other.name[0]}{number}", number, other)).remote_id
            self.post.links(first, shown, links)
        for remote in self.remotes.values():
            remote.changed = partial(self.post.announce, remote)
            remote.landing = partial(self.witness.lands, remote.name)
        await self._push_to_the_end()
        if any(rules.creates for rules in self.rules.remotes.values()):
            await self.rest()
        for remote in self.remotes.values():
            remote.writes.clear()
            remote.flights.clear()
        self.post.told.clear()

    async def _calm_down(self) -> None:
        for _ in range(10):
            if self.workers.has_entries():
                await self.workers.intake()
        self.unheard = list(self._unheard())
        await self.loop.after(self.script.setting.late_write_s + 3 * self.script.setting.timeout_s)
        for name in self.remotes:
            self.workers.resume(name)
        await self.workers.retry()
        await self.workers.introduce(self.people.names)
        await self.workers.resolve()

    def _unheard(self) -> Iterator[str]:
        """Whole looks of remotes whose clocks can be believed; hints are answered by reads, later."""
        rejected = {one.event for one in self.store.tables.rejects.values()}
        for event in self.post.accepted():
            head = orjson.loads(event)
            remote = self.remotes[head["source"]]
            if "name" not in head.get("data", {}).get("fields", {}) or remote.habits.skew_s > BELIEVED_S:
                continue
            number = self.store.tables.links.get((remote.name, head["subject"]))
            if (
                number is None
                or event.decode() in rejected
                or not self.rules.remotes[remote.name].direction(Field.NAME).used
            ):
                continue
            seen = self.store.tables.lists[number].copies[remote.name].seen.get(Field.NAME)
            if seen is None or seen.stamp.time < datetime.fromisoformat(head["time"]):
                yield f"event {head['id']} of {remote.name}:{head['subject']} was acknowledged, but not taken in"

    async def _echo(self) -> None:
        """Every event is told once more, in another order, and every list anew: nothing follows from it."""
        before = {name: len(remote.writes) for name, remote in self.remotes.items()}
        self.tell("---", "everything is told again")
        gone = {(name, one) for name, remote in self.remotes.items() for one in remote.deleted}
        told = [event for event in self.post.told if _about(event) not in gone]
        for remote in self.remotes.values():
            told += [self.post.event(remote, shown) for shown in remote.lists.values()]
        self.streams["echo"].shuffle(told)
        for event in told:
            self.post.log.add(event)
        await self._push_to_the_end()
        self.echoes = [one for name, remote in self.remotes.items() for one in remote.writes[before[name] :]]
        self.mismatches = await self._upkeep()

    async def rest(self) -> None:
        """Take in, scan and push until a whole round of scans begun from now on finds nothing to do."""
        since = self.loop.now()
        for _ in range(_ROUNDS):
            before = [len(remote.writes) for remote in self.remotes.values()]
            certificates = [await self._scan_to_its_end(name) for name in self.remotes]
            await self._push_to_the_end()
            await self.workers.resolve()
            calm = all(
                one.started_at >= since
                and one.state is ScanState.COMPLETE
                and not one.drift + one.new
                and one.moved <= self.workers.parked_unseen(one.remote)
                for one in certificates
            )
            if calm and before == [len(remote.writes) for remote in self.remotes.values()] and not self._left():
                # In production it comes by every minute.
                if not (mended := await self._upkeep()):
                    return
                self.counts["mended by upkeep"] += mended
            await self.loop.after(5.0)
        raise NoRest(f"it never comes to rest: {self._left()}")

    async def _scan_to_its_end(self, remote: str) -> Scan:
        number = (await self.store.run(lambda tx: begin(tx, remote, Trigger.SCHEDULE))).id
        for _ in range(300):
            await self._push_to_the_end()
            await self.workers.scan(remote)
            one = self.store.tables.scans[number]
            if one.state is ScanState.HELD:
                self.workers.decide_held(refuse=False)
            elif one.state not in UNDER_WAY:
                return one
            await self.loop.after(1.0)
        raise NoRest(f"a scan of {remote} goes on and on")

    async def _push_to_the_end(self) -> None:
        for _ in range(120):
            if self.calls > _MOST_CALLS:
                break
            if self.workers.has_entries():
                await self.workers.intake()
            calls = [await self.workers.push(name) for name in self.remotes if self.workers.has_due(name)]
            if not any(calls):
                # What is to be created may wait for a scan.
                waiting = [copy for copy in self.workers.waiting() if not copy.pending]
                if self.workers.has_entries():  # somebody died with them
                    await self.loop.after(5.0)
                    continue
                if not waiting:
                    return
                moment = min(copy.lease_until or copy.due_at or self.loop.now() for copy in waiting)
                await self.loop.after(max(1.0, (moment - self.loop.now()).total_seconds()))
        raise NoRest(f"pushing goes on and on: {self.workers.waiting()}")

    async def _upkeep(self) -> int:
        return (await check(self.store, self.rules, self.loop, after=0, settled=True)).mismatches

    def _left(self) -> list[object]:
        """What is still to be done by somebody."""
        held = [one for one in self.store.tables.scans.values() if one.state is ScanState.HELD]
        return [*self.workers.waiting(), *held, *self.post.log.pending]

    # -- what its script draws

    def _remote(self, name: str) -> SimulatedRemote:
        habits = self._habits(name)
        return (RemoteWithLeads if habits.apart else SimulatedRemote)(name, self.loop, habits)

    def _habits(self, name: str) -> Habits:
        faults, chance, rules = self.script.faults, self.script.chance(f"habits {name}"), self.rules.remotes[name]
        odd, strict = chance.random() < 0.5, chance.random() < 0.7
        page, skew_s = chance.randint(1, 6), chance.choice((-60.0, 60.0, -5.0, 5.0, 900.0))
        spell, ignored, refused = spelling(chance), chance.choice((Field.OWNER, Field.ENRICHMENT)), chance.randint(1, 3)
        kept_off = {"p3": chance.choice(KEEPS_OFF)}
        return Habits(
            apart=rules.members_apart,
            keeps_off=kept_off if Fault.KEPT_OFF in faults else {},
            doubles=chance.choice(DOUBLES),
            counts_deleted=chance.random() < 0.7,
            versioned=rules.versioned,
            page=page,
            skew_s=skew_s if Fault.SKEWED in faults and odd else 0.0,
            spell=spell if Fault.SPELLS in faults and odd else None,
            ignores=frozenset({ignored}) if Fault.IGNORES in faults and odd else frozenset(),
            refuses=frozenset({str(refused)}) if Fault.REFUSES in faults and odd else frozenset(),
            strict=Fault.STRICT in faults and strict,
        )

    def _silence(self) -> None:
        names, chance = sorted(self.remotes), self.streams["silence"]
        drawn = chance.sample(names, chance.randint(1, len(names)))
        self.post.silent = frozenset(drawn) if Fault.SILENT in self.script.faults else frozenset()

    def _tickets(self, remote: str) -> Tickets:
        if not self.remotes[remote].habits.strict:
            return self.turnstiles[remote]
        return Throttle(self._budgets[remote], self.loop.time)

    @cached_property
    def _budgets(self) -> dict[str, MemoryBudget]:
        """What all workers share of each strict remote."""
        windows = [Window(limit=limit, seconds=seconds) for limit, seconds in STRICT]
        hold_s, spread = 2 * self.script.setting.timeout_s, self.streams["budget"].random
        return {
            name: MemoryBudget(windows, hold_s=hold_s, now=self.loop.time, spread=spread)
            for name, remote in self.remotes.items()
            if remote.habits.strict
        }


def _about(event: bytes) -> tuple[str, str]:
    """The list that an event is about."""
    head = orjson.loads(event)
    return head["source"], head["subject"]


def quiet_logs() -> None:
    """What the use cases log of their own trouble is part of the play; judges look at what was written down."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
