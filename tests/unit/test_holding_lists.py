"""Holding lists as a whole: copies that come and go, who may release what, and what else people do meanwhile."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import pytest

from models.audit import Action
from models.lead_list import WHOLE, Field, Hold
from models.ledger import ChangeKind
from tests.support.heart import remote_rules, rules_of
from tests.support.holding import CRM, LANCE, ON_HOLD, holds, releases, stands, three
from tests.support.world import TestClock, World, edited, linked, run
from worker.engine.rules import OnGone
from worker.errors import NotKnown, NotPossible
from worker.sync import apply, operate
from worker.sync.holding import hold, release
from worker.sync.hurry import push_now
from worker.sync.operate import Moved


def test_a_list_that_is_held_is_created_nowhere() -> None:
    """A copy that comes to it later is held with it."""

    async def scene() -> None:
        rules = rules_of(instantly=replace(remote_rules(2), creates=True))
        world = await linked(World(rules_of()), "crm", "lance")
        await world.scan("instantly")
        await holds(world)
        world.rules = rules
        await edited(world, name="B")
        await world.rest()
        assert stands(world.copy("instantly", f"pending:{world.list_of().id}")) == ON_HOLD
        assert not world.wires["instantly"].patches
        await releases(world)
        await world.rest()
        assert [one.fields[Field.NAME] for one in world.remotes["instantly"].wire.lists.values()] == ["B"]

    run(scene)


def test_a_copy_that_is_created_anew_is_held_as_the_one_before_it() -> None:
    """`on_gone = "recreate"` writes nothing there either."""

    async def scene() -> None:
        world = await three(World(rules_of(lance=replace(remote_rules(1), on_gone=OnGone.RECREATE))))
        await holds(world, LANCE, alone=True)
        world.put("lance", "other", name="Z")
        del world.remotes["lance"].wire.lists["1"]
        await world.scan("lance")
        await world.rest()
        assert world.list_of().copies["lance"].pending
        assert set(world.remotes["lance"].wire.lists) == {"other"}

    run(scene)


def test_lists_that_are_joined_stay_held() -> None:
    """What is held of either is held of both."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("instantly", world.put("instantly", "9", name="Z"), "9")
        await world.rest()
        await holds(world, ("instantly", "9"), alone=True)
        await operate.link(world.store, world.rules, [CRM, ("instantly", "9")])
        await world.rest()
        assert set(world.list_of().holds) == {"instantly"}
        assert stands(world.list_of().copies["instantly"]) == ON_HOLD

    run(scene)


def test_unlinking_a_copy_forgets_that_it_was_held() -> None:
    """Another list that is linked there later is another copy; the hold of the whole list stays."""

    async def scene() -> None:
        world = await three()
        await holds(world, LANCE, alone=True)
        await holds(world)
        await operate.unlink(world.store, world.rules, LANCE)
        assert set(world.list_of().holds) == {WHOLE}

    run(scene)


def test_who_held_what_is_in_the_audit_and_in_the_history() -> None:
    """Before and after, and who released it."""

    async def scene() -> None:
        world = await three()
        await holds(world, LANCE, alone=True)
        await holds(world)
        await releases(world)
        told = [(one.who, one.what, one.target, one.after.get("on_hold")) for one in world.memory.tables.audit]
        assert told[:2] == [
            ("cli:ada", Action.HOLD, "lance:1", "lance:1"),
            ("cli:ada", Action.HOLD, "crm:1", "the whole list"),
        ]
        before = [(one.who, one.before["on_hold"], one.before["held_by"]) for one in world.memory.tables.audit[2:]]
        assert sorted(before) == [("cli:bob", "lance:1", "cli:ada"), ("cli:bob", "the whole list", "cli:ada")]
        kinds = [change.kind for _, change in world.memory.tables.changes][-4:]
        assert kinds == [ChangeKind.ON_HOLD, ChangeKind.ON_HOLD, ChangeKind.RELEASED, ChangeKind.RELEASED]

    run(scene)


def test_held_twice_stays_as_it_was_held() -> None:
    """The first person, and since when; a copy of a held list is held already."""

    async def scene() -> None:
        world = await three()
        await holds(world)
        first = world.now
        world.wait(60)
        assert (await holds(world, who="cli:bob")).copies == 0
        assert (await holds(world, LANCE, alone=True)).copies == 0
        assert world.list_of().holds == {WHOLE: Hold("cli:ada", first)}
        assert (await releases(world)).copies == 1
        assert (await releases(world)).copies == 0

    run(scene)


@pytest.mark.parametrize("act", [hold, release])
def test_an_unknown_list_stops_all_of_it(act: Callable[..., Awaitable[Moved]]) -> None:
    """Nothing was done to the others."""

    async def scene() -> None:
        world = await three()
        with pytest.raises(NotKnown, match="leadsync knows no list crm:nope"):
            await act(world.store, world.rules, [CRM, ("crm", "nope")])
        assert not world.list_of().holds

    run(scene)


def test_one_copy_cannot_be_released_from_a_list_that_is_held_as_a_whole() -> None:
    """It would be a hold of the other copies, which nobody asked for."""

    async def scene() -> None:
        world = await three()
        await holds(world)
        with pytest.raises(NotPossible, match="the whole list of lance:1 is held"):
            await releases(world, LANCE, alone=True)

    run(scene)


def test_push_now_says_that_the_list_is_held() -> None:
    """Instead of doing nothing."""

    async def scene() -> None:
        world = await three()
        await holds(world)
        with pytest.raises(NotPossible, match="held by cli:ada: release it first"):
            await push_now(world.store, world.rules, LANCE)

    run(scene)


def test_a_plan_holds_nothing_that_is_held_and_apply_says_so() -> None:
    """What was held since the plan was made is not sent, and waiting for it ends."""

    async def scene() -> None:
        rules = rules_of()
        remotes = {name: replace(one, review=True) for name, one in rules.remotes.items()}
        world = await edited(await three(World(replace(rules, remotes=remotes))), name="B")
        looked = await apply.look(world.store, world.rules, list[apply.Offer]().append)
        assert looked.plan is not None
        await holds(world, LANCE, alone=True)
        shown: list[apply.Offer] = []
        await apply.look(world.store, world.rules, shown.append)
        assert [one.item.remote for one in shown] == ["instantly"]
        done = await apply.apply(world.store, world.rules, looked.plan)
        assert sorted(done.fates) == [apply.Fate.HELD, apply.Fate.SENDING]
        await world.rest()
        followed = await apply.follow(world.store, world.rules, TestClock(), looked.plan)
        assert sorted(followed.fates) == [apply.Fate.HELD, apply.Fate.SENT]
        assert not world.patches("lance")

    run(scene)


def test_many_lists_are_held_in_parts() -> None:
    """More than one transaction takes."""

    async def scene() -> None:
        world = World()
        keys: Sequence[tuple[str, str]] = [("crm", str(number)) for number in range(450)]
        for _, number in keys:
            world.tell("crm", world.put("crm", number, name=number), number)
        await world.rest()
        assert (await holds(world, *keys)).copies == len(keys)
        assert (await releases(world, *keys)).copies == len(keys)

    run(scene)
