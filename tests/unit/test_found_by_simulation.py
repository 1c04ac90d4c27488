"""Bugs that random histories found, each as short as it can be told; docs/guarantees.md says how they are played."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.lead_list import PENDING, Abandoned, Copy, Field, LeadList, Standing
from tests.support.heart import copy_of, later, list_of, remote_rules, rules_of
from tests.support.world import LATE_WRITE_S, World, answers, edited, linked, lost, run
from worker.engine.join import join
from worker.remotes.base import Answer, Request, Wire

NAME, OWNER = Field.NAME, Field.OWNER


def test_a_create_that_may_have_been_done_outlives_a_join() -> None:
    """Two lists turn out to be one; the create whose answer was lost is remembered, or it would be sent again."""
    lost = Copy(remote="lance", remote_id=f"{PENDING}2", abandoned={NAME: Abandoned("A", later(60))})
    fresh = Copy(remote="lance", remote_id=f"{PENDING}1")
    one = replace(list_of(copy_of("crm", {NAME: "A"}), fresh, wanted={NAME: "A"}), id=1)
    other = replace(list_of(copy_of("instantly", {NAME: "A"}), lost, wanted={NAME: "A"}), id=2)
    for kept, gone in ((one, other), (other, one)):
        assert lost == join(kept, gone, rules_of()).lead_list.copies["lance"]


def test_a_list_that_exists_makes_a_pending_one_needless() -> None:
    """On whichever of the two sides it is."""
    pending, real = Copy(remote="lance", remote_id=f"{PENDING}1"), copy_of("lance", {NAME: "A"})
    one: LeadList = list_of(copy_of("crm", {NAME: "A"}), pending, wanted={NAME: "A"})
    other = list_of(copy_of("instantly", {NAME: "A"}), real, wanted={NAME: "A"})
    for kept, gone in ((one, other), (other, one)):
        assert real == join(kept, gone, rules_of()).lead_list.copies["lance"]


def test_what_changes_while_another_field_is_ignored_is_sent() -> None:
    """Parked is only the patch that the remote ignored; what is wanted since then is another one."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", owner="u1"))
        world.tell("lance", world.put("lance", owner="u1"))
        await world.rest()

        async def ignoring(request: Request, wire: Wire) -> Answer:
            world.tell("crm", world.put("crm", name="B"))
            await world.intake()
            shown = await wire.exchange(Request(method="GET", path=request.path))
            return Answer(status=200, body=shown.body)

        world.wires["lance"].faults.append(ignoring)
        await edited(world, owner="u2")
        await world.sync()
        assert "B" == world.shown("lance").fields[NAME]

    run(scene)


def test_what_a_remote_ignores_when_it_makes_a_list_is_no_edit() -> None:
    """It is told again, and the CRM keeps its value."""

    async def scene() -> None:
        rules = rules_of(instantly=replace(remote_rules(2), creates=True))
        world = World(rules)
        for remote in rules.remotes:
            await world.scan(remote)

        async def without_owner(request: Request, wire: Wire) -> Answer:
            body = {**request.body, "owner": None}
            return await wire.exchange(replace(request, body=body))

        world.tell("crm", world.put("crm", name="A", owner="u1"))
        await world.intake()
        world.wires["instantly"].faults.append(without_owner)
        await world.rest()
        assert "u1" == world.wanted()["owner"]
        [made] = world.remotes["instantly"].wire.lists.values()
        assert "u1" == made.fields[OWNER]

    run(scene)


def test_an_edit_on_a_parked_copy_is_read() -> None:
    """It cannot be told something; what people do there counts all the same."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        for remote in ("crm", "lance"):
            world.tell(remote, world.put(remote, owner="u1"))
        await world.rest()
        world.wires["lance"].faults.append(answers(422))
        await edited(world, name="B")
        await world.sync()
        assert Standing.PARKED is world.copy("lance").standing
        world.put("lance", owner="u2")
        world.tell("lance", None, "1")
        world.wires["lance"].faults.extend([None, answers(422)])
        await world.sync()
        assert "u2" == world.wanted()["owner"]
        assert (Standing.PARKED, 1) == (world.copy("lance").standing, len(world.patches("lance")))

    run(scene)


def test_members_that_are_refused_in_part_are_not_told_again_and_again() -> None:
    """What does not fit into one call was refused with the part that did: the same once more is no other chance."""

    async def scene() -> None:
        world = await linked(World(rules_of(lance=replace(remote_rules(1), members_at_once=1))), "crm", "lance")
        world.wires["lance"].faults.extend([answers(422)] * 5)
        world.tell("crm", world.put("crm", members=["ann", "ben"]))
        await world.sync()
        assert (Standing.PARKED, 1) == (world.copy("lance").standing, len(world.patches("lance")))

    run(scene)


async def _landed_unseen(**patched: Any) -> World:
    """A patch of Lance arrives late, inside its window, and nobody looks before another event is taken in after it."""
    world = await linked(World(), "crm", "lance")
    world.wires["lance"].faults.append(lost)
    world.tell("crm", world.put("crm", **patched))
    await world.intake()
    await world.push("lance")
    world.wait(LATE_WRITE_S / 2)
    await world.push("lance")  # it is read, and not there yet
    world.put("lance", **patched)
    world.wait(2 * LATE_WRITE_S)
    world.tell("crm", world.put("crm", owner="u9"), data={"fields": {"owner": "u9"}})
    await world.intake()
    return world


def test_a_late_write_of_members_that_nobody_saw_land_is_ours_still() -> None:
    """It was wanted when its time was over. When it is seen, people have removed the member again, before it landed:
    it came back.
    """

    async def scene() -> None:
        world = await _landed_unseen(members=["m8"])
        world.remotes["crm"].wire.lists["1"] = replace(world.shown("crm"), members=frozenset())
        world.tell("crm", world.shown("crm"), data={"members_removed": ["m8"]}, time=later(LATE_WRITE_S / 4))
        await world.intake()
        await world.scan("lance")
        await world.rest()
        assert [frozenset()] * 2 == [world.shown(on).members for on in ("crm", "lance")]

    run(scene)
