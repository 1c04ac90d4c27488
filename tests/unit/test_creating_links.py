"""Creating beside links, unlinking and events; and anything at any time, from seeds."""

from __future__ import annotations

import random

import pytest

from models.lead_list import Standing
from models.observation import Shown
from tests.support.creating import (
    NAME,
    all_create,
    appears,
    creating,
    meanwhile,
    names,
    pending,
    posts,
    scanned,
    wait_out,
)
from tests.support.world import Fault, World, answers, applied, lost, reasons, run
from worker.engine.rules import OnGone
from worker.errors import NotPossible
from worker.sync import operate


def test_a_link_event_before_the_create_takes_its_place() -> None:
    """The sender knows the list there."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        world.put("lance", "l1", name="Berlin")
        world.tell("crm", world.put("crm"), data={"links": {"lance": "l1"}})
        await world.intake()
        for remote in world.remotes:
            await world.scan(remote)
        world.wait(60)
        await world.rest()
        assert posts(world, "lance") == []
        assert world.list_of("lance", "l1").id == world.list_of().id

    run(scene)


def test_a_link_event_after_a_lost_create_settles_it() -> None:
    """It says which one it is, before any scan does."""

    async def scene() -> None:
        world = await scanned()
        world.wires["lance"].faults.append(applied)
        await appears(world)
        await world.sync()
        world.tell("crm", world.put("crm"), data={"links": {"lance": "new-1"}})
        await world.rest()
        assert (len(posts(world, "lance")), names(world, "lance")) == (1, ["Berlin"])
        assert pending(world, "lance").remote_id == "new-1"

    run(scene)


def test_a_link_while_the_create_is_in_flight_is_not_taken() -> None:
    """It would be the second one; the event is kept, and the command says why."""

    async def scene() -> None:
        world = await scanned()

        async def link() -> None:
            world.tell("crm", world.put("crm"), data={"links": {"lance": "other"}})
            await world.intake()
            with pytest.raises(NotPossible, match="being created on lance"):
                await operate.link(world.store, world.rules, [("crm", "1"), ("lance", "other")])
            with pytest.raises(NotPossible, match="being created on lance"):
                await operate.unlink(world.store, world.rules, ("lance", f"pending:{world.list_of().id}"))

        world.wires["lance"].faults.append(meanwhile(link))
        await appears(world)
        await world.rest()
        assert reasons(world) == ["data.links.lance: a list is being created there just now; retry it afterwards"]
        assert pending(world, "lance").remote_id == "new-1"

    run(scene)


@pytest.mark.parametrize("early", [True, False])
def test_events_of_the_new_list_are_news_of_it(early: bool) -> None:  # noqa: FBT001 - a case
    """Before the answer of the create, or right after it: one list, and edits there count."""

    async def scene() -> None:
        world = await scanned(all_create())

        async def event() -> None:
            world.tell("lance", world.shown("lance", "new-1"))
            await world.intake()
            await world.push("crm")
            await world.push("instantly")

        if early:
            world.wires["lance"].faults.append(meanwhile(event))
        await appears(world)
        await world.rest()
        world.tell("lance", world.put("lance", "new-1", name="Berlin CTOs"))
        await world.rest()
        assert [names(world, remote) for remote in world.remotes] == [["Berlin CTOs"]] * 3
        assert len(world.memory.tables.lists) == 1

    run(scene)


def test_an_id_that_looks_pending_is_refused() -> None:
    """Nobody may speak for a list that is not there yet."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        number = world.list_of().id
        world.tell("lance", Shown(remote_id=f"pending:{number}", fields={NAME: "x"}, version=world.now))
        await world.intake()
        assert "expected an id of the remote's own" in reasons(world)[0]
        with pytest.raises(NotPossible, match="not there yet"):
            await operate.link(world.store, world.rules, [("crm", "1"), ("lance", f"pending:{number}")])

    run(scene)


def test_unlinking_the_only_real_copy_ends_what_was_to_be_created() -> None:
    """A list that is nowhere is created nowhere."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        await operate.unlink(world.store, world.rules, ("crm", "1"))
        assert [copy.remote_id for copy in world.copies()] == ["1"]
        await world.scan("crm")
        await world.rest()
        assert [copy.remote_id for copy in world.copies()] == ["1"]

    run(scene)


def test_a_list_that_was_unlinked_is_brought_back_nowhere() -> None:
    """The next scan meets it again, on a remote whose lists are created elsewhere; both go on by themselves."""

    async def scene() -> None:
        world = await scanned()
        await appears(world)
        await world.rest()
        before = {remote: set(world.remotes[remote].wire.lists) for remote in world.remotes}
        await operate.unlink(world.store, world.rules, ("crm", "1"))
        for remote in world.remotes:
            world.wait(10)
            await world.scan(remote)
            await world.rest()
        assert {remote: set(world.remotes[remote].wire.lists) for remote in world.remotes} == before
        assert set(world.list_of("crm", "1").copies) == {"crm"}

    run(scene)


def test_what_was_unlinked_is_not_created_again_until_it_is_linked() -> None:
    """Neither by an event nor by a scan."""

    async def scene() -> None:
        world = await scanned()
        await appears(world)
        await world.rest()
        await operate.unlink(world.store, world.rules, ("lance", "new-1"))
        world.tell("crm", world.put("crm", enrichment=True))
        await world.rest()
        await world.scan("lance")
        world.wait(60)
        await world.rest()
        assert names(world, "lance") == names(world, "instantly") == ["Berlin"]
        world.tell("crm", world.put("crm", name="Berlin 2026"))
        await operate.link(world.store, world.rules, [("crm", "1"), ("lance", "new-1")])
        await world.rest()
        assert names(world, "lance") == ["Berlin 2026"]
        assert world.list_of().apart == frozenset()

    run(scene)


# -- anything at any time

FAULTS: list[Fault | None] = [None, None, None, lost, applied, answers(500), answers(503), answers(429)]


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_each_list_is_at_most_once_on_each_remote(seed: int) -> None:
    """Lists appear and are renamed, calls fail, scans come in between; afterwards everything is there, once."""

    async def scene() -> None:
        chance = random.Random(seed)
        world = await scanned(all_create(on_gone=OnGone.HOLD))
        for number in range(8):
            for wire in world.wires.values():
                wire.faults.extend(chance.choices(FAULTS, k=3))
            await appears(world, str(number), name=f"list {number % 6}")
            await world.push(chance.choice(list(world.remotes)))
            if chance.random() < 0.5:
                await world.scan(chance.choice(list(world.remotes)))
            if chance.random() < 0.3:
                world.tell("crm", world.put("crm", str(number), name=f"renamed {number}"))
                await world.intake()
            world.wait(chance.choice([1, 10, 100]))
            _at_most_once(world)
        for wire in world.wires.values():
            wire.faults.clear()
        for _ in range(4):
            for remote in world.remotes:
                await wait_out(world, remote)
            _at_most_once(world)
        await world.rest()
        stuck = {copy.parked.cause for copy in world.copies() if copy.parked}
        assert {copy.standing for copy in world.copies()} == {Standing.IN_SYNC}, stuck
        assert names(world, "crm") == names(world, "lance") == names(world, "instantly")

    run(scene)


def _at_most_once(world: World) -> None:
    """As many lists as the CRM has, or fewer; each of them known as one."""
    for remote in ("lance", "instantly"):
        assert len(world.remotes[remote].wire.lists) <= len(world.remotes["crm"].wire.lists), remote
