"""Push on twins: the fewest calls, many in flight, one at a time for each copy, and every ticket goes back."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from models.lead_list import Field, Standing
from tests.support.heart import NOON, later, rules_of
from tests.support.world import World, answers, edited, linked, lost, many_due, run
from worker.errors import RedisAway, RemoteDown
from worker.limits.base import Ending
from worker.ports import RemoteState, Tx
from worker.remotes.base import Answer, Request, Wire
from worker.sync.push import claim

NAME = Field.NAME
FOR_S = 0.1


def test_one_changed_field_is_one_patch_with_that_field() -> None:
    """Nothing else is sent, to nobody else, and the next pass is silent."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance", "instantly")
        await edited(world, name="B")
        await world.sync()
        assert ([{"name": "B"}], [{"name": "B"}], []) == tuple(map(world.patches, ("lance", "instantly", "crm")))
        assert ["B", "B"] == [world.shown(name).fields[NAME] for name in ("lance", "instantly")]
        await world.rest()
        assert 2 == sum(len(wire.sent) for wire in world.wires.values())
        assert {Standing.IN_SYNC} == {copy.standing for copy in world.copies()}

    run(scene)


def test_ten_events_make_one_patch() -> None:
    """Only the newest state is sent."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        for number in range(10):
            await edited(world, name=f"B{number}")
        await world.sync()
        assert [{"name": "B9"}] == world.patches("lance")

    run(scene)


def test_an_edit_and_its_undoing_make_no_call() -> None:
    """A copy that shows what is wanted after all is not called."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        await edited(world, name="B")
        await edited(world, name="A")
        await world.sync()
        assert [] == world.wires["lance"].sent

    run(scene)


def test_a_new_copy_is_read_before_it_is_written() -> None:
    """Its own values are known first; authority decides where they differ."""

    async def scene() -> None:
        world = World()
        world.put("lance", name="theirs", members=["p2"])
        shown = world.put("crm", name="ours", owner="u1", members=["p1"])
        world.tell("crm", shown, data={"links": {"lance": "1"}})
        await world.sync()
        assert ["GET", "PATCH"] == [request.method for request in world.wires["lance"].sent]
        assert [{"name": "ours", "members_added": ["p1"]}] == world.patches("lance")
        assert [{"members_added": ["p2"]}] == world.patches("crm")

    run(scene)


def test_members_that_were_agreed_long_ago_reach_a_new_copy() -> None:
    """A copy linked later lacks members that differ nowhere else: they are sent all the same."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A", members=["p1", "p2"]))
        await world.rest()
        world.put("lance", name="A", members=["p9"])
        world.tell("crm", None, data={"links": {"lance": "1"}})
        await world.rest()
        assert frozenset({"p1", "p2", "p9"}) == world.shown("lance").members == world.shown("crm").members

    run(scene)


def test_a_read_of_members_is_compared_with_all_that_are_known() -> None:
    """Agreed members are neither gained again nor forgotten by a read of one copy."""

    async def scene() -> None:
        world = World()
        world.put("lance", name="A", members=["p1", "p2"])
        shown = world.put("crm", name="A", members=["p1", "p2"])
        world.tell("crm", shown, data={"links": {"lance": "1"}})
        await world.rest()
        before = len(world.memory.tables.changes)
        lance = world.remotes["lance"].wire
        lance.put(replace(lance.lists["1"], members=frozenset({"p2"})))
        world.tell("lance", None)
        await world.rest()
        assert frozenset({"p2"}) == world.shown("crm").members
        assert [{"members_removed": ["p1"]}] == world.patches("crm")
        assert 1 == len(world.memory.tables.changes) - before
        assert {"crm", "lance"} == set(world.list_of().members["p2"].seen)

    run(scene)


def test_at_most_max_in_flight() -> None:
    """So many calls are under way at once, and not one more."""

    async def scene() -> None:
        world = World(max_in_flight=5)
        await many_due(world, 30)
        world.wires["lance"].latency_s = 0.002
        pushed = await world.push("lance")
        assert (30, 30, 5) == (pushed.calls, pushed.patched, world.wires["lance"].most_in_flight)
        assert set() == world.tickets_out()

    run(scene)


def test_a_paused_remote_is_not_called() -> None:
    """Its copies stay due, and the tickets go back."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        world.memory.run_now(lambda tx: tx.set_remote_state("lance", RemoteState(paused=True)))
        await world.push("lance")
        assert [] == world.wires["lance"].sent
        assert Standing.DUE is world.copy("lance").standing
        world.memory.run_now(lambda tx: tx.set_remote_state("lance", RemoteState()))
        await world.push("lance")
        assert [{"name": "B"}] == world.patches("lance")
        assert set() == world.tickets_out()

    run(scene)


@pytest.mark.parametrize("status", [401, 402, 403])
def test_lost_access_pauses_the_remote_once(status: int) -> None:
    """Nothing is parked, nothing lost, no further call is made, and the pause says what to do."""

    async def scene() -> None:
        world = World(max_in_flight=4)
        await many_due(world, 12)
        world.wires["lance"].faults.extend([answers(status)] * 12)
        await world.push("lance")
        assert 4 >= len(world.patches("lance"))
        state = world.memory.run_now(lambda tx: tx.remote_state("lance"))
        next_step = "renew its token, start the workers anew, then: leadsync resume lance"
        assert (True, next_step) == (state.paused, state.next_step)
        assert {Standing.DUE} == {world.copy("lance", str(n)).standing for n in range(12)}
        assert {0} == {world.copy("lance", str(n)).tries for n in range(12)}
        assert set() == world.tickets_out()

    run(scene)


def test_a_refused_budget_leaves_everything_due() -> None:
    """Push ends at once, without a call and without blame."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        world.tickets["lance"].left = 0
        pushed = await world.push("lance")
        copy = world.copy("lance")
        assert (0, 0, Standing.DUE, 0) == (pushed.calls, len(world.patches("lance")), copy.standing, copy.tries)

    run(scene)


def test_without_redis_nobody_calls() -> None:
    """The budget fails closed; what is due stays due."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        world.tickets["lance"].broken = True
        with pytest.raises(RedisAway):
            await world.push("lance")
        assert ([], Standing.DUE) == (world.wires["lance"].sent, world.copy("lance").standing)

    run(scene)


def test_when_redis_goes_what_is_in_flight_still_counts() -> None:
    """Answers to calls that went out before are written down; only then the error is raised."""

    async def scene() -> None:
        world = World(max_in_flight=2)
        await many_due(world, 5)
        tickets = world.tickets["lance"]

        async def goes(request: Request, wire: Wire) -> Answer:
            tickets.broken = True
            return await wire.exchange(request)

        world.wires["lance"].faults.append(goes)
        with pytest.raises(RedisAway):
            await world.push("lance")
        sent = len(world.patches("lance"))
        assert sent == [world.copy("lance", str(n)).standing for n in range(5)].count(Standing.IN_SYNC) > 0
        assert [] == [copy for copy in world.copies() if copy.lease_until is not None]
        assert set() == tickets.out

    run(scene)


def test_a_failing_database_takes_no_tickets_along() -> None:
    """Whatever is thrown: every ticket goes back."""

    async def scene() -> None:
        world = World()
        await many_due(world, 20)
        before = world.memory.run_now

        def breaks(work: Callable[[Any], Any]) -> Any:
            if len(world.patches("lance")) > 4:
                raise RemoteDown("the database is away")
            return before(work)

        world.memory.run_now = breaks  # type: ignore[method-assign]
        world.max_in_flight = 3
        with pytest.raises(RemoteDown):
            await world.push("lance")
        assert set() == world.tickets_out()

    run(scene)


def test_an_idle_ask_for_tickets_takes_none_along() -> None:
    """Tickets that are granted when push is over already go back unused."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        await world.push("lance", for_s=0.0)
        assert set() == world.tickets_out()
        world = World(max_in_flight=2)
        await many_due(world, 9)
        await asyncio.gather(*(world.push("lance") for _ in range(3)))
        assert set() == world.tickets_out()

    run(scene)


def test_four_pushes_never_send_one_copy_twice() -> None:
    """Together they send each patch once, with no two calls to one list at a time, and all of them end."""

    async def scene() -> None:
        world = World(max_in_flight=3)
        await many_due(world, 40)
        world.wires["lance"].latency_s = 0.001
        done = await asyncio.gather(*(world.push("lance") for _ in range(4)))
        assert 40 == len(world.patches("lance")) == sum(one.patched for one in done)
        assert 0 == world.wires["lance"].overlaps
        assert set() == world.tickets_out()

    run(scene)


def test_it_ends_when_another_has_everything() -> None:
    """Copies that are leased to another worker are not waited for."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        door = world.door("lance")
        world.memory.run_now(lambda tx: claim(tx, door, world.rules, 5))
        assert 0 == (await asyncio.wait_for(world.push("lance"), 5)).calls

    run(scene)


@pytest.mark.parametrize(
    ("ending", "fault"),
    [(Ending.ANSWERED, None), (Ending.LIMITED, answers(429)), (Ending.FAILED, answers(500)), (Ending.UNKNOWN, lost)],
)
def test_every_ticket_tells_how_it_ended(ending: Ending, fault: Any) -> None:
    """The budget learns from each call."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        world.tickets["lance"].endings.clear()
        world.tickets["lance"].left = 1
        world.wires["lance"].faults.append(fault)
        await world.push("lance")
        assert [ending] == world.tickets["lance"].endings

    run(scene)


def test_attempts_are_written_down() -> None:
    """One row a call: what was sent, what came back, how long it took since the change."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        world.memory.tables.attempts.clear()
        world.wait(3)
        await world.sync()
        (attempt,) = world.memory.tables.attempts
        assert ("lance", "patch", "live", {"name": "B"}, 200, "done", 3000.0) == (
            attempt.remote,
            attempt.action,
            attempt.lane,
            attempt.sent,
            attempt.status,
            attempt.outcome,
            attempt.lag_ms,
        )

    run(scene)


def test_a_claim_leases_and_fences() -> None:
    """Longer than a call can take; the number grows with every claim; the intent is there before the call."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        fence = world.copy("lance").fence
        door = world.door("lance")

        def both(tx: Tx) -> tuple[int, int]:
            return len(claim(tx, door, world.rules, 5)[0]), len(claim(tx, door, world.rules, 5)[0])

        assert (1, 0) == world.memory.run_now(both)
        copy = world.copy("lance")
        assert (fence + 1, later(door.lease_s)) == (copy.fence, copy.lease_until)
        assert copy.intent is not None
        assert ({NAME: "B"}, NOON) == (copy.intent.patch.fields, copy.intent.sent_at)
        assert door.lease_s > 2 * door.timeout_s

    run(scene)


def test_a_long_read_of_members_keeps_nobody_waiting() -> None:
    """While one membership is read page by page, the push goes on for the other lists, beyond its time."""

    async def scene() -> None:
        rules = rules_of()
        apart = replace(rules.remotes["lance"], members_apart=True)
        world = World(replace(rules, remotes={**rules.remotes, "lance": apart}))
        for number in ("1", "2"):
            world.put("lance", number, name="A")
            world.tell("crm", world.put("crm", number, name="A"), data={"links": {"lance": number}})
        await world.intake()
        patched = asyncio.Event()

        async def slowly(request: Request, wire: Wire) -> Answer:
            await patched.wait()
            return await wire.exchange(request)

        async def told(request: Request, wire: Wire) -> Answer:
            patched.set()
            return await wire.exchange(request)

        async def after_the_end(request: Request, wire: Wire) -> Answer:
            await asyncio.sleep(2 * FOR_S)
            return await wire.exchange(request)

        world.wires["lance"].faults.extend([slowly, after_the_end, told])
        world.tell("crm", world.put("crm", "1", name="B"))
        world.tell("crm", world.put("crm", "2", name="B"))
        await world.intake()
        await asyncio.wait_for(world.push("lance", for_s=FOR_S), 10)
        assert "PATCH" in [request.method for request in world.wires["lance"].sent]

    run(scene)
