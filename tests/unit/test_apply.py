"""Plan and apply: what a person is shown is what is sent, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from models.lead_list import Field, Standing, Waiting
from models.ledger import ChangeKind
from models.patch import Patch
from models.plan import KEPT, KEPT_FOR, KeptPlan
from tests.support.heart import rules_of
from tests.support.world import TestClock, World, answers, edited, run
from worker.engine.rules import Rules
from worker.errors import NotPossible, UsageError
from worker.sync import apply as use_case
from worker.sync import operate
from worker.sync.apply import Applied, Fate, Offer
from worker.sync.push import claim


def reviewed(*names: str) -> Rules:
    """Every remote writes by itself, but for these."""
    rules = rules_of()
    return replace(rules, remotes={n: replace(one, review=n in names) for n, one in rules.remotes.items()})


async def edited_world(*names: str, lists: Sequence[str] = ("1", "2", "3")) -> World:
    """Lists on crm and lance, all renamed on crm; these remotes are under review."""
    world = World(reviewed(*names))
    for one in lists:
        world.put("lance", one, name="A")
        world.tell("crm", world.put("crm", one, name="A"), data={"links": {"lance": one}})
    await world.rest()
    world.wait(10)
    for one in lists:
        world.tell("crm", world.put("crm", one, name=f"B{one}"))
    await world.intake()
    return world


async def offers(world: World, remote: str | None = None) -> list[Offer]:
    """What a person is shown."""
    told: list[Offer] = []
    await use_case.look(world.store, world.rules, told.append, remote=remote)
    return told


async def plan(world: World) -> KeptPlan:
    """The same, as it is kept."""
    looked = await use_case.look(world.store, world.rules, lambda _: None)
    assert looked.plan is not None
    return await use_case.find(world.store, looked.plan.hash[:12])


async def applied(world: World, kept: KeptPlan) -> Applied:
    """Let it through."""
    return await use_case.apply(world.store, world.rules, kept)


def name(world: World, remote_id: str, remote: str = "lance") -> object:
    """What a remote shows."""
    return world.shown(remote, remote_id).fields[Field.NAME]


def test_the_plan_is_what_push_sends() -> None:
    """The very patches, one for each copy, with the values that they are written over."""

    async def scene() -> None:
        world = await edited_world()
        told = await offers(world)
        await world.rest()
        assert [offer.patch for offer in told] == [Patch({Field.NAME: f"B{n}"}) for n in (1, 2, 3)]
        assert [offer.copy.seen[Field.NAME].value for offer in told] == ["A", "A", "A"]
        assert list(world.patches("lance")) == [{"name": f"B{n}"} for n in (1, 2, 3)]
        assert await offers(world) == []

    run(scene)


def test_apply_sends_what_was_shown_and_nothing_more() -> None:
    """What is edited after the plan is not in it, and is not sent."""

    async def scene() -> None:
        world = await edited_world("lance")
        kept = await plan(world)
        world.tell("crm", world.put("crm", "2", name="C"))
        await world.intake()
        done = await applied(world, kept)
        assert (done.fates, done.let_through) == ((Fate.SENDING, Fate.MOVED, Fate.SENDING), 2)
        assert done.due == {"lance"}
        await world.rest()
        assert [name(world, one) for one in "123"] == ["B1", "A", "B3"]
        assert world.copy("lance", "2").waiting is Waiting.REVIEW
        after = await use_case.judge(world.store, world.rules, kept)
        assert after.fates == (Fate.SENT, Fate.MOVED, Fate.SENT)

    run(scene)


def test_the_same_plan_twice_finds_nothing_to_do() -> None:
    """Neither before the first one was sent nor afterwards; the ledger tells of one approval for each copy."""

    async def scene() -> None:
        world = await edited_world("lance")
        kept = await plan(world)
        first, second = await applied(world, kept), await applied(world, kept)
        assert (first.let_through, second.let_through) == (3, 0)
        assert set(second.fates) == {Fate.SENDING}
        await world.rest()
        third = await applied(world, kept)
        assert (third.let_through, set(third.fates)) == (0, {Fate.SENT})
        assert len(world.patches("lance")) == 3
        approved = [change for _, change in world.memory.tables.changes if change.kind is ChangeKind.APPROVED]
        assert [(one.new, one.origin) for one in approved] == [(f"plan {kept.hash[:12]}", "lance")] * 3

    run(scene)


def test_another_base_has_moved() -> None:
    """The patch is the same, but it would overwrite something that the person never saw."""

    async def scene() -> None:
        world = await edited_world("lance", lists=["1"])
        kept = await plan(world)
        world.wait(-5)
        world.tell("lance", world.put("lance", name="meanwhile"))
        await world.intake()
        assert (await applied(world, kept)).fates == (Fate.MOVED,)
        await world.rest()
        assert name(world, "1") == "meanwhile"

    run(scene)


def test_what_was_unlinked_or_parked_is_not_sent() -> None:
    """Another list in its place is not the one that was shown either."""

    async def scene() -> None:
        world = await edited_world("lance")
        kept = await plan(world)
        await operate.unlink(world.store, world.rules, ("lance", "1"))
        await operate.unlink(world.store, world.rules, ("lance", "2"))
        world.put("lance", "other", name="A")
        await operate.link(world.store, world.rules, [("crm", "2"), ("lance", "other")])
        await world.rest()
        await applied(world, kept)
        world.wires["lance"].faults.append(answers(422))
        await world.rest()
        judged = await use_case.judge(world.store, world.rules, kept)
        assert judged.fates == (Fate.MOVED, Fate.MOVED, Fate.PARKED)
        assert name(world, "other") == "A"
        assert [offer.item.remote_id for offer in await offers(world)] == ["other"]

    run(scene)


def test_following_ends_when_all_was_sent() -> None:
    """Through passing failures; without review too."""

    async def scene() -> None:
        world = await edited_world("lance")
        kept = await plan(world)
        await applied(world, kept)
        world.wires["lance"].faults.extend([answers(503), answers(429)])
        following = asyncio.ensure_future(use_case.follow(world.store, world.rules, TestClock(), kept))
        await asyncio.sleep(0)
        assert not following.done()
        await world.rest()
        assert (await following).fates == (Fate.SENT,) * 3

    run(scene)


def test_following_ends_when_a_person_is_needed() -> None:
    """Parked, changed under review, paused: nobody waits for ever."""

    async def scene() -> None:
        world = await edited_world("lance")
        kept = await plan(world)
        await applied(world, kept)
        await edited(world, name="C")
        await operate.pause(world.store, world.rules, "lance")
        followed = await use_case.follow(world.store, world.rules, TestClock(), kept)
        assert followed.fates == (Fate.MOVED, Fate.PAUSED, Fate.PAUSED)
        await operate.resume(world.store, world.rules, "lance")
        world.wires["lance"].faults.append(answers(422))
        await world.rest()
        followed = await use_case.follow(world.store, world.rules, TestClock(), kept)
        assert followed.fates == (Fate.MOVED, Fate.PARKED, Fate.SENT)

    run(scene)


def test_without_review_later_changes_are_waited_for() -> None:
    """They are sent by themselves, so nobody has to look again."""

    async def scene() -> None:
        world = await edited_world(lists=["1"])
        kept = await plan(world)
        await edited(world, name="C")
        assert (await applied(world, kept)).fates == (Fate.MOVED,)
        following = asyncio.ensure_future(use_case.follow(world.store, world.rules, TestClock(), kept))
        await asyncio.sleep(0)
        assert not following.done()
        await world.rest()
        assert (await following).fates == (Fate.SENT,)

    run(scene)


def test_a_plan_of_one_remote_holds_no_other() -> None:
    """And one of an unknown remote is wrong usage."""

    async def scene() -> None:
        world = await edited_world("lance")
        world.put("instantly", name="A")
        await operate.link(world.store, world.rules, [("crm", "1"), ("instantly", "1")])
        await world.sync()
        world.wait(10)
        await edited(world, name="C")
        assert {offer.item.remote for offer in await offers(world)} == {"lance", "instantly"}
        assert [offer.item.remote_id for offer in await offers(world, "lance")] == ["1", "2", "3"]
        with pytest.raises(UsageError, match="no remote 'lanze'"):
            await offers(world, "lanze")

    run(scene)


def test_a_plan_may_hold_some_lists_only() -> None:
    """It says where the next one begins; together they are all, in steps of any size."""

    async def scene() -> None:
        world = await edited_world("lance", lists=[str(n) for n in range(1, 8)])
        numbers, after, hashes = list[int](), 0, set[str]()
        for _ in range(4):
            told = list[Offer]()
            looked = await use_case.look(world.store, world.rules, told.append, limit=2, after=after)
            assert looked.plan is not None
            hashes.add(looked.plan.hash)
            numbers += [offer.item.list_id for offer in told]
            after = looked.next or 0
        assert (after, numbers) == (0, sorted(one.id for one in world.memory.tables.lists.values()))
        assert len(hashes) == 4

    run(scene)


def test_large_plans_are_made_in_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is left out at their edges, and the hash is the same."""

    async def scene() -> None:
        world = await edited_world("lance", lists=[str(n) for n in range(1, 8)])
        whole = await plan(world)
        monkeypatch.setattr(use_case, "_BATCH", 3)
        assert (await plan(world)).hash == whole.hash
        assert len(whole.items) == 7

    run(scene)


def test_the_hash_is_over_contents_and_base() -> None:
    """The same patches make the same plan; another value, or another base, makes another."""

    async def scene() -> None:
        world = await edited_world("lance", lists=["1"])
        first, again = await plan(world), await plan(world)
        assert first.hash == again.hash
        await edited(world, name="C")
        second = await plan(world)
        world.wait(-5)
        world.tell("lance", world.put("lance", name="meanwhile"))
        await world.intake()
        third = await plan(world)
        assert len({first.hash, second.hash, third.hash}) == 3

    run(scene)


def test_copies_in_flight_and_pending_ones_are_named() -> None:
    """A plan is honest about what is under way, and about lists that are to be created."""

    async def scene() -> None:
        world = await edited_world(lists=["1"])
        await world.store.run(lambda tx: claim(tx, world.door("lance"), world.rules, 1))
        [offer] = await offers(world)
        assert (offer.in_flight, offer.patch) == (True, Patch({Field.NAME: "B1"}))

        rules = reviewed("lance")
        creating = replace(rules.remotes["lance"], creates=True)
        world = World(replace(rules, remotes={**rules.remotes, "lance": creating}))
        world.tell("crm", world.put("crm", name="new"))
        await world.rest()
        [offer] = await offers(world)
        assert (offer.item.creates, offer.waiting) == (True, Waiting.REVIEW)
        kept = await plan(world)
        await applied(world, kept)
        await world.scan("lance")
        await world.rest()
        assert (await use_case.judge(world.store, world.rules, kept)).fates == (Fate.SENT,)
        assert [shown.fields[Field.NAME] for shown in world.remotes["lance"].wire.lists.values()] == ["new"]

    run(scene)


def test_unknown_and_old_plans() -> None:
    """One sentence; enough digits must be given."""

    async def scene() -> None:
        world = await edited_world("lance", lists=["1"])
        kept = await plan(world)
        for digits in ("0" * 12, "nonsense", kept.hash[:11], ""):
            with pytest.raises(NotPossible, match="leadsync knows no plan"):
                await use_case.find(world.store, digits)
        assert (await use_case.find(world.store, kept.hash[:12].upper())).hash == kept.hash
        world.wait(KEPT_FOR.total_seconds() + 1)
        with pytest.raises(NotPossible, match="leadsync plan"):
            await use_case.find(world.store, kept.hash)

    run(scene)


def test_nothing_to_send_is_no_plan() -> None:
    """Nothing is kept, and copies that are only to be read are not in it."""

    async def scene() -> None:
        world = await edited_world(lists=["1"])
        await world.rest()
        world.put("lance", "2", name="x")
        await operate.link(world.store, world.rules, [("crm", "9"), ("lance", "2")])
        assert world.copy("lance", "2").standing is Standing.DUE
        looked = await use_case.look(world.store, world.rules, lambda _: None)
        assert (looked.plan, looked.next, world.memory.tables.plans) == (None, None, {})

    run(scene)


def test_settings_that_end_review_leave_nobody_behind() -> None:
    """A copy that waited for review when the settings changed is sent by apply; upkeep finds it by itself as well."""

    async def scene() -> None:
        world = await edited_world("lance", lists=["1"])
        world.rules = reviewed()
        await world.rest()
        assert world.patches("lance") == []
        await applied(world, await plan(world))
        await world.rest()
        assert name(world, "1") == "B1"

    run(scene)


def test_old_plans_go() -> None:
    """The newest are kept, for a while."""

    async def scene() -> None:
        world = await edited_world("lance", lists=["1"])
        for number in range(KEPT + 5):
            await edited(world, name=f"C{number}")
            world.now += timedelta(seconds=1)
            newest = await plan(world)
        assert len(world.memory.tables.plans) == KEPT
        assert newest.hash in world.memory.tables.plans

    run(scene)
