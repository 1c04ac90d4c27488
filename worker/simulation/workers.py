"""Our processes: they take in, push and scan, each for a while, and are killed and started anew. And the person who
looks after all that waits for one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from models.lead_list import Copy, Field, Standing
from models.person import Person
from models.scan import Scan, ScanState, Trigger
from worker.errors import LeadsyncError, NotPossible
from worker.ports import RemoteKey, RemoteState
from worker.remotes.line import Tickets
from worker.simulation.clock import VirtualLoop
from worker.simulation.faults import Fault
from worker.simulation.leads import address_of
from worker.simulation.life import Fate, Killed, Life, LivingStore, LivingStream, LivingTickets, LivingWire
from worker.simulation.post import Post
from worker.simulation.remote import SimulatedRemote
from worker.simulation.setting import has_apart
from worker.simulation.wire import LyingWire
from worker.simulation.witness import Witness
from worker.store.memory import MemoryStore, MemoryTx
from worker.stream.memory import MemoryStream
from worker.sync.intake import drain
from worker.sync.operate import retry_parked
from worker.sync.push import Door, push
from worker.sync.resolve import WANTED, resolve
from worker.sync.scan import scan
from worker.sync.schedule import begin, decide, due
from worker.sync.teach import Told, teach

T = TypeVar("T")

SCAN_EVERY_S = 60.0
TAKEOVER_S = 45.0


class Workers:
    """All of them, by what they do."""

    def __init__(
        self,
        remotes: Mapping[str, SimulatedRemote],
        wires: Mapping[str, LyingWire],
        tickets: Callable[[str], Tickets],
        store: MemoryStore,
        post: Post,
        witness: Witness,
        loop: VirtualLoop,
        fate: Fate,
    ) -> None:
        self._remotes, self._wires, self._tickets = remotes, wires, tickets
        self._store, self._post, self._witness = store, post, witness
        self._loop, self._fate, self._tell = loop, fate, fate.tell
        self._rules, self._setting = fate.script.rules, fate.script.setting
        self._chance = fate.streams["workers"]
        self._impatience = self._chance.choice((0.0, 0.1, 0.5))
        self._fresh = 0
        #: How often who was killed.
        self._deaths: Counter[str] = Counter()
        #: Scans that a person let go on.
        self.released: set[int] = set()
        self.counts: Counter[str] = Counter()
        #: Members whose addresses a person will tell later.
        self.strangers: list[str] = []

    # -- bad times

    def at_work(self, until: float) -> list[Coroutine[Any, Any, None]]:
        """Everybody's work until that moment."""
        rivals = 2 if Fault.RIVALS in self._fate.script.faults else 1
        works = [self._takes_in(until, f"intake {number}") for number in range(rivals)]
        for name in self._remotes:
            works += [self._pushes(name, until, number) for number in range(rivals)]
            works += [self._scans(name, until, number) for number in range(rivals)]
        return [*works, self._looks_after(until), self._redis_fails(until)]

    async def _takes_in(self, until: float, name: str) -> None:
        while self._loop.time() < until:
            if self.has_entries():
                await self.intake(name)
            if self._chance.random() < 0.05:
                self._fresh += 1  # started anew under another name: others must take over what it left
                name = f"intake fresh-{self._fresh}"
            await self._loop.after(self._chance.uniform(0.3, 4.0))

    async def _pushes(self, remote: str, until: float, number: int) -> None:
        while self._loop.time() < until:
            if self.has_due(remote):  # else nobody would ring
                # One is told by intake what there is, its rival looks for itself.
                await self.push(remote, self._chance.uniform(1.0, 15.0), f"push of {remote} {number}", 1 - number)
            await self._loop.after(self._chance.uniform(0.3, 5.0))

    async def _scans(self, remote: str, until: float, number: int) -> None:
        while self._loop.time() < until:
            await self._loop.after(self._chance.uniform(0.5, 12.0))
            if self._begins(remote) and self._is_free(remote):
                await self.scan(remote, self._chance.uniform(1.0, 20.0), f"scan of {remote} {number}")

    def has_entries(self) -> bool:
        """Something is in the stream that was not acknowledged."""
        log = self._post.log
        newest = next(reversed(log.entries), "0-0")
        return bool(log.pending) or int(newest.partition("-")[0]) > log.delivered

    def has_due(self, remote: str) -> bool:
        """Some copy there may be pushed now."""
        now = self._loop.now()
        for one in self._store.tables.lists.values():
            copy = one.copies.get(remote)
            if copy is None or copy.due_at is None or copy.due_at > now:
                continue
            if copy.lease_until is None or copy.lease_until <= now:
                return True
        return False

    def _is_free(self, remote: str) -> bool:
        latest = self._tx().scans.latest(remote)
        return latest is not None and latest.due_at <= self._loop.now()

    def _begins(self, remote: str) -> bool:
        """By schedule, nudged, or because a person wants it now."""
        nudged, wished = self._chance.random() < 0.3, self._chance.random() < self._impatience
        tx = self._tx()
        trigger = due(tx, remote, every_s=SCAN_EVERY_S, nudged=nudged) or (Trigger.PERSON if wished else None)
        if trigger is not None:
            begin(tx, remote, trigger)
        return trigger is not None

    def _tx(self) -> MemoryTx:
        """For what somebody only looks at, or writes at once: there is nothing to undo."""
        return MemoryTx(self._store.tables, self._loop.now())

    async def _redis_fails(self, until: float) -> None:
        """Now and then Redis comes back with less than it had."""
        faults, chance = self._fate.script.faults, self._fate.streams["redis"]
        while faults & {Fault.REDIS_TAIL, Fault.REDIS_EMPTIED}:
            await self._loop.after(chance.uniform(10.0, 60.0))
            if self._loop.time() >= until:
                return
            if Fault.REDIS_EMPTIED in faults and chance.random() < 0.4:
                self._fate.met(Fault.REDIS_EMPTIED)
                self._tell("Redis", "comes back empty")
                self._post.lose_all()
            elif Fault.REDIS_TAIL in faults:
                self._fate.met(Fault.REDIS_TAIL)
                self._tell("Redis", "comes back without its last second")
                self._post.lose_tail()

    # -- one piece of work

    async def intake(self, name: str = "one") -> None:
        """Take in all that has arrived."""
        life = Life(name, self._fate)
        store = LivingStore(self._store, life, self._fate.streams)
        # Its process lives on over errors; one that was killed starts anew under the same name.
        stream = LivingStream(MemoryStream(self._post.log, name, f"{name} {self._deaths[name]}"), life)
        taken_in = drain(
            stream,
            store,
            self._rules,
            batch=20,
            takeover_s=TAKEOVER_S,
            announce=lambda _due: self._witness.overlooks(),
        )
        await self._alive(taken_in)
        self._deaths[name] += life.dead

    async def push(self, remote: str, for_s: float = 30.0, name: str = "push", expects: int = 0) -> int:
        """Push one remote; answers with how many calls it made."""
        life = Life(name, self._fate)
        store = LivingStore(self._store, life, self._fate.streams)
        spread = self._fate.streams["jitter"].random
        work = push(
            self._door(remote, life), store, self._rules, self._loop, for_s=for_s, spread=spread, expects=expects
        )
        done = await self._alive(work)
        return done.calls if done is not None else 1

    async def scan(self, remote: str, for_s: float = 20.0, name: str = "scan") -> None:
        """Go on with the scan that is under way."""
        life = Life(name, self._fate)
        store = LivingStore(self._store, life, self._fate.streams)
        spread = self._fate.streams["jitter"].random
        before = self._tx().scans.latest(remote)
        done = await self._alive(
            scan(self._door(remote, life), store, self._rules, self._loop, for_s=for_s, spread=spread)
        )
        if done is not None:
            self._tell("scan", said(done.scan))
            if before is not None and before.id == done.scan.id and 0 < before.pages < done.scan.pages:
                self.counts["scan gone on with"] += 1

    async def _alive(self, work: Coroutine[Any, Any, T]) -> T | None:
        """One process: it ends with its work, by an error that its task would log, or killed."""
        with suppress(Killed, LeadsyncError):
            return await work
        return None

    def _door(self, remote: str, life: Life) -> Door:
        return Door(
            connector=self._remotes[remote].connector,
            wire=LivingWire(self._wires[remote], life),
            tickets=LivingTickets(self._tickets(remote), life),
            max_in_flight=4,
            timeout_s=self._setting.timeout_s,
            late_write_s=self._setting.late_write_s,
        )

    # -- the person who looks after it

    async def _looks_after(self, until: float) -> None:
        while self._loop.time() < until:
            await self._loop.after(self._chance.uniform(5.0, 40.0))
            self.decide_held(refuse=self._chance.random() < 0.3)
            for remote in self._remotes:
                self.resume(remote)
            if self._chance.random() < 0.5:
                await self.resolve()
            if self.strangers and self._chance.random() < 0.5:
                await self.introduce([self.strangers.pop()])

    async def introduce(self, names: Sequence[str]) -> None:
        """Tell whose addresses these are; where members have none, nobody asks."""
        if has_apart(self._rules):
            self._tell("person", f"tells the addresses of {', '.join(names)}")
            rows = [Told(line, Person(id=name, email=address_of(name))) for line, name in enumerate(names)]
            taught = await teach(self._store, self._rules, rows)
            self.counts["addresses told"] += 1
            self.counts["member introduced late"] += bool(taught.lists)

    def decide_held(self, *, refuse: bool) -> None:
        """Release or refuse the scans that are held."""
        for one in [one for one in self._store.tables.scans.values() if one.state is ScanState.HELD]:
            with suppress(NotPossible):  # a later one is under way
                self._decide(one, refuse=refuse)

    def _decide(self, one: Scan, *, refuse: bool) -> None:
        decided = self._store.run_now(lambda tx: decide(tx, one.id, release=not refuse))
        self._tell("person", f"decides: {said(decided)}")
        self.counts["refused" if refuse else "released"] += 1
        if not refuse:
            self.released.add(one.id)

    def resume(self, remote: str) -> None:
        """Call it again."""
        if self._tx().remote_state(remote).paused:
            self.counts["paused"] += 1
            self._tell("person", f"resumes {remote}")
            self._store.run_now(lambda tx: tx.set_remote_state(remote, RemoteState()))

    async def resolve(self) -> None:
        """Decide what is held for a person: for one of the sides, or for what was agreed."""
        if held := self._held():
            use = self._chance.choice([WANTED, *self._remotes])
            self._tell("person", f"decides {len(held)} held fields: {use}")
            self.counts["conflict decided by a person"] += 1
            await resolve(self._store, self._rules, held, use=use)
            if left := self._held():  # lists that are not on that side
                await resolve(self._store, self._rules, left, use=WANTED)
            for (remote, remote_id), field in held:
                whole = self._store.tables.lists[self._store.tables.links[remote, remote_id]]
                if field in whole.wanted and (number := self._remotes[remote].born.get(remote_id)):
                    self._witness.decided(number, field, whole.wanted[field].value)

    def _held(self) -> list[tuple[RemoteKey, Field]]:
        copies = [copy for one in self._store.tables.lists.values() for copy in one.copies.values()]
        return [((copy.remote, copy.remote_id), field) for copy in copies for field in copy.held]

    async def retry(self) -> None:
        """Try again what was parked for answers that nobody could read, or for a list that was not found."""
        lists = self._store.tables.lists.values()
        copies = [copy for one in lists for copy in one.copies.values() if copy.parked and not copy.absent]
        parked = [copy for copy in copies if copy.parked and "unreadable" in copy.parked.cause]
        self.counts["retried by a person"] += len(parked)
        await retry_parked(self._store, self._rules, [(one.remote, one.remote_id) for one in parked])

    def parked_unseen(self, remote: str) -> int:
        """Copies there that are to be read and wait for a person: each scan finds them anew."""
        copies = [one.copies[remote] for one in self._store.tables.lists.values() if remote in one.copies]
        return sum(copy.standing is Standing.PARKED and copy.look for copy in copies)

    def waiting(self) -> list[Copy]:
        """Copies that will be pushed by themselves."""
        lists = self._store.tables.lists.values()
        copies = [copy for one in lists for copy in one.copies.values()]
        return [copy for copy in copies if copy.standing is Standing.DUE and copy.due_at is not None]


def said(one: Scan) -> str:
    """A scan in one line."""
    counts = f"pages={one.pages} lists={one.lists} drift={one.drift} repaired={one.repaired} moved={one.moved}"
    return f"{one.id} of {one.remote}: {one.state} {counts} missing={one.missing} gone={one.gone} {one.note}"
