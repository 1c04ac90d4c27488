"""What copies keep about their members is checked against the rows, and mended; many enrichments wait for a person."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from models.lead_list import Field, Standing, Tally, Waiting, with_copy
from tests.support.members import adds_up, linked_strangers, person, strangers, there, told
from tests.support.world import TestClock, World, linked, run
from worker.engine.plan import offered, signature
from worker.sync.upkeep import check


def test_a_wrong_count_is_found_and_mended() -> None:
    """Of members that are shown, and of those that are excluded."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, added=[person(1), "p2"])
        await world.rest()
        before = world.list_of()
        wrong = replace(before.copies["lance"], tally=Tally(7, 7), excluded=5)
        world.memory.tables.lists[before.id] = with_copy(before, wrong)
        found = await check(world.store, world.rules, TestClock(), after=0, settled=True)
        assert 1 == found.mismatches
        adds_up(world.list_of())
        assert before.copies["lance"].tally == world.copy("lance").tally
        again = await check(world.store, world.rules, TestClock(), after=0, settled=True)
        assert 0 == again.mismatches

    run(scene)


def enriching(at_once: int | None) -> World:
    """Adding members to Instantly's list may cost money."""
    rules = strangers()
    instantly = replace(rules.remotes["instantly"], enrich_at_once=at_once)
    return World(replace(rules, remotes={**rules.remotes, "instantly": instantly}))


@pytest.mark.parametrize(("enrichment", "at_once"), [(False, 2), (None, 2), (True, 3), (True, None)])
def test_members_flow_where_enrichment_costs_nothing(enrichment: bool | None, at_once: int | None) -> None:  # noqa: FBT001 - a parameter of the test
    """It is off, or they are few, or settings allow any number."""

    async def scene() -> None:
        world = await linked(enriching(at_once), "crm", "instantly")
        await told_of_three(world, enrichment=enrichment)
        await world.rest()
        assert 3 == len(there(world, "instantly"))

    run(scene)


async def told_of_three(world: World, *, enrichment: bool | None) -> None:
    """Instantly's list shows this, and then the CRM adds three people."""
    world.tell("instantly", world.put("instantly", enrichment=enrichment))
    await world.rest()
    await told(world, added=[person(1), person(2), person(3)])


def test_many_enrichments_wait_until_a_person_lets_them_through() -> None:
    """Held with the word of the brake; what a person approves is sent, and nothing else."""

    async def scene() -> None:
        world = await linked(enriching(2), "crm", "instantly")
        await told_of_three(world, enrichment=True)
        await world.sync()
        copy = world.copy("instantly")
        assert (Standing.DUE, Waiting.BRAKE, None) == (copy.standing, copy.waiting, copy.due_at)
        assert set() == there(world, "instantly")
        lead_list = world.list_of()
        patch = offered(lead_list, copy, world.rules.remotes["instantly"], world.now)
        assert 3 == len(patch.add)
        approved = replace(copy, approved=signature(copy, patch), due_at=world.now)
        world.memory.tables.lists[lead_list.id] = with_copy(lead_list, approved)
        await world.sync()
        assert 3 == len(there(world, "instantly"))
        assert Field.MEMBERS in world.copy("instantly").seen

    run(scene)


def test_people_may_be_learned_before_any_list_is_known() -> None:
    """Nothing to move on, and nobody is told of anything."""
    asyncio.run(_learned())


async def _learned() -> None:
    world = World(strangers())
    world.tell("crm", world.put("crm", name="A"), data={"fields": {}, "members_removed": [person(1)]})
    await world.intake()
    assert {"p1"} == set(world.memory.tables.identities.values())
