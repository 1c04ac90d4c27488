"""Upkeep: what is old is forgotten, what does not add up is found, told and mended, and the dead are taken over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from structlog.testing import capture_logs

from models.lead_list import Abandoned, Copy, Field, Intent, Member, Standing, Waiting
from models.patch import Patch
from models.scan import Trigger
from tests.support.world import LATE_WRITE_S, TestClock, World, applied, edited, linked, run
from worker.documents.doctor import Result, judge_numbers
from worker.documents.numbers import STALE_S, NumbersDocument
from worker.notes.numbers import Round, next_look
from worker.ports import Reject
from worker.sync import upkeep
from worker.sync.push import claim
from worker.sync.upkeep import Checked, check, forget


async def look(world: World, *, settled: bool = True, after: int = 0) -> Checked:
    """One look at the lists of this world."""
    return await check(world.store, world.rules, TestClock(), after=after, settled=settled)


def spoil(world: World, remote: str = "lance", **values: Any) -> None:
    """Somebody changes a copy by hand."""
    one = world.list_of()
    spoiled = replace(one, copies={**one.copies, remote: replace(one.copies[remote], **values)})
    world.memory.tables.lists[one.id] = spoiled


def test_what_the_engine_wrote_adds_up() -> None:
    """At rest, due, waiting for a read-back: every list is checked and nothing is told."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        assert Checked(after=0, lists=1, mismatches=0) == await look(world)
        await edited(world, name="B")
        assert Checked(after=0, lists=1, mismatches=0) == await look(world)
        world.wires["lance"].faults.append(applied)
        await world.push("lance")
        assert Checked(after=0, lists=1, mismatches=0) == await look(world)

    run(scene)


@pytest.mark.parametrize(
    "spoiled",
    [
        {"standing": Standing.DUE, "due_at": None},
        {"standing": Standing.PARKED},
        {"standing": Standing.CONFLICT, "since": None},
        {"since": datetime(2026, 1, 1, tzinfo=UTC)},
    ],
    ids=["due for ever", "parked for no cause", "a conflict about nothing", "an age though in sync"],
)
def test_a_copy_that_stands_wrongly_is_told_and_mended(spoiled: Mapping[str, Any]) -> None:
    """It is an error in the log, with the list's number and nothing of its contents; the next look finds nothing."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        before = world.copy("lance")
        spoil(world, **spoiled)
        with capture_logs() as logs:
            found = await look(world)
        assert Checked(after=0, lists=1, mismatches=1) == found
        assert [("numbers_do_not_add_up", "error", 1)] == [(o["event"], o["log_level"], o["list_id"]) for o in logs]
        assert before == world.copy("lance")
        assert 0 == (await look(world)).mismatches

    run(scene)


def test_a_copy_that_should_be_due_is_pushed_again() -> None:
    """What differs and stands as in sync would never be sent."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        spoil(world, standing=Standing.IN_SYNC, waiting=None, due_at=None, since=None)
        assert 0 == (await world.push("lance")).calls
        assert 1 == (await look(world)).mismatches
        await world.push("lance")
        assert [{"name": "B"}] == world.patches("lance")

    run(scene)


def test_a_member_that_is_marked_wrongly_is_found() -> None:
    """The store finds members that differ by that mark alone."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        one = world.list_of()
        world.memory.tables.lists[one.id] = replace(one, members={"p1": Member(True), "p2": Member(False)})
        assert 1 <= (await look(world)).mismatches
        assert [True, False] == [world.list_of().members[name].differs for name in ("p1", "p2")]
        assert Standing.DUE is world.copy("lance").standing
        assert 0 == (await look(world)).mismatches

    run(scene)


def test_new_settings_are_no_alarm() -> None:
    """Lists stand as the settings of their last change would have them: they are mended, and nobody is called."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        lance = replace(world.rules.remotes["lance"], review=True)
        world.rules = replace(world.rules, remotes={**world.rules.remotes, "lance": lance})
        with capture_logs() as logs:
            assert Checked(after=0, lists=1, mismatches=0) == await look(world, settled=False)
        assert ["info"] == [one["log_level"] for one in logs]
        assert (Waiting.REVIEW, None) == (world.copy("lance").waiting, world.copy("lance").due_at)

    run(scene)


def test_a_list_in_flight_is_left_alone() -> None:
    """Its answer will say how it stands. Once the lease has ended it is looked at like any other."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        spoil(world, standing=Standing.PARKED, lease_until=world.now + timedelta(seconds=10))
        assert Checked(after=0, lists=0, mismatches=0) == await look(world)
        world.wait(10)
        assert Checked(after=0, lists=1, mismatches=1) == await look(world)

    run(scene)


@pytest.mark.parametrize("field", [Field.NAME, Field.MEMBERS])
def test_what_only_time_changed_is_no_mismatch(field: Field) -> None:
    """A write that can no longer land makes a copy stand differently once its list is touched."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        late = Abandoned("X", world.now + timedelta(seconds=LATE_WRITE_S), frozenset({"p1"}))
        one = world.list_of()
        unclear = replace(one.copies["lance"], abandoned={field: late}, hidden=frozenset({Field.MEMBERS}))
        world.memory.tables.lists[one.id] = replace(one, copies={**one.copies, "lance": unclear})
        before = await look(world, settled=False)  # as a transaction of that moment would have left it
        for _ in range(3):
            assert 0 == (await look(world)).mismatches
            world.wait(LATE_WRITE_S)
        assert 0 == before.mismatches

    run(scene)


def test_it_goes_through_all_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some at a time, from where it stopped; 0 says that all were looked at."""
    monkeypatch.setattr(upkeep, "_BATCH", 2)
    monkeypatch.setattr(upkeep, "_FEW", 4)

    async def scene() -> None:
        world = World()
        for number in range(5):
            world.tell("crm", world.put("crm", str(number), name="A"), str(number))
        await world.rest()
        first = await look(world)
        second = await look(world, after=first.after)
        assert (4, 1, 0) == (first.lists, second.lists, second.after)
        assert first.after > 0

    run(scene)


def test_a_dead_worker_s_copy_is_taken_up_after_its_lease() -> None:
    """The tick counts it as soon as the lease has ended; it is read before anything is sent."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        door = world.door("lance")
        await world.store.run(lambda tx: claim(tx, door, world.rules, 1))  # and then its process is killed
        copy = world.copy("lance")
        assert (Standing.DUE, Intent(Patch({Field.NAME: "B"}), world.now)) == (copy.standing, copy.intent)
        assert 0 == await world.store.run(lambda tx: tx.count_due("lance", 9).live)
        world.wait(door.lease_s)
        assert 1 == await world.store.run(lambda tx: tx.count_due("lance", 9).live)
        await world.push("lance")
        assert ["GET", "PATCH"] == [request.method for request in world.wires["lance"].sent]
        assert Standing.IN_SYNC is world.copy("lance").standing

    run(scene)


def test_an_unclear_write_comes_due_by_itself() -> None:
    """Nobody rings for it: the tick counts it when its time has come, and it is read first."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        world.wires["lance"].faults.append(applied)
        await world.push("lance")
        world.wires["lance"].sent.clear()
        copy: Copy = world.copy("lance")
        assert (Waiting.READ_BACK, True) == (copy.waiting, copy.look)
        assert copy.due_at is not None
        world.now = copy.due_at
        due = await world.store.run(lambda tx: tx.count_due("lance", 9))
        assert 1 == due.live + due.retry
        await world.push("lance")
        assert ["GET"] == [request.method for request in world.wires["lance"].sent]
        assert Standing.IN_SYNC is world.copy("lance").standing

    run(scene)


def test_nothing_is_forgotten_by_default() -> None:
    """The ledger is kept for ever unless settings say otherwise."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.wait(10 * 365 * 86_400)
        assert 0 == await forget(world.store, TestClock(), keep_days=None)
        assert world.memory.tables.changes
        assert world.memory.tables.attempts

    run(scene)


def test_what_is_older_is_forgotten_and_the_rest_stays() -> None:
    """Changes, attempts and ended scans; never rejects, and of the scans not the last ones."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        await world.scan("crm")
        await world.store.run(lambda tx: tx.reject([Reject(entry_id="1-0", reason="bad", event="{}")]))
        world.wait(31 * 86_400)
        last = await world.scan("crm", Trigger.SCHEDULE)
        await edited(world, name="B")
        assert await forget(world.store, TestClock(), keep_days=30)
        tables = world.memory.tables
        assert ["B"] == [change.new for _, change in tables.changes]
        assert (1, {last.id}) == (len(tables.rejects), set(tables.scans))
        assert 0 == await forget(world.store, TestClock(), keep_days=30)

    run(scene)


def test_rounds_follow_each_other() -> None:
    """The first one under new settings is silent; a round goes on where it stopped."""
    first = next_look(None, "a")
    on = next_look(replace(first, after=7, lists=7), "a")
    second = next_look(replace(first, after=0, lists=9), "a")

    assert Round(rules="a", settled=False) == first
    assert (7, 7, False) == (on.after, on.lists, on.settled)
    assert (0, 0, True) == (second.after, second.lists, second.settled)
    assert (0, True) == (next_look(replace(second, after=0), "a").after, next_look(second, "a").settled)
    assert Round(rules="b", settled=False) == next_look(replace(second, after=7), "b")


def found(mismatches: int = 0, age_s: float = 5.0) -> NumbersDocument:
    """What a look found."""
    at = datetime.now(UTC) - timedelta(seconds=age_s)
    return NumbersDocument(checked_at=at, lists_checked=9, mismatches=mismatches)


@pytest.mark.parametrize(
    ("told", "started", "result"),
    [
        (found, True, Result.OK),
        (partial(found, 2), True, Result.BAD),
        (partial(found, 2), False, Result.BAD),
        (partial(found, age_s=STALE_S + 60), True, Result.UNKNOWN),
        (partial(found, age_s=STALE_S + 60), False, Result.OK),
        (lambda: "unknown", True, Result.UNKNOWN),
        (lambda: "unknown", False, Result.OK),
    ],
)
def test_doctor_judges_the_numbers(told: Callable[[], Any], *, started: bool, result: Result) -> None:
    """Never ok without having looked, once somebody should look; whatever is not ok has a next step."""
    judged = judge_numbers(told(), started=started)

    assert (result, result is not Result.OK) == (judged.result, judged.next_step is not None)


def test_forgetting_ends_in_time() -> None:
    """What is left goes a minute later; the task must not hold its worker for hours."""

    class Slow(TestClock):
        def __init__(self) -> None:
            self.now = 0.0

        def monotonic(self) -> float:
            self.now += 15.0
            return self.now

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.wait(31 * 86_400)
        assert 0 < await forget(world.store, Slow(), keep_days=30)
        assert world.memory.tables.attempts

    asyncio.run(scene())
