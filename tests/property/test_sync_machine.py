"""The promise of the product: people edit every side, anything fails, and in the end all copies are equal."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from models.lead_list import Field, Standing, Value
from models.observation import Shown
from tests.support.heart import remote_rules, rules_of
from tests.support.world import LATE_WRITE_S, Fault, World, answers, applied, lost
from worker.engine.rules import Policy
from worker.ports import RemoteState
from worker.remotes.base import Answer, Request, Wire
from worker.remotes.memory import MemoryWire
from worker.sync.holding import hold, release
from worker.sync.push import claim

T = TypeVar("T")

REMOTES = ("crm", "lance", "instantly")
#: At once, or later; doubled; without payload.
EVENTS = ("now", "now", "later", "both", "hint")
#: The one without versions and members, whose events are only hints.
UNVERSIONED = "instantly"

FAULTS = ("fine", "lost", "applied", "hangs", "hangs", "500", "429", "503", "edited")

remotes = st.sampled_from(REMOTES)
lists = st.sampled_from(("1", "2"))
members = st.sampled_from(("p1", "p2", "p3"))
edits: st.SearchStrategy[tuple[Field, Value]] = st.one_of(
    st.tuples(st.just(Field.NAME), st.sampled_from(("A", "B", "C", " E "))),
    st.tuples(st.just(Field.OWNER), st.sampled_from((None, "u1", "u2"))),
    st.tuples(st.just(Field.ENRICHMENT), st.sampled_from((None, True, False))),
)


def trimmed(field: Field, value: Value) -> Value:
    """How lance stores text."""
    return value.strip() if field is Field.NAME and isinstance(value, str) else value


class Sync(RuleBasedStateMachine):
    """Two lists on three remotes. Within a peace (from one rest to the next) the last edit of a field that only one
    side touched must be what everybody shows at its end.
    """

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        #: Events on their way.
        self.mail: list[bytes] = []
        #: Writes that hang somewhere, with the moment until which they may land.
        self.hanging: list[tuple[Request, Wire, datetime]] = []
        #: Who edited a field of a list in this peace, and what is there now.
        self.touched: dict[tuple[str, object], dict[str, object]] = {}
        #: Copies that people hold, with how often each had been written when that began.
        self.held: dict[tuple[str, str], int] = {}

    @initialize(
        policy=st.sampled_from((Policy.AUTHORITY, Policy.NEWEST)), in_flight=st.integers(1, 4), told=st.booleans()
    )
    def begin(self, policy: Policy, in_flight: int, told: bool) -> None:  # noqa: FBT001 - drawn
        """Linked lists that may differ at first."""
        rules = rules_of(
            dict.fromkeys(Field, policy),
            instantly=remote_rules(2, versioned=False, directions={}),
        )
        self.world = World(rules, max_in_flight=in_flight)
        _store_trimmed(self.world.remotes["lance"].wire)
        for number in ("1", "2"):
            for remote in REMOTES:
                self.world.put(remote, number, name="A" if told else remote, owner=None, enrichment=None)
            links = {"lance": number, "instantly": number}
            self.world.tell("crm", self.world.shown("crm", number), data={"links": links})
        self.peace()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    # -- people

    @rule(remote=remotes, number=lists, edit=edits, events=st.sampled_from(EVENTS))
    def person_edits(self, remote: str, number: str, edit: tuple[Field, Value], events: str) -> None:
        """A field, somewhere; the event about it is sent, perhaps twice, perhaps without payload."""
        field, value = edit
        before = self.world.shown(remote, number).fields.get(field)
        shown = self._set(remote, number, field, value)
        if before != shown.fields[field]:
            self.touched.setdefault((number, field), {})[remote] = value
        self._post(remote, shown, events)

    @rule(remote=st.sampled_from(("crm", "lance")), number=lists, member=members, events=st.sampled_from(EVENTS))
    def person_changes_members(self, remote: str, number: str, member: str, events: str) -> None:
        """Adds a member that is not there, or removes one that is."""
        before = self.world.shown(remote, number)
        known = before.members or frozenset()
        self.world.wires[remote].set_clock()
        shown = self.world.remotes[remote].wire.put(replace(before, members=known ^ {member}))
        self.touched.setdefault((number, member), {})[remote] = member not in known
        self._post(remote, shown, events)

    def _set(self, remote: str, number: str, field: Field, value: Value) -> Shown:
        before = self.world.shown(remote, number)
        self.world.wires[remote].set_clock()
        return self.world.remotes[remote].wire.put(replace(before, fields={**before.fields, field: value}))

    def _post(self, remote: str, shown: Shown, events: str) -> None:
        event = self.world.event(remote, None if events == "hint" else shown, shown.remote_id)
        if events != "later":
            self.world.log.add(event)
        if events in ("later", "both"):
            self.mail.append(event)

    # -- the world

    @precondition(lambda self: self.mail)
    @rule(data=st.data())
    def event_arrives(self, data: st.DataObject) -> None:
        """In any order, late or at once."""
        self.world.log.add(self.mail.pop(data.draw(st.integers(0, len(self.mail) - 1))))

    async def _hangs(self, request: Request, wire: Wire) -> Answer:
        if request.writes:
            self.hanging.append((request, wire, self.world.now + timedelta(seconds=LATE_WRITE_S - 1)))
        return await lost(request, wire)

    def _edited(self, remote: str) -> Fault:
        async def fault(request: Request, wire: Wire) -> Answer:
            answer = await wire.exchange(request)
            number = request.path.rsplit("/", 1)[-1]
            shown = self.world.put(remote, number, owner="u9")
            self.touched.setdefault((number, Field.OWNER), {})[remote] = "u9"
            self._post(remote, shown, "hint" if remote == UNVERSIONED else "now")
            await self.world.intake()
            return answer

        return fault

    @precondition(lambda self: self.hanging)
    @rule(data=st.data(), events=st.sampled_from(("never", "now", "later")))
    def write_lands_late(self, data: st.DataObject, events: str) -> None:
        """Or never, when its time is over. The remote tells of it as of any other change."""
        request, wire, until = self.hanging.pop(data.draw(st.integers(0, len(self.hanging) - 1)))
        if events != "never" and self.world.now <= until:
            self.world.wires["crm"].set_clock()
            self.run(_exchange(wire, request))
            number = request.path.rsplit("/", 1)[-1]
            remote = next(name for name, one in self.world.remotes.items() if one.wire is wire)
            self._post(remote, self.world.shown(remote, number), events)

    @rule(seconds=st.sampled_from((2, 2, 50, 121)))
    def time_passes(self, seconds: int) -> None:
        """Nothing hangs for longer than it can."""
        self.world.wait(seconds)
        self.hanging = [one for one in self.hanging if one[2] >= self.world.now]

    # -- leadsync

    @rule(batch=st.sampled_from((1, 2, 500)))
    def intake(self, batch: int) -> None:
        """Whatever has arrived."""
        self.run(self.world.intake(batch))

    @rule(remote=remotes, faults=st.lists(st.sampled_from(FAULTS), max_size=2))
    def work(self, remote: str, faults: list[str]) -> None:
        """Intake, then a push of one remote, whose next calls fail in one of the ways calls fail."""
        self.run(self.world.intake())
        known: dict[str, Fault | None] = {
            "fine": None,
            "lost": lost,
            "applied": applied,
            "hangs": self._hangs,
            "500": answers(500),
            "429": answers(429),
            "503": answers(503, **{"retry-after": "7"}),
            "edited": self._edited(remote),
        }
        self.world.wires[remote].faults.extend(known[fault] for fault in faults)
        self.run(self.world.push(remote))
        self.world.wires[remote].faults.clear()

    @rule()
    def work_everywhere(self) -> None:
        """Intake and a push of each remote, with good luck."""
        self.run(self.world.sync())

    @rule(remote=remotes, limit=st.integers(1, 2), arrives=st.booleans())
    def worker_is_killed(self, remote: str, limit: int, arrives: bool) -> None:  # noqa: FBT001 - drawn
        """It had claimed, perhaps sent, and never wrote down what came of it."""
        door = self.world.door(remote)
        claims, _ = self.world.memory.run_now(lambda tx: claim(tx, door, self.world.rules, limit))
        for one in claims:
            if one.patch and arrives:
                connector = self.world.remotes[remote]
                wire = connector.wire

                async def send(request: Request, wire: MemoryWire = wire) -> Answer:
                    return await wire.exchange(request)

                self.run(connector.patch(send, one.copy.remote_id, one.kind, one.patch))

    @rule(remote=remotes, paused=st.booleans())
    def person_pauses_or_resumes(self, remote: str, paused: bool) -> None:  # noqa: FBT001 - drawn
        """A paused remote waits."""
        self._set_paused(remote, paused=paused)

    @rule(number=lists, remote=remotes, alone=st.booleans(), held=st.booleans())
    def person_holds_or_releases(self, number: str, remote: str, alone: bool, held: bool) -> None:  # noqa: FBT001 - drawn
        """A list, or one copy of it; who releases releases all of it."""
        world, key = self.world, (remote, number)
        if not held:
            self.run(release(world.store, world.rules, [key]))
            self.held = {place: writes for place, writes in self.held.items() if place[1] != number}
            return
        self.run(hold(world.store, world.rules, [key], alone=alone))
        for one in (remote,) if alone else REMOTES:
            self.held.setdefault((one, number), self._writes(one, number))

    def _writes(self, remote: str, number: str) -> int:
        sent = self.world.wires[remote].sent
        return sum(request.writes and request.path.rsplit("/", 1)[-1] == number for request in sent)

    @invariant()
    def nothing_is_written_to_what_is_held(self) -> None:
        """Whatever happens there, and elsewhere."""
        assert self.held == {place: self._writes(*place) for place in self.held}

    def _set_paused(self, remote: str, *, paused: bool) -> None:
        self.world.memory.run_now(lambda tx: tx.set_remote_state(remote, RemoteState(paused=paused)))

    # -- the promise

    @rule()
    def peace(self) -> None:
        """Everything is delivered, nothing fails any more: all become equal, and the next pass is silent."""
        self._calm_down()
        self.run(self.world.rest())
        self._all_are_equal()
        self._sole_edits_won()
        self._nothing_is_left()
        for wire in self.world.wires.values():
            wire.sent.clear()
        self.run(self.world.rest())
        assert {name: [] for name in REMOTES} == {name: wire.sent for name, wire in self.world.wires.items()}
        self.touched.clear()

    def _calm_down(self) -> None:
        self.hanging.clear()
        self.run(release(self.world.store, self.world.rules, [*self.held]))
        self.held.clear()
        for remote in REMOTES:
            self._set_paused(remote, paused=False)
            self.world.wires[remote].faults.clear()
        for event in self.mail:
            self.world.log.add(event)
        self.mail.clear()

    def _all_are_equal(self) -> None:
        for number in ("1", "2"):
            wanted = self.world.list_of("crm", number).wanted
            # Text that differs only in spacing may have been taken for a remote's own spelling.
            expected = {field: trimmed(field, one.value) for field, one in wanted.items()}
            for remote in REMOTES:
                shown = {
                    field: trimmed(field, value) for field, value in self.world.shown(remote, number).fields.items()
                }
                assert expected == shown, (remote, number)
            assert self.world.shown("crm", number).members == self.world.shown("lance", number).members

    def _sole_edits_won(self) -> None:
        for (number, what), edited in self.touched.items():
            if len(edited) > 1:
                continue
            ((_, value),) = edited.items()
            shown = self.world.shown("crm", number)
            if isinstance(what, Field):
                assert trimmed(what, value) == trimmed(what, shown.fields[what]), (number, what)  # type: ignore[arg-type]
            else:
                assert value == (what in (shown.members or ())), (number, what)

    def _nothing_is_left(self) -> None:
        assert {Standing.IN_SYNC} == {copy.standing for copy in self.world.copies()}
        assert set() == self.world.tickets_out()
        assert ({}, {}) == (self.world.log.pending, self.world.memory.tables.rejects)
        assert {0} == {wire.overlaps for wire in self.world.wires.values()}

    def teardown(self) -> None:
        try:
            if hasattr(self, "world"):
                self.peace()
        finally:
            self.runner.close()


async def _exchange(wire: Wire, request: Request) -> Answer:
    return await wire.exchange(request)


def _store_trimmed(wire: MemoryWire) -> None:
    put: Callable[[Shown], Shown] = wire.put

    def stored(shown: Shown) -> Shown:
        return put(replace(shown, fields={field: trimmed(field, value) for field, value in shown.fields.items()}))

    wire.put = stored  # type: ignore[method-assign]


TestSync = Sync.TestCase
TestSync.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
