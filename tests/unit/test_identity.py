"""Identity: members that every side calls by another id are the same members, and none is dropped in silence."""

from __future__ import annotations

from models.lead_list import Standing
from models.patch import Reason
from tests.support.members import adds_up, excluded, linked_strangers, person, there, told
from tests.support.world import World, run
from worker.engine.plan import plan
from worker.remotes.base import Answer, Request, Wire


def standings(world: World) -> dict[str, Standing]:
    """How each copy stands."""
    return {copy.remote: copy.standing for copy in world.copies()}


def test_each_remote_is_told_of_members_by_its_own_ids() -> None:
    """The CRM's event says who they are; Lance gets its ids, Instantly addresses in one spelling."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, added=[person(1), person(2)])
        await world.rest()
        assert {"l1", "l2"} == there(world, "lance")
        assert {"fake1@example.com", "fake2@example.com"} == there(world, "instantly")
        assert {"p1", "p2"} == there(world, "crm")
        assert {Standing.IN_SYNC} == set(standings(world).values())
        adds_up(world.list_of())

    run(scene)


def test_members_that_a_remote_does_not_know_are_excluded_there() -> None:
    """With the reason, counted, and the others flow."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, added=[person(1), person(2, email=None), {"id": "p3", "email": "fake3@example.com"}])
        await world.rest()
        assert {"l1", "l2"} == there(world, "lance")
        assert {"p3": "no id on lance is known"} == excluded(world, "lance")
        assert {"p2": "no e-mail address of its own is known"} == excluded(world, "instantly")
        assert (1, 1) == (world.copy("lance").excluded, world.copy("instantly").excluded)
        expected = {"crm": Standing.IN_SYNC, "lance": Standing.EXCLUDED, "instantly": Standing.EXCLUDED}
        assert expected == standings(world)
        planned = plan(world.list_of(), world.copy("lance"), world.rules.remotes["lance"], world.now)
        assert Reason.EXCLUDED in planned.reasons.values()
        assert not planned.patch
        adds_up(world.list_of())

    run(scene)


def test_an_identity_that_arrives_lets_its_member_flow() -> None:
    """An event about another list is enough; nothing else is sent again."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, added=[person(1), "p2"])
        await world.rest()
        world.wires["lance"].sent.clear()
        other = world.put("crm", "9", name="Another")
        world.tell("crm", other, data={"fields": {}, "members_removed": [person(2)]})
        await world.rest()
        assert [{"members_added": ["l2"]}] == world.patches("lance")
        assert {"fake1@example.com", "fake2@example.com"} == there(world, "instantly")
        assert {Standing.IN_SYNC} == set(standings(world).values())
        adds_up(world.list_of())

    run(scene)


def test_a_stranger_flows_where_it_can_and_waits_where_it_cannot() -> None:
    """Somebody adds a person on Lance that the CRM does not know: it is wanted, and the CRM is not told."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, "lance", added=[{"id": "l9", "email": "fake9@example.com"}])
        await world.rest()
        assert {"~lance:l9": "no id on crm is known"} == excluded(world, "crm")
        assert {"fake9@example.com"} == there(world, "instantly")
        assert set() == there(world, "crm")
        adds_up(world.list_of())

    run(scene)


def test_a_stranger_that_the_crm_names_is_no_stranger_any_more() -> None:
    """Its rows become those of the CRM's key; nothing is added or removed anywhere."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, "lance", added=["l9"])
        await world.rest()
        for wire in world.wires.values():
            wire.sent.clear()
        await told(world, added=[{"id": "p9", "ids": {"lance": "l9"}}])
        await world.rest()
        assert {"p9"} == set(world.list_of().members)
        assert {"l9"} == there(world, "lance")
        assert [[], []] == [world.patches("lance"), world.patches("crm")]
        assert 0 == world.copy("crm").excluded
        adds_up(world.list_of())

    run(scene)


def test_a_stranger_may_be_named_while_it_is_on_its_way() -> None:
    """The answer that comes afterwards is of the member that it is now: nothing is sent twice."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, "lance", added=[{"id": "l9", "email": "fake9@example.com"}])

        async def named_meanwhile(request: Request, wire: Wire) -> Answer:
            await told(world, added=[{"id": "p9", "ids": {"lance": "l9"}}])
            return await wire.exchange(request)

        world.wires["instantly"].faults.append(named_meanwhile)
        await world.rest()
        assert {"p9"} == set(world.list_of().members)
        assert [{"members_added": ["fake9@example.com"]}] == world.patches("instantly")
        assert {Standing.IN_SYNC} == set(standings(world).values())
        adds_up(world.list_of())

    run(scene)


def test_people_are_matched_by_their_address() -> None:
    """A lead that Instantly had first, and a person of the CRM with that address, are one."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, "instantly", added=["fake1@example.com"])
        await world.rest()
        await world.scan("instantly")  # its events are only hints
        await world.rest()
        [key] = world.list_of().members
        assert key.startswith("~instantly:")
        assert "fake1" not in key
        await told(world, added=[person(1)])
        await world.rest()
        assert {"p1"} == set(world.list_of().members)
        assert ({"l1"}, {"fake1@example.com"}) == (there(world, "lance"), there(world, "instantly"))
        adds_up(world.list_of())

    run(scene)


def test_who_has_a_new_address_is_still_known_by_the_old_one() -> None:
    """Instantly cannot change addresses: the old lead stays that member, and goes when the member goes."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, added=[person(1)])
        await world.rest()
        await told(world, added=[person(1, email="new.fake1@example.com"), person(2)])
        await world.rest()
        assert {"fake1@example.com", "fake2@example.com"} == there(world, "instantly")
        assert (await world.scan("instantly")).drift == 0
        await told(world, removed=["p1"])
        await world.rest()
        assert {"fake2@example.com"} == there(world, "instantly")
        adds_up(world.list_of())

    run(scene)


def test_an_id_belongs_to_whom_it_was_given_first() -> None:
    """Two people of the CRM with one address: the second is excluded where addresses count, not mixed up."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, added=[person(1)])
        await told(world, added=[{"id": "p2", "email": "fake1@example.com"}])
        await world.rest()
        assert {"fake1@example.com"} == there(world, "instantly")
        assert {"p2": "no e-mail address of its own is known"} == excluded(world, "instantly")
        await told(world, removed=["p2"])
        await world.rest()
        assert {"fake1@example.com"} == there(world, "instantly")
        assert {} == excluded(world, "instantly")
        adds_up(world.list_of())

    run(scene)


def test_two_people_who_share_an_address_stay_two() -> None:
    """Lance shows both with one address: only the first is taken for the CRM's person of that address."""

    async def scene() -> None:
        world = await linked_strangers("crm", "lance")
        await told(world, added=[{"id": "p1", "email": "office@example.com"}])
        shared = [{"id": one, "email": "office@example.com"} for one in ("l1", "l2")]
        await told(world, "lance", added=shared)
        await world.rest()
        assert {"p1", "~lance:l2"} == set(world.list_of().members)
        await told(world, removed=["p1"])
        await world.rest()
        assert {"l2"} == there(world, "lance")
        adds_up(world.list_of())

    run(scene)


def test_a_member_that_is_no_longer_wanted_is_no_longer_excluded() -> None:
    """The count goes down with it, and the copy is in sync."""

    async def scene() -> None:
        world = await linked_strangers("crm", "lance")
        await told(world, added=["p1"])
        await world.rest()
        assert 1 == world.copy("lance").excluded
        await told(world, removed=["p1"])
        await world.rest()
        assert 0 == world.copy("lance").excluded
        assert Standing.IN_SYNC is world.copy("lance").standing
        adds_up(world.list_of())

    run(scene)
