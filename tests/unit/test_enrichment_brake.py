"""The brake that keeps many enrichments: plan shows it, apply lets exactly that through, words say the next step."""

from __future__ import annotations

from dataclasses import replace

from models.lead_list import Standing, Waiting
from models.patch import Reason
from models.plan import KeptPlan
from tests.support.members import person, strangers, there, told
from tests.support.world import TestClock, World, linked, run
from worker.documents.explain import Explained
from worker.engine.plan import plan
from worker.ports import RemoteState
from worker.sync import apply as use_case
from worker.sync.apply import Fate, Offer


async def braked() -> World:
    """The CRM added three people to a list whose enrichment is on; two may come by themselves."""
    rules = strangers()
    instantly = replace(rules.remotes["instantly"], enrich_at_once=2)
    world = World(replace(rules, remotes={**rules.remotes, "instantly": instantly}))
    await linked(world, "crm", "instantly")
    world.tell("instantly", world.put("instantly", enrichment=True))
    await world.rest()
    await told(world, added=[person(1), person(2), person(3)])
    await world.rest()
    assert Waiting.BRAKE is world.copy("instantly").waiting
    return world


async def seen(world: World) -> tuple[KeptPlan, list[Offer]]:
    """What a person is shown."""
    offers = list[Offer]()
    looked = await use_case.look(world.store, world.rules, offers.append)
    assert looked.plan is not None
    return looked.plan, offers


async def fates(world: World, kept: KeptPlan) -> tuple[Fate, ...]:
    """As `apply --wait` ends."""
    return (await use_case.follow(world.store, world.rules, TestClock(), kept)).fates


def test_plan_shows_it_and_apply_lets_it_through() -> None:
    """It waits for the brake; once applied it is due, sent whole, and nothing waits any more."""

    async def scene() -> None:
        world = await braked()
        kept, [offer] = await seen(world)
        assert (Waiting.BRAKE, 3) == (offer.waiting, len(offer.patch.add))
        done = await use_case.apply(world.store, world.rules, kept)
        assert (Fate.SENDING,) == done.fates
        assert {"instantly"} == done.due
        await world.rest()
        assert 3 == len(there(world, "instantly"))
        assert (Fate.SENT,) == await fates(world, kept)
        assert Standing.IN_SYNC is world.copy("instantly").standing

    run(scene)


def test_one_member_more_takes_the_approval_back() -> None:
    """Nothing of the new patch was seen by a person: who waits for the plan is told that it moved, not left waiting."""

    async def scene() -> None:
        world = await braked()
        kept, _ = await seen(world)
        assert (Fate.MOVED,) == await fates(world, kept)  # nobody has let it through, and it does not go by itself
        await use_case.apply(world.store, world.rules, kept)
        await told(world, added=[person(4)])
        assert Waiting.BRAKE is world.copy("instantly").waiting
        assert (Fate.MOVED,) == await fates(world, kept)
        await world.rest()
        assert set() == there(world, "instantly")

    run(scene)


def test_words_tell_the_two_brakes_apart() -> None:
    """This one is decided by plan and apply; nothing is held, so `conflicts` knows nothing of it."""

    async def scene() -> None:
        world = await braked()
        lead_list, copy = world.list_of(), world.copy("instantly")
        rules = world.rules.remotes["instantly"]
        planned = plan(lead_list, copy, rules, world.now)
        assert Reason.BRAKE not in planned.reasons.values()
        explained = Explained(
            lead_list=lead_list,
            copy=copy,
            planned=planned,
            rules=rules,
            waiting=copy.waiting,
            state=RemoteState(),
        )
        assert explained.sentences()["members"] == (
            "differs; held by the brake: 3 members would be added to a list whose enrichment is on; enrich_at_once "
            "lets 2 be added by themselves; next: leadsync plan --remote instantly, then leadsync apply HASH"
        )

    run(scene)
