"""What is on hold: nothing is written there until it is released, and nothing is missed meanwhile."""

from __future__ import annotations

from datetime import timedelta

import pytest

from models.lead_list import Field, Standing, Waiting
from tests.support.holding import LANCE, ON_HOLD, holds, releases, stands, three
from tests.support.world import LATE_WRITE_S, TIMEOUT_S, answers, edited, lost, run
from worker.remotes.base import Answer, Request, Wire
from worker.sync.push import claim


def test_nothing_is_written_to_a_list_that_is_held() -> None:
    """Wanted moves on, its copies say why they wait; in sync is what shows what is wanted."""

    async def scene() -> None:
        world = await three()
        assert (await holds(world)).copies == 1
        assert {stands(copy) for copy in world.copies()} == {(Standing.IN_SYNC, None, False)}
        await edited(world, name="B")
        await world.rest()
        assert world.wanted()["name"] == "B"
        assert [world.patches(name) for name in world.remotes] == [[], [], []]
        assert stands(world.copy("lance")) == stands(world.copy("instantly")) == ON_HOLD
        assert stands(world.copy("crm")) == (Standing.IN_SYNC, None, False)

    run(scene)


def test_one_copy_is_held_alone() -> None:
    """The others are written."""

    async def scene() -> None:
        world = await three()
        await holds(world, LANCE, alone=True)
        await edited(world, name="B")
        await world.rest()
        assert stands(world.copy("lance")) == ON_HOLD
        assert world.shown("instantly").fields[Field.NAME] == "B"
        assert not world.patches("lance")

    run(scene)


def test_a_push_that_is_due_already_is_stopped() -> None:
    """Held between the news and the call."""

    async def scene() -> None:
        world = await edited(await three(), name="B")
        assert world.copy("lance").due_at is not None
        await holds(world)
        assert stands(world.copy("lance")) == ON_HOLD
        assert world.memory.run_now(lambda tx: tx.count_due("lance", 10)).live == 0
        await world.rest()
        assert not world.patches("lance")

    run(scene)


def test_a_call_in_flight_is_let_finish() -> None:
    """Its answer is taken in; what differs by then waits."""

    async def scene() -> None:
        world = await edited(await three(), name="B")

        async def held_meanwhile(request: Request, wire: Wire) -> Answer:
            await holds(world)
            await edited(world, name="C")
            return await wire.exchange(request)

        world.wires["lance"].faults.append(held_meanwhile)
        await world.push("lance")
        assert [body["name"] for body in world.patches("lance")] == ["B"]
        assert world.copy("lance").seen[Field.NAME].value == "B"
        assert stands(world.copy("lance")) == ON_HOLD

    run(scene)


def test_release_makes_it_due_at_once_and_late_from_then_on() -> None:
    """What waited for a person is no delay of ours, so neither alerts nor the lag count it."""

    async def scene() -> None:
        world = await three()
        await holds(world)
        await edited(world, name="B")
        world.wait(86_400)
        moved = await releases(world)
        assert (moved.copies, moved.due) == (1, frozenset({"lance", "instantly"}))
        copy = world.copy("lance")
        assert (copy.waiting, copy.due_at, copy.since) == (Waiting.TURN, world.now, world.now)
        await world.rest()
        assert world.shown("lance").fields[Field.NAME] == world.shown("instantly").fields[Field.NAME] == "B"
        [lag] = {one.lag_ms for one in world.memory.tables.attempts if one.remote == "lance" and one.action == "patch"}
        assert lag == 0

    run(scene)


def test_what_is_shown_there_is_taken_in_as_ever() -> None:
    """Hints are read, scans are believed, and edits on the held side win elsewhere."""

    async def scene() -> None:
        world = await three()
        await holds(world, LANCE, alone=True)
        world.put("lance", name="B")
        world.tell("lance", None)
        await world.rest()
        assert world.shown("crm").fields[Field.NAME] == "B"
        world.wait(10)
        world.put("lance", owner="u2")
        await world.scan("lance")
        await world.rest()
        assert world.wanted()["owner"] == "u2"
        assert not world.patches("lance")

    run(scene)


def test_while_it_is_read_it_still_says_that_it_is_held() -> None:
    """A read that fails is tried again, and is no copy that alerts should call late."""

    async def scene() -> None:
        world = await three()
        await holds(world)
        await edited(world, name="B")
        world.tell("lance", None)
        world.wires["lance"].faults.append(answers(503))
        await world.intake()
        assert stands(world.copy("lance")) == (Standing.DUE, Waiting.HOLD, True)
        await world.push("lance")
        assert stands(world.copy("lance")) == (Standing.DUE, Waiting.HOLD, True)
        await world.rest()
        assert stands(world.copy("lance")) == ON_HOLD

    run(scene)


def test_release_ends_the_backoff_of_a_read() -> None:
    """Due at once means at once."""

    async def scene() -> None:
        world = await three()
        await holds(world)
        world.tell("lance", None)
        world.wires["lance"].faults.append(answers(503))
        await world.sync()
        copy = world.copy("lance")
        assert copy.due_at is not None
        assert copy.due_at > world.now
        await releases(world)
        assert (world.copy("lance").waiting, world.copy("lance").due_at) == (Waiting.FIRST_READ, world.now)

    run(scene)


@pytest.mark.parametrize("lands", [False, True])
def test_our_own_late_write_is_not_taken_for_an_edit_because_it_landed_under_a_hold(lands: bool) -> None:  # noqa: FBT001 - drawn
    """A write without an answer is looked at when it can no longer arrive, though nothing is written over it."""

    async def scene() -> None:
        world = await edited(await three(), "instantly", name="B")
        late: list[tuple[Request, Wire]] = []

        async def hangs(request: Request, wire: Wire) -> Answer:
            late.append((request, wire))
            return await lost(request, wire)

        world.wires["lance"].faults.append(hangs)
        await world.push("lance")
        await holds(world)
        await edited(world, "instantly", name="C")
        await world.sync()
        [(request, wire)] = late
        if lands:
            world.wait(LATE_WRITE_S - 20)
            world.wires["crm"].set_clock()
            await wire.exchange(request)
        await world.rest()
        world.wait(2 * LATE_WRITE_S)
        await world.scan("lance")
        await world.rest()
        assert world.wanted()["name"] == "C"
        assert world.copy("lance").seen[Field.NAME].value == ("B" if lands else "A")
        assert stands(world.copy("lance")) == ON_HOLD
        await releases(world)
        await world.rest()
        assert world.shown("lance").fields[Field.NAME] == "C"

    run(scene)


def test_a_write_that_may_still_land_does_not_make_a_held_copy_spin() -> None:
    """It is looked at once, when it can no longer arrive; other fields that differ change nothing about that."""

    async def scene() -> None:
        world = await edited(await three(), name="B")
        world.wires["lance"].faults.append(lost)
        await world.push("lance")
        sent_at = world.now
        await holds(world)
        await world.rest()  # it was looked for, and is not there
        await edited(world, name="C", members=["ada"])
        copy = world.copy("lance")
        assert not copy.look
        assert (copy.waiting, copy.due_at) == (Waiting.HOLD, sent_at + timedelta(seconds=LATE_WRITE_S))
        await world.rest()
        assert [request.method for request in world.wires["lance"].sent] == ["PATCH", "GET", "GET"]
        assert stands(world.copy("lance")) == ON_HOLD

    run(scene)


def test_a_worker_that_dies_is_looked_after_under_a_hold() -> None:
    """Its lease ends, the list is read, and nothing more is sent."""

    async def scene() -> None:
        world = await edited(await three(), name="B")
        world.memory.run_now(lambda tx: claim(tx, world.door("lance"), world.rules, 1))
        await holds(world)
        world.wait(3 * TIMEOUT_S)
        await world.rest()
        assert [request.method for request in world.wires["lance"].sent] == ["GET"]
        assert stands(world.copy("lance")) == ON_HOLD

    run(scene)


def test_parked_and_conflict_stay_what_they_are() -> None:
    """They wait for a person already; another patch of a held copy waits for its release."""

    async def scene() -> None:
        world = await edited(await three(), name="B")
        world.wires["lance"].faults.append(answers(422))
        await world.push("lance")
        await holds(world)
        assert world.copy("lance").standing is Standing.PARKED
        await edited(world, name="C")
        assert stands(world.copy("lance")) == ON_HOLD
        await world.rest()
        assert len(world.patches("lance")) == 1

    run(scene)
