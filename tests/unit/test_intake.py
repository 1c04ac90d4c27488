"""Intake on twins: acknowledged after the commit, poison parked, bad events alone, links, hints."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import orjson
import pytest

from models.event import MAX_EVENT_BYTES
from models.lead_list import Field, Kind, LeadList, Standing, Waiting
from models.ledger import ChangeKind
from tests.support.heart import NOON, later, remote_rules, rules_of
from tests.support.world import BATCH, World, linked
from worker.engine.observe import observe as real_observe
from worker.engine.rules import Rules
from worker.errors import RedisAway, Transient
from worker.ports import Entry, EntryId, Reject
from worker.store.memory import MemoryStore, MemoryTx
from worker.stream.memory import Log, MemoryStream
from worker.sync import intake
from worker.sync.intake import MAX_DELIVERIES, Taken, take_in
from worker.sync.push import claim

T = TypeVar("T")
NAME = Field.NAME
HINTS = rules_of(instantly=remote_rules(2, versioned=False))


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scene."""
    asyncio.run(scene())


def reasons(world: World) -> list[str]:
    """Why entries were rejected."""
    return [reject.reason for reject in world.memory.tables.rejects.values()]


# Rule 1: after the commit


class Diary:
    """Writes down in which order a store committed and a stream was acknowledged."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.failures = 0


class NotingStore(MemoryStore):
    """Fails as often as the diary says, and notes each commit."""

    def __init__(self, diary: Diary) -> None:
        super().__init__(lambda: NOON)
        self.diary = diary

    async def run(self, work: Callable[[MemoryTx], T]) -> T:
        if self.diary.failures:
            self.diary.failures -= 1
            raise Transient("the database is locked")
        result = await super().run(work)
        self.diary.lines.append("commit")
        return result


class NotingStream(MemoryStream):
    """Notes each acknowledgement."""

    def __init__(self, log: Log, diary: Diary) -> None:
        super().__init__(log, "one")
        self.diary = diary

    async def ack(self, ids: Sequence[EntryId]) -> None:
        self.diary.lines.append(f"ack {len(ids)}")
        await super().ack(ids)


def noted() -> tuple[World, Diary]:
    """A world whose store and stream write a diary."""
    diary = Diary()
    world = World()
    world.memory = world.store = NotingStore(diary)
    world.stream = NotingStream(world.log, diary)
    return world, diary


def test_acknowledged_after_the_commit() -> None:
    """One transaction a batch, then one acknowledgement."""

    async def scene() -> None:
        world, diary = noted()
        for number in range(3):
            world.tell("crm", world.put("crm", str(number), name="A"))
        taken = await world.intake(batch=2)
        assert ["commit", "ack 2", "commit", "ack 1"] == diary.lines
        assert (3, 0) == (taken.entries, taken.rejected)

    run(scene)


def test_nothing_is_acknowledged_when_the_commit_fails() -> None:
    """Everything comes again, and has its effect then."""

    async def scene() -> None:
        world, diary = noted()
        world.tell("crm", world.put("crm", name="A"))
        diary.failures = 1
        with pytest.raises(Transient):
            await world.intake()
        assert ([], 1) == (diary.lines, len(world.log.pending))
        assert 1 == (await world.intake()).entries
        assert ({"name": "A"}, {}) == (world.wanted(), world.log.pending)

    run(scene)


def test_an_outage_of_the_database_makes_no_entry_guilty() -> None:
    """However often a batch comes again because of the database, it is not taken for one that kills its worker."""

    async def scene() -> None:
        world, diary = noted()
        for number in range(5):
            world.tell("crm", world.put("crm", str(number), name="A"))
        diary.failures = 10
        for _ in range(10):
            with pytest.raises(Transient):
                await world.intake()
        taken = await world.intake()
        assert (5, 0, []) == (taken.entries, taken.rejected, reasons(world))

    run(scene)


def test_the_databases_error_is_raised_also_when_redis_goes_with_it() -> None:
    """Forgiving is an attempt; what is told is why the events were not taken in."""

    async def scene() -> None:
        world, diary = noted()

        async def away(entries: Sequence[Entry]) -> None:
            raise RedisAway(f"gone, with {len(entries)}")

        world.stream.forgive = away  # type: ignore[method-assign]
        world.tell("crm", world.put("crm", name="A"))
        diary.failures = 1
        with pytest.raises(Transient, match="the database is locked"):
            await world.intake()

    run(scene)


def test_a_replay_changes_nothing() -> None:
    """Killed between commit and acknowledgement: the same entries again have no second effect."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        event = world.event("crm", world.put("crm", name="B", members=["p1"]))
        world.log.add(event)
        await world.intake()
        tables = world.memory.tables.snapshot()
        world.log.add(event)
        await world.intake()
        assert (tables.lists, tables.changes) == (world.memory.tables.lists, world.memory.tables.changes)

    run(scene)


# Poison


class Killed(BaseException):
    """The process ends here."""


def _kills(monkeypatch: pytest.MonkeyPatch, event_id: str) -> None:
    """Taking this event in ends the worker."""

    def observe(lead_list: Any, seen: Any, rules: Any, now: Any) -> Any:
        if seen.cause == f"event {event_id}":
            raise Killed
        return real_observe(lead_list, seen, rules, now)

    monkeypatch.setattr(intake, "observe", observe)


def test_poison_is_parked_at_its_third_delivery_and_takes_nobody_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counted before the try: two workers die of it, the third rejects it, and its neighbours are all taken in."""

    async def scene() -> None:
        world = World()
        for number in range(20):
            world.tell("crm", world.put("crm", str(number), name="A"))
        _kills(monkeypatch, "e8")
        deaths = 0
        for _ in range(10):
            try:
                await world.intake()
                break
            except Killed:
                deaths += 1
        assert MAX_DELIVERIES - 1 == deaths
        assert ["event: its worker died 2 times while taking it in; it is not tried again by itself"] == reasons(world)
        assert (19, {}) == (len(world.memory.tables.lists), world.log.pending)

    run(scene)


def test_what_a_dead_worker_left_is_taken_over() -> None:
    """Another consumer takes it in once it has been idle for long enough, and not before."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A"))
        await MemoryStream(world.log, "dead").read(BATCH)
        world.wait(44)
        assert 0 == (await world.intake()).entries
        world.wait(1)
        assert 1 == (await world.intake()).entries
        assert ({"name": "A"}, {}) == (world.wanted(), world.log.pending)

    run(scene)


# Bad events


def _event(**changes: Any) -> bytes:
    head = {"specversion": "1.0", "id": "x", "source": "crm", "type": "leadlist.changed", "subject": "1"}
    return orjson.dumps({**head, "time": NOON, **changes})


@pytest.mark.parametrize(
    ("reason", "raw"),
    [
        ("event: expected JSON (expected ident at line 1 column 2)", b"not json"),
        ("id: expected a string", _event(id=5)),
        (f"event: expected at most {MAX_EVENT_BYTES} bytes, got {MAX_EVENT_BYTES + 1}", b" " * (MAX_EVENT_BYTES + 1)),
        (
            "source: expected a configured remote (known: crm, instantly, lance), got 'hubspot'",
            _event(source="hubspot"),
        ),
        (
            "data.links.hubspot: expected a configured remote (known: crm, instantly, lance), got 'hubspot'",
            _event(data={"links": {"hubspot": "1"}}),
        ),
    ],
    ids=["json", "type", "size", "source", "link"],
)
def test_a_bad_event_is_kept_with_its_reason(reason: str, raw: bytes) -> None:
    """Rejected as received, acknowledged, and nothing else happens."""

    async def scene() -> None:
        world = World()
        entry = world.log.add(raw)
        taken = await world.intake()
        assert (1, 1, {}) == (taken.entries, taken.rejected, world.log.pending)
        assert {entry: Reject(entry_id=entry, reason=reason, event=raw.decode())} == world.memory.tables.rejects
        assert {} == world.memory.tables.lists

    run(scene)


def test_an_entry_without_the_field_is_rejected() -> None:
    """Somebody else's entry, or one that was trimmed away."""

    async def scene() -> None:
        world = World()
        await take_in([Entry(EntryId("1-0"), None)], world.stream, world.store, world.rules)
        assert ["event: expected one field named event, holding a CloudEvent in JSON"] == reasons(world)

    run(scene)


@pytest.mark.parametrize("bad", [b"not json", _event(subject="7", data={"fields": {"kind": "company"}})])
def test_one_bad_event_in_five_hundred_rejects_only_itself(bad: bytes) -> None:
    """Whether it cannot be read or contradicts what is known."""

    async def scene() -> None:
        world = World()
        for number in range(250):
            world.tell("crm", world.put("crm", str(number), name="A"), data={"fields": {"name": "A", "kind": "person"}})
        entry = world.log.add(bad)
        for number in range(250, 499):
            world.tell("crm", world.put("crm", str(number), name="A"))
        taken = await world.intake()
        assert (500, 1, [entry]) == (taken.entries, taken.rejected, list(world.memory.tables.rejects))
        assert (499, {}) == (len(world.memory.tables.lists), world.log.pending)

    run(scene)


def test_a_bug_rejects_only_the_entry_that_meets_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others of its batch are taken in, and the reason asks for a report."""

    async def scene() -> None:
        world = World()
        for number in range(5):
            world.tell("crm", world.put("crm", str(number), name="A"))

        def observe(lead_list: LeadList, seen: Any, rules: Rules, now: Any) -> Any:
            if seen.cause == "event e3":
                raise ZeroDivisionError
            return real_observe(lead_list, seen, rules, now)

        monkeypatch.setattr(intake, "observe", observe)
        taken = await world.intake()
        assert (5, 1, 4) == (taken.entries, taken.rejected, len(world.memory.tables.lists))
        assert ["leadsync cannot take this event in (ZeroDivisionError); please report it with this event"] == reasons(
            world
        )

    run(scene)


# What events say


def test_what_was_not_said_is_not_changed() -> None:
    """A partial event leaves the other fields alone."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A", owner="u1"))
        world.put("crm", name="B")
        world.tell("crm", world.shown("crm"), data={"fields": {"name": "B"}})
        await world.intake()
        assert {"name": "B", "owner": "u1"} == world.wanted()

    run(scene)


def test_a_believed_event_makes_the_others_due() -> None:
    """The answer names the remotes that have something to send now."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance", "instantly")
        world.tell("lance", world.put("lance", name="B"))
        assert frozenset({"crm", "instantly"}) == (await world.intake()).due

    run(scene)


def test_late_and_swapped_events() -> None:
    """The newest stamp counts, in whatever order they come."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        older, newer = world.put("crm", name="B"), world.put("crm", name="C")
        world.tell("crm", newer)
        world.tell("crm", older)
        await world.intake()
        assert {"name": "C"} == world.wanted()

    run(scene)


def test_a_long_sequence_orders_before_time() -> None:
    """Thirty digits are still a number."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", name="C"), sequence="9" * 30)
        world.tell("crm", world.put("crm", name="B"), sequence="9" * 29)
        await world.intake()
        assert {"name": "C"} == world.wanted()

    run(scene)


@pytest.mark.parametrize(
    "event",
    [
        {"source": "crm"},
        {"source": "crm", "data": {}},
        {"source": "crm", "data": {"fields": {}}},
        {"source": "crm", "type": "leadlist.deleted"},
        {"source": "crm", "time": later(301), "data": {"fields": {"name": "future"}}},
        {"source": "instantly", "data": {"fields": {"name": "believe me"}}},
    ],
    ids=["no data", "empty", "no fields", "deleted", "future", "no versions"],
)
def test_hints_are_read_not_believed(event: dict[str, Any]) -> None:
    """The list is looked at; nothing is changed before."""

    async def scene() -> None:
        world = await linked(World(HINTS), "crm", "instantly")
        before = world.wanted()
        world.log.add(_event(**event))
        assert frozenset({event["source"]}) == (await world.intake()).due
        copy = world.copy(event["source"])
        assert (Standing.DUE, Waiting.FIRST_READ, True) == (copy.standing, copy.waiting, copy.look)
        assert before == world.wanted()

    run(scene)


def test_a_little_ahead_of_time_is_believed() -> None:
    """Clocks of senders may be some minutes off."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.log.add(_event(time=later(299), data={"fields": {"name": "B"}}))
        await world.intake()
        assert {"name": "B"} == world.wanted()

    run(scene)


def test_an_equal_stamp_with_other_contents_is_a_hint() -> None:
    """One of the two must be wrong."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.shown("crm"), data={"fields": {"name": "other"}})
        await world.intake()
        assert ({"name": "A"}, True) == (world.wanted(), world.copy("crm").look)

    run(scene)


def test_a_deletion_of_an_unknown_list_is_nothing() -> None:
    """Nothing was known, nothing is gone."""

    async def scene() -> None:
        world = World()
        world.log.add(_event(type="leadlist.deleted"))
        assert Taken(entries=1) == await world.intake()
        assert {} == world.memory.tables.lists

    run(scene)


def test_a_list_never_changes_its_kind() -> None:
    """The event that says so is rejected."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A"), data={"fields": {"kind": "person"}})
        await world.intake()
        world.tell("crm", world.put("crm", name="B"), data={"fields": {"name": "B", "kind": "company"}})
        await world.intake()
        assert ["data.fields.kind: expected person; a list never changes its kind"] == reasons(world)
        assert Kind.PERSON is world.list_of().kind

    run(scene)


# Links


def test_a_link_to_a_list_never_seen_is_read_first() -> None:
    """A copy is made, to be looked at before anything is sent to it."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A"), data={"links": {"lance": "7"}})
        assert frozenset({"lance"}) == (await world.intake()).due
        copy = world.copy("lance", "7")
        assert ("7", True, Standing.DUE) == (copy.remote_id, copy.look, copy.standing)
        assert [ChangeKind.LINKED] == [change.kind for _, change in world.memory.tables.changes if change.field is None]

    run(scene)


@pytest.mark.parametrize("one_batch", [True, False])
@pytest.mark.parametrize("speaker", ["crm", "lance"])
def test_two_known_lists_become_one(one_batch: bool, speaker: str) -> None:  # noqa: FBT001 - a table
    """Each was seen by itself; a link joins them, with all that was known, in one batch or in two."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A", members=["p1"]))
        world.tell("lance", world.put("lance", "L", name="B", members=["p2"]))
        if not one_batch:
            await world.intake()
        other, remote_id = ("lance", "L") if speaker == "crm" else ("crm", "1")
        world.tell(speaker, world.shown(speaker, "1" if speaker == "crm" else "L"), data={"links": {other: remote_id}})
        await world.intake()
        assert 1 == len(world.memory.tables.lists)
        assert world.list_of("crm", "1") is world.list_of("lance", "L")
        joined = world.list_of()
        assert ("A", {"p1", "p2"}) == (
            joined.wanted[NAME].value,
            {name for name, member in joined.members.items() if member.wanted},
        )
        assert {joined.id} == {number for number, _ in world.memory.tables.changes}

    run(scene)


def test_a_known_list_keeps_its_number() -> None:
    """A new list that is linked to a known one joins it, not the other way round: calls in flight still land."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", name="B"))
        await world.intake()
        door = world.door("lance")
        (taken,), _ = world.memory.run_now(lambda tx: claim(tx, door, world.rules, 1))
        world.tell("instantly", world.put("instantly", "I", name="A"), data={"links": {"crm": "1"}})
        await world.intake()
        assert taken.list_id == world.list_of("instantly", "I").id
        assert taken.fence == world.copy("lance").fence

    run(scene)


def test_a_chain_of_links_in_one_batch() -> None:
    """Three lists become one, and their history stays together."""

    async def scene() -> None:
        world = World()
        for remote in ("crm", "lance", "instantly"):
            world.tell(remote, world.put(remote, name=remote))
        await world.intake()
        world.tell("instantly", None, data={"links": {"lance": "1"}})
        world.tell("lance", None, data={"links": {"crm": "1"}})
        await world.intake()
        (number,) = world.memory.tables.lists
        assert {"crm", "lance", "instantly"} == set(world.list_of().copies)
        assert {number} == {n for n, _ in world.memory.tables.changes} == set(world.memory.tables.links.values())
        assert "crm" == world.wanted()["name"]

    run(scene)


@pytest.mark.parametrize(
    ("reason", "links"),
    [
        ("data.links.lance: expected 1, to which it is tied; unlink that first", {"lance": "other"}),
        ("data.links.crm: expected 1, to which it is tied; unlink that first", {"crm": "other"}),
    ],
)
def test_a_link_that_contradicts_is_rejected(reason: str, links: dict[str, str]) -> None:
    """A list has one copy on each remote."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", name="B"), data={"links": links})
        await world.intake()
        assert ([reason], {"name": "A"}) == (reasons(world), world.wanted())

    run(scene)


def test_a_link_that_would_join_two_copies_of_one_remote_is_rejected() -> None:
    """The sentence names both lists and says what to do."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", "2", name="Z"), data={"links": {"instantly": "9"}})
        await world.intake()
        world.tell("crm", world.put("crm", name="B"), data={"links": {"instantly": "9"}})
        await world.intake()
        expected = "data.links.instantly: both lists have a copy on crm (1 and 2); unlink one of them first"
        assert [expected] == reasons(world)

    run(scene)


def test_a_link_told_again_is_nothing() -> None:
    """Senders may put links into every event."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        before = len(world.memory.tables.changes)
        world.tell("crm", world.put("crm", name="B"), data={"links": {"lance": "1"}})
        await world.intake()
        assert [ChangeKind.WANTED] == [change.kind for _, change in world.memory.tables.changes[before:]]

    run(scene)


# Races with other transactions


class Racing(MemoryTx):
    """Shows, once, links as they stood before another transaction changed them."""

    stale: dict[tuple[str, str], int] | None = None

    def find(self, keys: Any) -> dict[tuple[str, str], int]:
        stale, Racing.stale = Racing.stale, None
        return super().find(keys) if stale is None else stale


@pytest.mark.parametrize("stale", [99, 1])
def test_a_list_that_was_joined_or_unlinked_meanwhile_is_looked_up_again(stale: int) -> None:
    """Between our look and our lock another transaction may have moved the copy: the event is not lost."""

    async def scene() -> None:
        world = World()
        world.tell("lance", world.put("lance", name="A"))  # number 1, which does not hold the CRM's list
        world.tell("crm", world.put("crm", name="A"))
        await world.intake()

        class Store(MemoryStore):
            async def run(self, work: Callable[[MemoryTx], T]) -> T:
                return work(Racing(world.memory.tables, world.now))

        Racing.stale = {("crm", "1"): stale}
        world.tell("crm", world.put("crm", name="B"))
        (entry,) = await world.stream.read(1)
        await take_in([entry], world.stream, Store(lambda: world.now), world.rules)
        assert ([], "B") == (reasons(world), world.wanted()["name"])

    run(scene)


def test_a_copy_in_flight_keeps_its_lease() -> None:
    """News about a copy that is being pushed does not touch its lease, fence or intent."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", name="B"))
        await world.intake()
        door = world.door("lance")
        world.memory.run_now(lambda tx: claim(tx, door, world.rules, 1))
        before = world.copy("lance")
        world.tell("lance", world.put("lance", name="C"))
        await world.intake()
        after = world.copy("lance")
        assert "C" == after.seen[NAME].value
        assert before == replace(after, seen=before.seen)

    run(scene)
