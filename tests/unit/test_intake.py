"""Intake on twins: acknowledged after the commit, poison parked, bad events rejected alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import pytest

from models.event import MAX_EVENT_BYTES
from models.lead_list import Field, LeadList
from tests.support.heart import NOON, remote_rules, rules_of
from tests.support.world import BATCH, World, linked, raw_event, reasons, run
from worker.engine.observe import observe as real_observe
from worker.engine.rules import Rules
from worker.errors import RedisAway, Transient
from worker.ports import Entry, EntryId, Reject
from worker.store.memory import MemoryStore, MemoryTx
from worker.stream.memory import Log, MemoryStream
from worker.sync import batch, intake
from worker.sync.intake import MAX_DEATHS, take_in

T = TypeVar("T")


NAME = Field.NAME


HINTS = rules_of(instantly=remote_rules(2, versioned=False))


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


def test_what_was_read_ahead_is_not_guilty_either() -> None:
    """While the database works the next batch is read; when it fails, that one comes again as if it never had."""

    async def scene() -> None:
        world, diary = noted()
        for number in range(5):
            world.tell("crm", world.put("crm", str(number), name="A"))
        for _ in range(10):
            diary.failures = 1
            with pytest.raises(Transient):
                await world.intake(batch=2)
        assert 5 == (await world.intake(batch=2)).entries
        assert (5, [], {}) == (len(world.memory.tables.lists), reasons(world), world.log.pending)
        assert diary.lines[-1].startswith("ack")

    run(scene)


def test_the_databases_error_is_raised_also_when_redis_goes_with_it() -> None:
    """What is told is why the events were not taken in. And however often both are away, nobody died of them."""

    async def scene() -> None:
        world, diary = noted()

        async def away(entry: Entry) -> None:
            raise RedisAway(f"gone, with {entry.id}")

        world.stream.came_back = away  # type: ignore[method-assign]  # a fault
        world.tell("crm", world.put("crm", name="A"))
        for _ in range(5):
            diary.failures = 1
            with pytest.raises(Transient, match="the database is locked"):
                await world.intake()
        assert (1, []) == ((await world.intake()).entries, reasons(world))

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

    def observe(lead_list: Any, seen: Any, rules: Any) -> Any:
        if seen.cause == f"event {event_id}":
            raise Killed
        return real_observe(lead_list, seen, rules)

    monkeypatch.setattr(batch, "observe", observe)


def test_poison_is_put_aside_and_takes_nobody_along(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noted before the try: a batch dies of it, two workers that try it alone do, and the next one rejects it. Its
    neighbours are all taken in.
    """

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
                world.stream = MemoryStream(world.log, "one")  # another process
        assert 1 + MAX_DEATHS == deaths
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


@pytest.mark.parametrize(
    ("reason", "raw"),
    [
        ("event: expected JSON (expected ident at line 1 column 2)", b"not json"),
        ("id: expected a string", raw_event(id=5)),
        (f"event: expected at most {MAX_EVENT_BYTES} bytes, got {MAX_EVENT_BYTES + 1}", b" " * (MAX_EVENT_BYTES + 1)),
        (
            "source: expected a configured remote (known: crm, instantly, lance), got 'hubspot'",
            raw_event(source="hubspot"),
        ),
        (
            "data.links.hubspot: expected a configured remote (known: crm, instantly, lance), got 'hubspot'",
            raw_event(data={"links": {"hubspot": "1"}}),
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


@pytest.mark.parametrize("bad", [b"not json", raw_event(subject="7", data={"fields": {"kind": "company"}})])
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

        def observe(lead_list: LeadList, seen: Any, rules: Rules) -> Any:
            if seen.cause == "event e3":
                raise ZeroDivisionError
            return real_observe(lead_list, seen, rules)

        monkeypatch.setattr(batch, "observe", observe)
        taken = await world.intake()
        assert (5, 1, 4) == (taken.entries, taken.rejected, len(world.memory.tables.lists))
        assert ["leadsync cannot take this event in (ZeroDivisionError); please report it with this event"] == reasons(
            world
        )

    run(scene)


# What makes a batch


def acknowledged(diary: Diary) -> list[int]:
    """The sizes of the batches, in their order."""
    return [int(line.removeprefix("ack ")) for line in diary.lines if line.startswith("ack")]


async def intake_all(world: World, batch: int) -> None:
    """Everything that is in the stream."""
    await world.intake(batch)


@pytest.mark.parametrize(("batch", "entries", "sizes"), [(7, 16, [7, 7, 2]), (60, 130, [60, 60, 10]), (60, 60, [60])])
def test_a_batch_is_read_to_its_end(batch: int, entries: int, sizes: list[int]) -> None:
    """However many reads it takes: a batch is as large as the settings say while there is enough."""
    world, diary = noted()
    for _ in range(entries):
        world.log.add(b"{}")
    run(lambda: intake_all(world, batch))
    assert sizes == acknowledged(diary)


def test_a_batch_ends_when_it_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bytes count too: entries of a kind never go far beyond."""
    monkeypatch.setattr(intake, "_BATCH_BYTES", 20_000)
    world, diary = noted()
    for _ in range(50):
        world.log.add(b" " * 1_000)
    run(lambda: intake_all(world, 500))
    assert acknowledged(diary) == [20, 20, 10]


def test_entries_that_were_read_are_taken_in_when_redis_goes_away() -> None:
    """They are ours: left behind they would wait until this worker starts anew."""
    world, diary = noted()

    class Leaving(NotingStream):
        async def read(self, count: int) -> list[Entry]:
            if world.log.delivered:
                raise RedisAway("Redis cannot be reached; is it running?")
            return await super().read(count)

    world.stream = Leaving(world.log, diary)
    for _ in range(30):
        world.log.add(b"{}")
    with pytest.raises(RedisAway):
        run(lambda: intake_all(world, 500))
    assert acknowledged(diary) == [10]
