"""One random history from a seed: people edit every side, events come late or not at all, calls fail, workers are
killed; then peace, until nothing is left to do. The use cases are the real ones, in virtual time.

`Simulation(seed).run()` plays it; tests/support/judges.py says whether it ended well.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

import orjson

from models.lead_list import SCALARS, Abandoned, Copy, Field, LeadList, Standing, Value
from models.observation import Shown
from models.scan import UNDER_WAY, Scan, ScanState, Trigger
from tests.support.heart import BOTH
from tests.support.lying import LATE_WRITE_S, LYING_IDS, LYING_LISTINGS, LyingRemote, Written
from tests.support.virtual_time import VirtualLoop, run_virtually
from tests.support.world import CountedTickets
from worker.engine.rules import Direction, Policy, RemoteRules, Rules
from worker.errors import NotPossible
from worker.ports import RemoteState
from worker.store.memory import MemoryStore, MemoryTx
from worker.stream.memory import Log, MemoryStream
from worker.sync.intake import drain
from worker.sync.operate import retry_parked
from worker.sync.push import Door, push
from worker.sync.scan import scan
from worker.sync.schedule import begin, decide, due

T = TypeVar("T")

TIMEOUT_S = 20.0
SCAN_EVERY_S = 60.0
NAMES = ("A", "B", "C", "D")
VALUES: dict[Field, tuple[Value, ...]] = {
    Field.NAME: NAMES,
    Field.OWNER: (None, "u1", "u2"),
    Field.ENRICHMENT: (None, True, False),
}
MEMBERS = ("p1", "p2", "p3")
#: Rounds of scans and pushes after which peace must have come to rest.
_ROUNDS = 40


class SlowStore(MemoryStore):
    """Every transaction takes a moment before and after it, in which others go on, or its worker is killed."""

    def __init__(self, now: Callable[[], datetime], chance: random.Random) -> None:
        super().__init__(now)
        self._chance = chance

    async def run(self, work: Callable[[MemoryTx], T]) -> T:
        """See `Store.run`."""
        await asyncio.sleep(self._chance.random() * 0.05)
        result = self.run_now(work)
        await asyncio.sleep(self._chance.random() * 0.05)
        return result


@dataclass(frozen=True, slots=True)
class Edit:
    """What a person did to one thing of a list: a field, or whether a member is there."""

    remote: str
    value: Value


class Simulation:
    """One history. What judges look at is public."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = chance = random.Random(seed)
        self.loop = VirtualLoop()
        self.trace: list[tuple[float, str]] = []
        self.seen_paths: Counter[str] = Counter()
        self.rules = _rules(chance)
        self.numbers = [str(number) for number in range(1, chance.randint(5, 30) + 1)]
        page = chance.randint(2, 9)
        self.remotes = {
            name: LyingRemote(name, self.loop, chance, self.tell, versioned=one.versioned, page=page)
            for name, one in self.rules.remotes.items()
        }
        self.store = SlowStore(self.loop.now, chance)
        self.log = Log(self.loop.time)
        self.tickets = {name: CountedTickets() for name in self.remotes}
        #: Who touched what of a list since it was last quiet, and the last value there.
        self.touched: dict[tuple[str, Field | str], dict[str, Value]] = {}
        #: Events on their way, by list.
        self.mail: Counter[str] = Counter()
        #: Edits that may be taken for our own late writes.
        self.excused: set[tuple[str, Field | str]] = set()
        self.released: set[int] = set()
        self.killed = 0
        self._arrived: list[str] = []
        self._edited: dict[tuple[str, str], float] = {}
        #: Writes that followed from news of nothing new.
        self.echoes: list[Written] = []
        self._events = 0
        self._impatience = chance.choice((0.0, 0.3, 1.0))
        self._war_ends = 0.0

    def tell(self, text: str) -> None:
        """Add to the trace."""
        self.trace.append((self.loop.time(), text))

    def run(self) -> Simulation:
        """Play it to its end."""
        run_virtually(self._play(), self.loop)
        return self

    async def _play(self) -> None:
        await self._link()
        self.tell("--- the troubles begin")
        troubles = self.chance.choice((LYING_LISTINGS, LYING_IDS))
        self.listings_lie = troubles is LYING_LISTINGS
        for remote in self.remotes.values():
            remote.troubles = troubles
            remote.changed = self._announcer(remote.name)
        self._war_ends = self.loop.time() + self.chance.uniform(60.0, 400.0)
        workers = [work for name in self.remotes for work in (self._pushes(name), self._scans(name))]
        await asyncio.gather(self._people(), self._takes_in(), self._boss(), *workers)
        self.tell("--- peace")
        await self._calm_down()
        await self.rest()
        await self._echo()

    async def _link(self) -> None:
        first, *others = self.remotes
        for number in self.numbers:
            for remote in self.remotes.values():
                fields: dict[Field, Value] = {Field.NAME: "A", Field.OWNER: None, Field.ENRICHMENT: None}
                members = frozenset({"p1"}) if remote.versioned else frozenset[str]()
                remote.put(Shown(remote_id=number, fields=fields, members=members))
            shown = self.remotes[first].lists[number]
            self.log.add(self._event(first, shown, links=dict.fromkeys(others, number)))
        await self.rest()
        for remote in self.remotes.values():
            remote.writes.clear()

    # -- people

    async def _people(self) -> None:
        acts: list[Callable[[], None]] = [self._edit] * 12 + [self._edit_twice] * 4 + [self._change_members] * 4
        if self.listings_lie:
            acts += [self._delete]
        if self.chance.random() < 0.2:
            acts += [self._edit_many]
        for _ in range(self.chance.randint(5, 40)):
            await asyncio.sleep(self.chance.expovariate(0.2))
            if self.loop.time() < self._war_ends:
                self.chance.choice(acts)()

    def _edit(self) -> None:
        number = self.chance.choice(self.numbers)
        field = self.chance.choice(SCALARS)
        self._change(self._some_remote(number), number, field, self.chance.choice(VALUES[field]))

    def _edit_twice(self) -> None:
        """One field on two sides, within a second or two."""
        number, field = self.chance.choice(self.numbers), self.chance.choice(SCALARS)
        for remote in self.chance.sample(sorted(self.remotes), 2):
            value = self.chance.choice(VALUES[field])
            self.loop.call_later(self.chance.uniform(0.0, 2.0), self._change, remote, number, field, value)

    def _edit_many(self) -> None:
        """Somebody runs a script over one remote."""
        remote, value = self.chance.choice(sorted(self.remotes)), self.chance.choice(NAMES)
        for number in self.numbers:
            self._change(remote, number, Field.NAME, value)

    def _change(self, remote: str, number: str, field: Field, value: Value) -> None:
        before = self.remotes[remote].lists.get(number)
        if before is None or before.fields[field] == value:
            return
        self._touch(remote, number, field, value)
        after = self.remotes[remote].put(replace(before, fields={**before.fields, field: value}))
        self._announcer(remote)(after)

    def _change_members(self) -> None:
        number, member = self.chance.choice(self.numbers), self.chance.choice(MEMBERS)
        remote = self.chance.choice([name for name, one in self.remotes.items() if one.versioned])
        before = self.remotes[remote].lists.get(number)
        if before is None:
            return
        members = (before.members or frozenset()) ^ {member}
        self._touch(remote, number, member, member in members)
        self._announcer(remote)(self.remotes[remote].put(replace(before, members=members)))

    def _delete(self) -> None:
        number = self.chance.choice(self.numbers)
        remote = self._some_remote(number)
        if number in self.remotes[remote].lists and len(self.remotes[remote].deleted) < 3:
            self.tell(f"a person deletes {remote}:{number}")
            self.remotes[remote].delete(number)
            self.seen_paths["deleted"] += 1

    def _some_remote(self, _number: str) -> str:
        return self.chance.choice(sorted(self.remotes))

    def _touch(self, remote: str, number: str, what: Field | str, value: Value) -> None:
        if self.quiet(number):
            for key in [key for key in self.touched if key[0] == number]:
                del self.touched[key]
                self.excused.discard(key)
            self.seen_paths["edited in quiet"] += 1
        self.tell(f"a person sets {what} of {remote}:{number} to {value!r}")
        if self._taken_for_ours(remote, number, what, value):
            self.excused.add((number, what))
            self.seen_paths["edit taken for our own late write"] += 1
        self.touched.setdefault((number, what), {})[remote] = value
        self._edited[remote, number] = self.loop.time()

    def _taken_for_ours(self, remote: str, number: str, what: Field | str, value: Value) -> bool:
        """The declared window of design rule 5: the very value of a write that may still land there."""
        whole = self.lead_list(number)
        copy = whole.copies.get(remote) if whole else None
        writes = list(copy.abandoned.items()) if copy else []
        if copy and copy.intent:
            patch = copy.intent.patch
            sent = [(field, Abandoned(sent, self.loop.now())) for field, sent in patch.fields.items()]
            writes += [*sent, (Field.MEMBERS, Abandoned(None, self.loop.now(), patch.add, patch.remove))]
        return any(
            (field is what and one.value == value) or what in (one.add if value else one.remove)
            for field, one in writes
        )

    def faster(self, remote: str, written: Written) -> bool:
        """Whether a person had edited the list there, so that a write may have come too late to change anything."""
        return (remote, written.remote_id) in self._edited

    def quiet(self, number: str) -> bool:
        """Whether nothing at all is going on with a list: the next edit of it is the only one."""
        if self.mail[number] or any(remote.busy.get(number) for remote in self.remotes.values()):
            return False
        if any(key[1] == number for key in self.store.tables.findings):
            return False
        whole = self.lead_list(number)
        return (
            whole is not None
            and all(
                one.standing is Standing.IN_SYNC
                and not (one.look or one.intent or self.unsettled(whole, one) or one.absent)
                for one in whole.copies.values()
            )
            and self.equal(number, whole)
        )

    def unsettled(self, whole: LeadList, copy: Copy) -> list[Field]:
        """Fields with a write that may still land. One of what is wanted anyway, or that can no longer arrive, is
        only forgotten by the next transaction of the list.
        """
        now = self.loop.now()
        return [
            field
            for field, one in copy.abandoned.items()
            if one.until > now or (field in SCALARS and one.value != whole.wanted[field].value)
        ]

    def equal(self, number: str, whole: LeadList) -> bool:
        """Whether every remote that has the list shows what is wanted."""
        wanted = {field: one.value for field, one in whole.wanted.items()}
        members = frozenset(name for name, member in whole.members.items() if member.wanted)
        for remote in self.remotes.values():
            shown = remote.lists.get(number)
            if shown is None:
                continue
            if dict(shown.fields) != wanted or (remote.versioned and shown.members != members):
                return False
        return True

    def lead_list(self, number: str) -> LeadList | None:
        """What leadsync holds of a list."""
        for remote in self.remotes:
            if (found := self.store.tables.links.get((remote, number))) is not None:
                return self.store.tables.lists[found]
        return None

    # -- events

    def _announcer(self, remote: str) -> Callable[[Shown], None]:
        def announce(shown: Shown) -> None:
            for _ in range(self.chance.choice((0, 0, 1, 1, 1, 2))):
                self.mail[shown.remote_id] += 1
                hint = not self.remotes[remote].versioned or self.chance.random() < 0.2
                event = self._event(remote, None if hint else shown, shown.remote_id)
                late_s = self.chance.choice((0.1, 1.0, 1.0, 5.0, 60.0)) * self.chance.uniform(0.5, 1.5)
                self.loop.call_later(late_s, self._arrives, shown.remote_id, event)

        return announce

    def _arrives(self, number: str, event: bytes) -> None:
        self.tell(f"an event arrives: {event.decode()}")
        self.log.add(event)
        self._arrived.append(number)

    def _event(self, remote: str, shown: Shown | None, number: str = "", links: dict[str, str] | None = None) -> bytes:
        self._events += 1
        fields: dict[str, Any] = {}
        if shown is not None:
            fields = {field.value: value for field, value in shown.fields.items()}
            if self.remotes[remote].versioned:
                fields["members"] = sorted(shown.members or ())
        data = {name: value for name, value in (("fields", fields), ("links", links)) if value}
        head = {
            "specversion": "1.0",
            "id": f"e{self._events}",
            "source": remote,
            "type": "leadlist.changed",
            "subject": shown.remote_id if shown else number,
            "time": shown.version if shown else self.loop.now(),
        }
        return orjson.dumps(head | ({"data": data} if data else {}))

    # -- workers

    async def _takes_in(self) -> None:
        while self.loop.time() < self._war_ends:
            await self.intake()
            await asyncio.sleep(self.chance.uniform(0.2, 4.0))

    async def intake(self) -> None:
        """Take in all that has arrived."""
        arrived, self._arrived = self._arrived, []
        await drain(MemoryStream(self.log, "one"), self.store, self.rules, batch=20, takeover_s=45.0)
        self.mail.subtract(arrived)

    async def _pushes(self, remote: str) -> None:
        while self.loop.time() < self._war_ends:
            await self._killable(self.push(remote, self.chance.uniform(1.0, 15.0)), 0.05, f"push of {remote}")
            await asyncio.sleep(self.chance.uniform(0.2, 5.0))

    async def push(self, remote: str, for_s: float = 30.0) -> int:
        """Push one remote; answers with how many calls it made."""
        done = await push(self.door(remote), self.store, self.rules, self.loop, for_s=for_s, spread=self.chance.random)
        return done.calls

    async def _scans(self, remote: str) -> None:
        while self.loop.time() < self._war_ends:
            await asyncio.sleep(self.chance.uniform(0.5, 8.0))
            if await self.store.run(self._begins(remote)) is None:
                continue
            await self._killable(self.scan(remote, self.chance.uniform(1.0, 20.0)), 0.2, f"scan of {remote}")

    def _begins(self, remote: str) -> Callable[[MemoryTx], Trigger | None]:
        """By schedule, nudged, or because a person wants it now."""
        nudged, wished = self.chance.random() < 0.3, self.chance.random() < self._impatience

        def work(tx: MemoryTx) -> Trigger | None:
            trigger = due(tx, remote, every_s=SCAN_EVERY_S, nudged=nudged) or (Trigger.PERSON if wished else None)
            if trigger is not None:
                begin(tx, remote, trigger)
            return trigger

        return work

    async def scan(self, remote: str, for_s: float = 20.0) -> None:
        """Go on with the scan that is under way."""
        before = self._latest(remote)
        door = self.door(remote)
        done = await scan(door, self.store, self.rules, self.loop, for_s=for_s, spread=self.chance.random)
        if done is not None:
            self.tell(f"scan {_said(done.scan)}")
            if before is not None and before.id == done.scan.id and before.pages and done.scan.pages > before.pages:
                self.seen_paths["scan gone on with"] += 1

    async def _killable(self, work: Coroutine[Any, Any, Any], share: float, what: str) -> None:
        """Perhaps the worker is killed at some moment: nothing that it does afterwards counts."""
        task = asyncio.ensure_future(work)
        if self.chance.random() < share:
            await asyncio.wait({task}, timeout=self.chance.expovariate(0.5))
            if not task.done():
                self.tell(f"killed: {what}")
                self.seen_paths[f"killed {what.split(maxsplit=1)[0]}"] += 1
                self.killed += 1
                task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def _boss(self) -> None:
        """A person who looks after all that waits for one."""
        while self.loop.time() < self._war_ends:
            await asyncio.sleep(self.chance.uniform(5.0, 40.0))
            self.decide_held(refuse=self.chance.random() < 0.3)
            for remote in self.remotes:
                self.resume(remote)

    def decide_held(self, *, refuse: bool) -> None:
        """Release or refuse what is held."""
        held = [one for one in self.store.tables.scans.values() if one.state is ScanState.HELD]
        for one in held:
            try:
                decided = self.store.run_now(lambda tx: decide(tx, one.id, release=not refuse))  # noqa: B023
            except NotPossible:
                continue  # a later one is under way
            if decided is not None:
                self.tell(f"a person decides: {_said(decided)}")
                self.seen_paths["refused" if refuse else "released"] += 1
                if not refuse:
                    self.released.add(one.id)

    def resume(self, remote: str) -> None:
        """Call it again."""
        if self.store.run_now(lambda tx: tx.remote_state(remote)).paused:
            self.seen_paths["paused"] += 1
            self.tell(f"a person resumes {remote}")
            self.store.run_now(lambda tx: tx.set_remote_state(remote, RemoteState()))

    def door(self, remote: str) -> Door:
        """One remote with all that is needed to call it."""
        one = self.remotes[remote]
        return Door(
            connector=one.connector,
            wire=one,
            tickets=self.tickets[remote],
            max_in_flight=4,
            timeout_s=TIMEOUT_S,
            late_write_s=LATE_WRITE_S,
        )

    # -- peace

    async def _calm_down(self) -> None:
        for remote in self.remotes.values():
            remote.troubles = None
        await asyncio.sleep(LATE_WRITE_S + 2 * TIMEOUT_S)
        for name in self.remotes:
            self.resume(name)
        # Five unreadable answers in a row are for a person to look at.
        lists = self.store.tables.lists.values()
        copies = [copy for one in lists for copy in one.copies.values() if copy.parked and not copy.absent]
        unreadable = [(one.remote, one.remote_id) for one in copies if one.parked and "unreadable" in one.parked.cause]
        self.seen_paths["retried by a person"] += len(unreadable)
        await retry_parked(self.store, self.rules, unreadable)

    async def _echo(self) -> None:
        """Every remote tells of every list once more: nothing follows from it."""
        before = {name: len(remote.writes) for name, remote in self.remotes.items()}
        for name, remote in self.remotes.items():
            for shown in remote.lists.values():
                self.log.add(self._event(name, shown if remote.versioned else None, shown.remote_id))
        await self._push_to_the_end()
        self.echoes = [one for name, remote in self.remotes.items() for one in remote.writes[before[name] :]]

    async def rest(self) -> None:
        """Take in, scan and push until a whole round of scans begun from now on finds nothing to do."""
        since = self.loop.now()
        for _ in range(_ROUNDS):
            before = [len(remote.writes) for remote in self.remotes.values()]
            certificates = [await self._scan_to_its_end(name) for name in self.remotes]
            await self._push_to_the_end()
            calm = all(
                one.started_at >= since and one.state is ScanState.COMPLETE and not one.drift + one.moved + one.new
                for one in certificates
            )
            if calm and before == [len(remote.writes) for remote in self.remotes.values()] and not self.waiting():
                return
        raise AssertionError(f"it never comes to rest: {self.waiting()}")

    async def _scan_to_its_end(self, remote: str) -> Scan:
        number = (await self.store.run(lambda tx: begin(tx, remote, Trigger.SCHEDULE))).id
        while True:
            await self._push_to_the_end()
            await self.scan(remote)
            one = self.store.tables.scans[number]
            if one.state is ScanState.HELD:
                self.decide_held(refuse=False)
            elif one.state not in UNDER_WAY:
                return one
            await asyncio.sleep(1.0)

    async def _push_to_the_end(self) -> None:
        for _ in range(100):
            await self.intake()
            calls = [await self.push(name) for name in self.remotes]
            if not any(calls):
                if not (waiting := self.waiting()):
                    return
                moment = min(copy.lease_until or copy.due_at or self.loop.now() for copy in waiting)
                await asyncio.sleep(max(1.0, (moment - self.loop.now()).total_seconds()))
        raise AssertionError(f"pushing goes on and on: {self.waiting()}")

    def waiting(self) -> list[Copy]:
        """Copies that will be pushed by themselves."""
        lists = self.store.tables.lists.values()
        copies = [copy for one in lists for copy in one.copies.values()]
        return [copy for copy in copies if copy.standing is Standing.DUE and copy.due_at is not None]

    def _latest(self, remote: str) -> Scan | None:
        return self.store.run_now(lambda tx: tx.scans.latest(remote))


def _rules(chance: random.Random) -> Rules:
    policy = chance.choice((Policy.AUTHORITY, Policy.NEWEST))
    unversioned = RemoteRules(rank=2, directions={**BOTH, Field.MEMBERS: Direction.NONE}, versioned=False)
    remotes = {"crm": RemoteRules(rank=0, directions=BOTH), "lance": RemoteRules(rank=1, directions=BOTH)}
    if chance.random() < 0.3:
        del remotes["lance"]
    return Rules(remotes={**remotes, "instantly": unversioned}, policies=dict.fromkeys(Field, policy))


def _said(one: Scan) -> str:
    counts = f"pages={one.pages} lists={one.lists} drift={one.drift} repaired={one.repaired} moved={one.moved}"
    return f"{one.id} of {one.remote}: {one.state} {counts} missing={one.missing} gone={one.gone} {one.note}"
