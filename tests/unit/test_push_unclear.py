"""Push when calls, workers and news cross each other: nothing is sent blindly, nothing is lost, nothing comes back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.lead_list import Abandoned, Field, Standing, Waiting
from tests.support.heart import later, remote_rules, rules_of
from tests.support.world import LATE_WRITE_S, World, answers, applied, edited, linked, lost, run
from worker.engine.rules import Policy
from worker.remotes.base import Answer, Request, Wire
from worker.remotes.memory import MemoryWire
from worker.sync.push import claim

NAME = Field.NAME


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
def test_a_second_edit_from_below_during_a_flight_to_the_top_stays(policy: Policy, *, echo: bool) -> None:
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


def test_when_one_of_two_lost_writes_has_landed_the_other_may_still_land() -> None:
    """Both were of the same value; another value waits until the second can no longer arrive (seed 743)."""

    async def scene() -> None:
        world = await edited(await linked(World(), "crm", "lance"), name="B")
        world.wires["lance"].faults.extend([lost, None, applied])
        await world.push("lance")
        world.wait(10)
        await world.push("lance")  # reads: not there; writes again, and hears nothing
        world.wait(10)
        await world.push("lance")
        assert world.shown("lance").fields[Field.NAME] == "B"
        assert world.patches("lance") == [{"name": "B"}] * 2
        await edited(world, name="C")
        await world.push("lance")
        assert world.patches("lance") == [{"name": "B"}] * 2
        world.put("lance", name="B")  # the first one lands after all
        world.wait(LATE_WRITE_S)
        await world.rest()
        assert world.patches("lance") == [{"name": "B"}, {"name": "B"}, {"name": "C"}]
        assert world.wanted()["name"] == "C"

    run(scene)
