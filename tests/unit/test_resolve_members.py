"""What people decide about removals of members that the brake stopped, and what comes after it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from models.lead_list import Field, LeadList, Standing, Waiting
from models.ledger import ChangeKind
from models.observation import MembersSeen
from tests.support.heart import (
    agreed_list,
    delta,
    later,
    observation,
    remote_rules,
    rules_of,
    shown_set,
    whole,
    with_members,
)
from tests.support.world import World, linked, run
from worker.engine.observe import observe
from worker.engine.plan import restand
from worker.engine.rules import Direction
from worker.ports import Tx
from worker.store.memory import MemoryStore
from worker.sync.resolve import WANTED, HeldField, Resolved, resolve

MEMBERS: HeldField = (("crm", "1"), Field.MEMBERS)


async def decided(world: World, use: str) -> Resolved:
    """A person decides, and everything comes to rest."""
    world.wait(5)
    resolved = await resolve(world.store, world.rules, [MEMBERS], use=use)
    await world.rest()
    return resolved


def people(count: int, start: int = 0) -> tuple[str, ...]:
    """So many members."""
    return tuple(f"p{number:03}" for number in range(start, start + count))


async def braked() -> World:
    """Of twenty members on CRM and Lance, fifteen vanish from Lance."""
    world = await linked(World(rules_of()), "crm", "lance")
    world.wait(10)
    world.tell("crm", world.put("crm", members=people(20)))
    await world.rest()
    world.wait(10)
    emptied = replace(world.shown("lance"), members=frozenset(people(5)))
    world.tell("lance", world.remotes["lance"].wire.put(emptied))
    await world.rest()
    copy = world.copy("lance")
    assert (Standing.DUE, Waiting.BRAKE) == (copy.standing, copy.waiting)
    assert 20 == len(world.shown("crm").members or ())
    return world


@pytest.mark.parametrize(("use", "left"), [("lance", 5), (WANTED, 20), ("crm", 20)])
def test_a_braked_removal_is_released_or_refused(use: str, left: int) -> None:
    """Released, it goes everywhere; refused, the members are put back where they are missing."""

    async def scene() -> None:
        world = await braked()
        assert 1 == (await decided(world, use)).fields
        assert [frozenset(people(left))] * 2 == [world.shown(remote).members for remote in ("crm", "lance")]
        assert {Standing.IN_SYNC} == {copy.standing for copy in world.copies()}
        change = world.memory.tables.changes[-1][1]
        assert (ChangeKind.RESOLVED, list(people(20 - left, left)), []) == (change.kind, change.old, change.new)

    run(scene)


@pytest.mark.parametrize(("use", "left"), [("lance", 5), (WANTED, 20)])
def test_echoes_after_a_decision_about_members_change_nothing(use: str, left: int) -> None:
    """What Lance said before is told again, before our patch and after it; the brake does not bite our own removal."""

    async def scene() -> None:
        world = await braked()
        again = world.event("lance", world.shown("lance"))
        world.wait(5)
        await resolve(world.store, world.rules, [MEMBERS], use=use)
        world.log.add(again)
        await world.rest()
        sent = [len(world.patches(remote)) for remote in ("crm", "lance")]
        world.log.add(again)
        for remote in ("crm", "lance"):
            world.tell(remote, world.shown(remote))
        await world.rest()

        assert [frozenset(people(left))] * 2 == [world.shown(remote).members for remote in ("crm", "lance")]
        assert sent == [len(world.patches(remote)) for remote in ("crm", "lance")]
        assert not any(copy.held for copy in world.copies())

    run(scene)


def test_members_that_the_remote_was_never_told_of_stay() -> None:
    """What the CRM gained while the removal was held is no part of it."""

    async def scene() -> None:
        world = await braked()
        world.tell("crm", world.put("crm", members=["new"]))
        await world.rest()
        await decided(world, "lance")
        assert [frozenset({*people(5), "new"})] * 2 == [world.shown(remote).members for remote in ("crm", "lance")]

    run(scene)


@pytest.mark.parametrize("news", [whole(*people(5)), delta((), people(15, 5))])
def test_one_decision_is_for_all_copies_that_hold_it(news: MembersSeen) -> None:
    """Both sides removed the same: one answer lets both go on."""
    before = with_members(
        agreed_list("crm", "lance", "instantly", name="A"), *people(20), shown_by=("crm", "lance", "instantly")
    )
    rules = rules_of()
    for remote in ("crm", "lance"):
        before = observe(before, observation(remote, 5, members=news), rules).lead_list
    store = MemoryStore(lambda: later(60))
    number = _put(store, restand(before, rules, later(60)))
    resolved = asyncio.run(resolve(store, rules, [(("lance", "lance-1"), Field.MEMBERS)], use="crm"))
    after = store.tables.lists[number]

    assert Resolved(1, frozenset({"instantly"})) == resolved
    assert frozenset(people(5)) == {name for name, member in after.members.items() if member.wanted}
    assert [Standing.IN_SYNC, Standing.IN_SYNC] == [after.copies[name].standing for name in ("crm", "lance")]
    assert frozenset(people(5)) == shown_set(after.members, "crm")


@pytest.mark.parametrize(("use", "left"), [(WANTED, 20), ("lance", 35), ("crm", 20)])
def test_strangers_where_edits_do_not_count_are_kept_or_removed(use: str, left: int) -> None:
    """Fifteen members that nobody wants are found on Lance when it is linked: a person says what becomes of them."""

    async def scene() -> None:
        world = World(rules_of(lance=remote_rules(1, directions={Field.MEMBERS: Direction.PUSH})))
        world.put("lance", name="A", members=people(35))
        world.tell("crm", world.put("crm", name="A", members=people(20)), data={"links": {"lance": "1"}})
        await world.rest()
        assert Waiting.BRAKE is world.copy("lance").waiting
        assert 35 == len(world.shown("lance").members or ())
        await decided(world, use)
        assert [left, left] == [len(world.shown(remote).members or ()) for remote in ("crm", "lance")]
        assert {Standing.IN_SYNC} == {copy.standing for copy in world.copies()}

    run(scene)


@pytest.mark.parametrize(("use", "crm"), [(WANTED, 20), ("lance", 5)])
def test_a_removal_where_nothing_is_written_is_released_or_refused(use: str, crm: int) -> None:
    """Refused, the two differ: that is what the direction says."""

    async def scene() -> None:
        world = await linked(
            World(rules_of(lance=remote_rules(1, directions={Field.MEMBERS: Direction.PULL}))), "crm", "lance"
        )
        for remote in ("crm", "lance"):
            world.wait(10)
            world.tell(remote, world.put(remote, members=people(20)))
        await world.rest()
        world.wait(10)
        emptied = replace(world.shown("lance"), members=frozenset(people(5)))
        world.tell("lance", world.remotes["lance"].wire.put(emptied))
        await world.rest()
        assert Waiting.BRAKE is world.copy("lance").waiting
        await decided(world, use)
        assert [crm, 5] == [len(world.shown(remote).members or ()) for remote in ("crm", "lance")]
        assert {Standing.IN_SYNC} == {copy.standing for copy in world.copies()}
        assert not any(copy.held for copy in world.copies())

    run(scene)


def test_the_share_of_strangers_is_that_of_the_whole_list() -> None:
    """An event that names fifteen of them is compared with all members there, not with those it names."""

    async def scene() -> None:
        push_only = rules_of(lance=remote_rules(1, directions={Field.MEMBERS: Direction.PUSH}))
        world = await linked(World(push_only), "crm", "lance")
        world.wait(10)
        world.tell("crm", world.put("crm", members=people(100)))
        await world.rest()
        world.wait(10)
        shown = world.put("lance", members=people(15, 100))
        world.tell("lance", shown, data={"members_added": list(people(15, 100))})
        await world.rest()
        assert frozenset(people(100)) == world.shown("lance").members
        assert ChangeKind.BRAKE not in [change.kind for _, change in world.memory.tables.changes]

    run(scene)


def _put(store: MemoryStore, lead_list: LeadList) -> int:
    def work(tx: Tx) -> int:
        number = tx.create([lead_list.kind])[0]
        tx.save([(None, replace(lead_list, id=number))])
        return number

    return store.run_now(work)
