"""Gone: what becomes of a copy whose list was deleted on its remote, under each setting (design rule 8)."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from models.lead_list import Field, Parked, Standing
from models.ledger import ChangeKind
from tests.support.heart import remote_rules, rules_of
from tests.support.world import World, linked, run
from worker.engine.rules import OnGone
from worker.sync import operate

NAME = Field.NAME


async def both(on_gone: OnGone = OnGone.HOLD) -> World:
    """One list on CRM and Lance, in sync, and another one beside it so that no remote is ever empty."""
    rules = rules_of(lance=replace(remote_rules(1), on_gone=on_gone))
    world = World(rules)
    for remote in ("crm", "lance"):
        world.put(remote, "2", name=f"another on {remote}")
        world.put(remote, "1", members=["p1"])
    await linked(world, "crm", "lance")
    for remote in ("crm", "lance"):
        await world.scan(remote)
    world.wait(10)
    await world.rest()
    return world


def told(world: World, kind: ChangeKind) -> int:
    """How often the ledger says so."""
    return sum(change.kind is kind for _, change in world.memory.tables.changes)


@pytest.mark.parametrize("on_gone", OnGone)
def test_a_404_alone_only_parks(on_gone: OnGone) -> None:
    """By an event that says deleted, or by a patch: whatever settings say, a scan must agree."""

    async def scene() -> None:
        world = await both(on_gone)
        del world.remotes["lance"].wire.lists["1"]
        world.tell("lance", None, type="leadlist.deleted")
        await world.rest()
        assert world.copy("lance").standing is Standing.PARKED
        assert told(world, ChangeKind.GONE) == 0

    run(scene)


def test_hold_parks_it_once_and_it_comes_back_by_itself() -> None:
    """Later scans tell nothing new; the first sight of it ends the waiting."""

    async def scene() -> None:
        world = await both()
        kept = world.remotes["lance"].wire.lists.pop("1")
        for _ in range(3):
            await world.scan("lance")
            world.wait(10)
        assert (world.copy("lance").standing, told(world, ChangeKind.GONE)) == (Standing.PARKED, 1)
        world.tell("crm", world.put("crm", name="B"))
        await world.rest()
        world.remotes["lance"].wire.lists["1"] = kept
        await world.scan("lance")
        world.wait(10)
        await world.rest()
        assert world.shown("lance").fields[NAME] == "B"
        assert world.copy("lance").standing is Standing.IN_SYNC

    run(scene)


def test_unlink_lets_it_go_and_leaves_the_others() -> None:
    """What it showed is forgotten, so nothing is removed anywhere."""

    async def scene() -> None:
        world = await both(OnGone.UNLINK)
        del world.remotes["lance"].wire.lists["1"]
        await world.scan("lance")
        assert (set(world.list_of().copies), world.list_of().apart) == ({"crm"}, frozenset({"lance"}))
        assert world.shown("crm").members == frozenset({"p1"})

    run(scene)


def test_recreate_makes_one_new_list_with_all_that_is_wanted() -> None:
    """Name first, members afterwards."""

    async def scene() -> None:
        world = await both(OnGone.RECREATE)
        del world.remotes["lance"].wire.lists["1"]
        for _ in range(2):
            await world.scan("lance")
            world.wait(60)
            await world.rest()
        new = world.list_of().copies["lance"].remote_id
        assert set(world.remotes["lance"].wire.lists) == {"2", new}
        assert (world.shown("lance", new).fields[NAME], world.shown("lance", new).members) == ("A", frozenset({"p1"}))
        assert told(world, ChangeKind.GONE) == told(world, ChangeKind.CREATED) == 1

    run(scene)


@pytest.mark.parametrize("on_gone", [OnGone.UNLINK, OnGone.RECREATE])
def test_late_news_of_a_list_that_is_gone_makes_no_new_list(on_gone: OnGone) -> None:
    """An event that was under way while it was deleted, or one that is told once more; a later one is believed."""

    async def scene() -> None:
        world = await both(on_gone)
        late = world.event("lance", world.put("lance", name="B"))
        del world.remotes["lance"].wire.lists["1"]
        await world.scan("lance")
        lists = set(world.memory.tables.lists)
        world.log.add(late)
        await world.intake()
        assert lists == set(world.memory.tables.lists)
        world.wait(3600)
        world.tell("lance", world.put("lance", name="C"))
        await world.intake()
        assert len(lists) + 1 == len(world.memory.tables.lists)

    run(scene)


def test_a_page_that_was_asked_for_before_a_list_was_gone_does_not_bring_it_back() -> None:
    """A later scan that shows it does."""

    async def scene() -> None:
        world = await both(OnGone.UNLINK)
        lance = world.remotes["lance"].wire
        kept = lance.lists.pop("1")
        await world.scan("lance")
        world.memory.tables.gone["lance", "1"] += timedelta(hours=1)
        lance.lists["1"] = kept
        assert (await world.scan("lance")).new == 0
        world.wait(7200)
        assert (await world.scan("lance")).new == 1

    run(scene)


@pytest.mark.parametrize(("on_gone", "there"), [(OnGone.HOLD, False), (OnGone.UNLINK, False), (OnGone.RECREATE, True)])
def test_deleted_here_and_edited_there_in_the_same_moment(on_gone: OnGone, there: bool) -> None:  # noqa: FBT001 - a case
    """The edit stays where it was made, and a new list shows it."""

    async def scene() -> None:
        world = await both(on_gone)
        del world.remotes["lance"].wire.lists["1"]
        world.tell("crm", world.put("crm", name="B"))
        await world.rest()
        await world.scan("lance")
        world.wait(60)
        await world.rest()
        assert world.shown("crm").fields[NAME] == "B"
        shown = [one.fields[NAME] for one in world.remotes["lance"].wire.lists.values()]
        assert ("B" in shown) is there

    run(scene)


def test_a_copy_parked_for_something_else_does_not_hold_the_scan_up() -> None:
    """It is read all the same: a scan that never ends would keep everything that waits for one."""

    async def scene() -> None:
        world = await both()
        number = world.list_of().id
        held = world.memory.tables.lists[number]
        parked = replace(held.copies["lance"], parked=Parked("refused", "x", ""), standing=Standing.PARKED)
        world.memory.tables.lists[number] = replace(held, copies={**held.copies, "lance": parked})
        del world.remotes["lance"].wire.lists["1"]
        certificate = await world.scan("lance")
        assert (certificate.state.value, certificate.gone) == ("complete", 1)
        await operate.unlink(world.store, world.rules, ("lance", "1"))
        assert set(world.list_of().copies) == {"crm"}

    run(scene)
