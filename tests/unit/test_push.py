"""Push on twins: the fewest calls, many in flight, and nothing lost when calls, workers or budgets fail."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest

from models.lead_list import Abandoned, Field, Spelling, Standing, Waiting
from models.observation import Shown
from tests.support.heart import NOON, later, remote_rules, rules_of
from tests.support.world import LATE_WRITE_S, World, answers, applied, linked, lost
from worker.engine.rules import Policy
from worker.errors import RedisAway, RemoteDown
from worker.limits.base import Ending
from worker.ports import RemoteState, Tx
from worker.remotes.base import Answer, Request, Wire
from worker.remotes.memory import MemoryWire
from worker.sync.push import claim

NAME = Field.NAME


def run(scene: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Play a scene."""
    asyncio.run(scene())


async def edited(world: World, remote: str = "crm", **fields: Any) -> World:
    """A person edits, and the event comes."""
    world.tell(remote, world.put(remote, **fields))
    await world.intake()
    return world


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
        await _many(world, 30)
        world.wires["lance"].latency_s = 0.002
        pushed = await world.push("lance")
        assert (30, 30, 5) == (pushed.calls, pushed.patched, world.wires["lance"].most_in_flight)
        assert set() == world.tickets_out()

    run(scene)


async def _many(world: World, lists: int) -> None:
    """So many lists, each with one field due on lance."""
    for number in range(lists):
        key = str(number)
        world.put("lance", key, name="A")
        world.tell("crm", world.put("crm", key, name="A"), data={"links": {"lance": key}})
    await world.rest()
    for number in range(lists):
        world.tell("crm", world.put("crm", str(number), name="B"))
    await world.intake()
    for wire in world.wires.values():
        wire.sent.clear()


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
        await _many(world, 12)
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
        await _many(world, 5)
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
        await _many(world, 20)
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
        await _many(world, 9)
        await asyncio.gather(*(world.push("lance") for _ in range(3)))
        assert set() == world.tickets_out()

    run(scene)


def test_four_pushes_never_send_one_copy_twice() -> None:
    """Together they send each patch once, with no two calls to one list at a time, and all of them end."""

    async def scene() -> None:
        world = World(max_in_flight=3)
        await _many(world, 40)
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


def test_after_a_crash_the_copy_is_looked_at_and_nothing_is_sent_blindly() -> None:
    """A worker was killed with a PATCH in flight: its lease ends, then a read, then a plan."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        door = world.door("lance")
        claims, _ = world.memory.run_now(lambda tx: claim(tx, door, world.rules, 5))
        assert claims[0].patch is not None
        world.put("lance", name="B")  # it arrived
        await world.push("lance")
        assert [] == world.wires["lance"].sent
        world.wait(door.lease_s)
        await world.rest()
        assert ["GET"] == [request.method for request in world.wires["lance"].sent]
        assert (Standing.IN_SYNC, {}, None) == (
            world.copy("lance").standing,
            world.copy("lance").abandoned,
            world.copy("lance").intent,
        )

    run(scene)


def test_a_crash_after_wanted_went_back_is_not_forgotten() -> None:
    """The PATCH in flight is undone meanwhile: the copy is not in sync until its outcome is known."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        door = world.door("lance")
        world.memory.run_now(lambda tx: claim(tx, door, world.rules, 5))
        await edited(world, name="A")
        assert Standing.DUE is world.copy("lance").standing
        world.put("lance", name="B")  # and the dead worker's write lands
        world.wait(door.lease_s)
        await world.rest()
        assert ("A", "A") == (world.shown("lance").fields[NAME], world.shown("crm").fields[NAME])

    run(scene)


def test_a_crash_during_a_read_reads_again() -> None:
    """A killed reader leaves nothing behind but its lease."""

    async def scene() -> None:
        world = World()
        world.put("lance", name="A")
        world.tell("crm", world.put("crm", name="A"), data={"links": {"lance": "1"}})
        await world.intake()
        door = world.door("lance")
        claims, _ = world.memory.run_now(lambda tx: claim(tx, door, world.rules, 5))
        assert claims[0].patch is None
        world.wait(door.lease_s)
        await world.rest()
        assert ["GET"] == [request.method for request in world.wires["lance"].sent]

    run(scene)


@pytest.mark.parametrize("fault", [lost, applied], ids=["lost", "applied"])
def test_an_unclear_write_is_looked_at_first(fault: Any) -> None:
    """Time-out: GET, and only when it was not applied the same value is sent again."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        world.wires["lance"].faults.append(fault)
        await world.push("lance")
        copy = world.copy("lance")
        assert (Waiting.READ_BACK, True, 1) == (copy.waiting, copy.look, copy.tries)
        assert {NAME: Abandoned("B", later(LATE_WRITE_S))} == copy.abandoned
        world.wait(1)
        await world.sync()
        methods = [request.method for request in world.wires["lance"].sent]
        assert (["PATCH", "GET", "PATCH"] if fault is lost else ["PATCH", "GET"]) == methods
        assert ("B", Standing.IN_SYNC) == (world.shown("lance").fields[NAME], world.copy("lance").standing)

    run(scene)


def test_another_value_waits_until_the_unclear_write_can_no_longer_arrive() -> None:
    """The old write may land late and must not land on top of the new value."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        world.wires["lance"].faults.append(lost)
        await world.push("lance")
        await edited(world, name="C")
        world.wait(60)
        await world.sync()
        assert ["PATCH", "GET"] == [request.method for request in world.wires["lance"].sent]
        assert (Waiting.READ_BACK, later(LATE_WRITE_S)) == (world.copy("lance").waiting, world.copy("lance").due_at)
        world.wait(60)
        await world.sync()
        assert [{"name": "B"}, {"name": "C"}] == world.patches("lance")

    run(scene)


def _hangs(held: list[Request]) -> Any:
    async def fault(request: Request, wire: Wire) -> Answer:
        held.append(request)
        return await lost(request, wire)

    return fault


@pytest.mark.parametrize("unversioned", [False, True])
def test_a_late_write_does_not_become_what_is_wanted(unversioned: bool) -> None:  # noqa: FBT001 - a table
    """B hangs, is sent again and answered; C is wanted; B lands at last: C stays wanted everywhere."""

    async def scene() -> None:
        rules = rules_of(lance=remote_rules(1, versioned=not unversioned))
        world = await edited(await linked(World(rules), "crm", "lance"), name="B")
        held: list[Request] = []
        world.wires["lance"].faults.append(_hangs(held))
        await world.push("lance")
        world.wait(1)
        await world.sync()
        assert [{"name": "B"}, {"name": "B"}] == world.patches("lance")
        world.wait(10)
        await edited(world, name="C")
        await world.sync()
        world.wait(30)
        await world.remotes["lance"].wire.exchange(held[0])
        world.tell("lance", world.shown("lance"))
        await world.rest()
        assert ("C", "C") == (world.shown("lance").fields[NAME], world.shown("crm").fields[NAME])

    run(scene)


def test_a_late_write_after_wanted_went_back_is_found() -> None:
    """B hangs, A is wanted again, B lands, and nobody tells: the last look finds it and A is restored."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        held: list[Request] = []
        world.wires["lance"].faults.append(_hangs(held))
        await world.push("lance")
        await edited(world, name="A")
        world.wait(60)
        await world.sync()
        await world.remotes["lance"].wire.exchange(held[0])
        assert "B" == world.shown("lance").fields[NAME]
        await world.rest()
        assert ("A", "A") == (world.shown("lance").fields[NAME], world.shown("crm").fields[NAME])

    run(scene)


def test_late_members_do_not_come_back() -> None:
    """An addition hangs, the member is removed in the CRM, the addition lands: the member stays removed."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", members=["p1"]))
        await world.intake()
        held: list[Request] = []
        world.wires["lance"].faults.append(_hangs(held))
        await world.push("lance")
        crm = world.remotes["crm"].wire
        world.tell("crm", crm.put(replace(crm.lists["1"], members=frozenset())))
        world.wait(10)
        await world.sync()
        await world.remotes["lance"].wire.exchange(held[0])
        world.tell("lance", world.shown("lance"))
        await world.rest()
        assert frozenset() == world.shown("lance").members == world.shown("crm").members

    run(scene)


def test_a_hint_during_a_flight_is_not_lost() -> None:
    """Somebody edits an unversioned remote while we write to it, and tells: the answer does not settle that."""

    async def scene() -> None:
        rules = rules_of(instantly=remote_rules(2, versioned=False))
        world = await edited(await linked(World(rules), "crm", "instantly"), name="B")

        async def overtaken(request: Request, wire: Wire) -> Answer:
            answer = await wire.exchange(request)
            world.tell("instantly", world.put("instantly", name="theirs"))
            await world.intake()
            return answer

        world.wires["instantly"].faults.append(overtaken)
        await world.rest()
        assert ("theirs", "theirs") == (world.shown("crm").fields[NAME], world.shown("instantly").fields[NAME])

    run(scene)


def test_a_hint_during_a_read_is_not_lost() -> None:
    """The same while we read."""

    async def scene() -> None:
        rules = rules_of(instantly=remote_rules(2, versioned=False))
        world = await linked(World(rules), "crm", "instantly")

        async def overtaken(request: Request, wire: Wire) -> Answer:
            answer = await wire.exchange(request)
            world.tell("instantly", world.put("instantly", name="theirs"))
            await world.intake()
            return answer

        world.wires["instantly"].faults.append(overtaken)
        world.tell("instantly", None)
        await world.rest()
        assert "theirs" == world.shown("crm").fields[NAME]

    run(scene)


def test_a_change_during_a_flight_is_sent_after_it() -> None:
    """Wanted moves on while the PATCH is under way: the copy is still due when it has landed."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")

        async def meanwhile(request: Request, wire: Wire) -> Answer:
            await edited(world, name="C")
            return await wire.exchange(request)

        world.wires["lance"].faults.append(meanwhile)
        await world.push("lance")
        assert [{"name": "B"}, {"name": "C"}] == world.patches("lance")
        assert 0 == world.wires["lance"].overlaps

    run(scene)


@pytest.mark.parametrize("policy", [Policy.AUTHORITY, Policy.NEWEST])
@pytest.mark.parametrize("echo", [True, False])
def test_a_second_edit_from_below_during_a_flight_to_the_top_stays(policy: Policy, echo: bool) -> None:  # noqa: FBT001
    """Somebody types B and then C in Instantly while B is on its way to the CRM: C it is, whoever has authority."""

    async def scene() -> None:
        world = await linked(World(rules_of({NAME: policy})), "crm", "instantly")
        await edited(world, "instantly", name="B", members=["p1"])

        async def meanwhile(request: Request, wire: Wire) -> Answer:
            answer = await wire.exchange(request)
            instantly = world.remotes["instantly"].wire
            fields = {**instantly.lists["1"].fields, NAME: "C"}
            world.tell("instantly", instantly.put(replace(instantly.lists["1"], fields=fields, members=frozenset())))
            await world.intake()
            if echo:
                world.tell("crm", world.shown("crm"))
                await world.intake()
            return answer

        world.wires["crm"].faults.append(meanwhile)
        await world.rest()
        assert ["C", "C"] == [world.shown(remote).fields[NAME] for remote in ("crm", "instantly")]
        assert frozenset() == world.shown("crm").members == world.shown("instantly").members

    run(scene)


def test_a_field_that_is_ignored_is_parked() -> None:
    """200 and the old value: sent once, then a person is told which field and what to do."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")

        async def ignores(request: Request, wire: Wire) -> Answer:
            return await wire.exchange(replace(request, method="GET", body=None))

        world.wires["lance"].faults.append(ignores)
        await world.rest()
        copy = world.copy("lance")
        assert (1, Standing.PARKED) == (len(world.patches("lance")), copy.standing)
        assert copy.parked is not None
        assert "field ignored by lance: name (answered well, kept the old value)" == copy.parked.cause
        await edited(world, name="C")
        await world.rest()
        assert ("C", Standing.IN_SYNC) == (world.shown("lance").fields[NAME], world.copy("lance").standing)

    run(scene)


def _respelling(world: World, spell: Callable[[str], str]) -> None:
    """From now on lance stores names its own way."""
    wire = world.remotes["lance"].wire
    put = wire.put

    def respelled(shown: Shown) -> Shown:
        return put(replace(shown, fields={**shown.fields, NAME: spell(str(shown.fields[NAME]))}))

    wire.put = respelled  # type: ignore[method-assign]


@pytest.mark.parametrize(
    ("wanted", "spell"), [(" B c ", str.strip), ("B" * 300, lambda t: t[:255]), ("BcD", str.lower)]
)
def test_a_remotes_own_spelling_is_learned(wanted: str, spell: Callable[[str], str]) -> None:
    """Trimmed, cut or re-cased: one PATCH, in sync, and the CRM keeps its own."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        _respelling(world, spell)
        await edited(world, name=wanted)
        await world.rest()
        assert ([{"name": wanted}], []) == (world.patches("lance"), world.patches("crm"))
        assert {NAME: Spelling(wanted, spell(wanted))} == world.copy("lance").spelling
        assert Standing.IN_SYNC is world.copy("lance").standing

    run(scene)


def test_an_unlikely_spelling_is_believed_the_second_time() -> None:
    """Another text altogether might be a person's edit; the same answer twice is not."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        _respelling(world, lambda text: text.replace("&", "and"))
        await edited(world, name="B & C")
        await world.rest()
        assert [{"name": "B & C"}, {"name": "B & C"}] == world.patches("lance")
        assert {NAME: Spelling("B & C", "B and C")} == world.copy("lance").spelling
        assert (Standing.IN_SYNC, "B & C") == (world.copy("lance").standing, world.wanted()["name"])

    run(scene)


def test_a_spelling_is_also_learned_from_a_read_back() -> None:
    """The answer was lost; the read shows our value in the remote's spelling: done, not sent again, not parked."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        _respelling(world, str.strip)
        await edited(world, name=" B ")
        world.wires["lance"].faults.append(applied)
        await world.rest()
        assert [{"name": " B "}] == world.patches("lance")
        assert (Standing.IN_SYNC, " B ") == (world.copy("lance").standing, world.wanted()["name"])

    run(scene)


def test_a_cut_seen_in_a_read_back_is_believed_the_second_time() -> None:
    """The beginning of our text might be a person's edit made meanwhile: sent once more, then learned."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        _respelling(world, lambda text: text[:5])
        await edited(world, name="Spring fair")
        world.wires["lance"].faults.append(applied)
        await world.rest()
        assert 2 == len(world.patches("lance"))
        assert ({NAME: Spelling("Spring fair", "Sprin")}, Standing.IN_SYNC) == (
            world.copy("lance").spelling,
            world.copy("lance").standing,
        )

    run(scene)


def test_a_write_that_always_fails_slows_down() -> None:
    """Reads in between work: the failures still count, so that it is not repeated at full speed for ever."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")

        async def fails(request: Request, wire: Wire) -> Answer:
            return await (answers(500)(request, wire) if request.writes else wire.exchange(request))

        world.wires["lance"].faults.extend([fails] * 1000)
        for _ in range(3600):
            await world.sync()
            world.wait(1)
        assert 40 > len(world.patches("lance")) > 10

    run(scene)


def test_a_write_whose_answer_shows_nothing_is_looked_at() -> None:
    """204 without a body: a read shows whether it was done."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")

        async def silent(request: Request, wire: Wire) -> Answer:
            await wire.exchange(request)
            return Answer(status=204)

        world.wires["lance"].faults.append(silent)
        await world.rest()
        assert ["PATCH", "GET"] == [request.method for request in world.wires["lance"].sent]
        assert Standing.IN_SYNC is world.copy("lance").standing

    run(scene)


def test_a_stale_read_is_not_believed() -> None:
    """A replica that lags behind what we have seen: read again, and nothing is undone."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        old = world.shown("lance")
        await edited(world, "lance", name="B")
        await world.sync()

        async def lags(request: Request, wire: Wire) -> Answer:
            assert isinstance(wire, MemoryWire)
            new, wire.lists["1"] = wire.lists["1"], old
            try:
                return await wire.exchange(request)
            finally:
                wire.lists["1"] = new

        world.wires["lance"].faults.append(lags)
        world.tell("lance", None)
        await world.rest()
        assert ("B", "B") == (world.shown("crm").fields[NAME], world.wanted()["name"])
        assert 2 == len(world.wires["lance"].sent)

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
