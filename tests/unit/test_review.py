"""Review mode: nothing is written there but what a person has let through, whatever happens on the way."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from models.lead_list import Absence, Copy, Field, LeadList, Standing, Waiting
from tests.support.heart import rules_of
from tests.support.world import LATE_WRITE_S, TestClock, World, answers, applied, edited, linked, lost, run
from worker.engine.plan import offered, restand, signature
from worker.engine.rules import Rules
from worker.ports import Tx
from worker.sync.push import claim, push


def reviewed(*names: str, **changes: Any) -> Rules:
    """Every remote writes by itself, but for these."""
    rules = rules_of()
    remotes = {name: replace(one, review=name in names) for name, one in rules.remotes.items()}
    return replace(rules, remotes={**remotes, **changes})


async def waiting_world(name: str = "B", **fields: Any) -> World:
    """A list on crm and lance; it was edited on crm, and lance is under review."""
    world = await linked(World(reviewed("lance")), "crm", "lance")
    world.wait(10)
    return await edited(world, name=name, **fields)


async def approve(world: World, remote: str = "lance", remote_id: str = "1") -> None:
    """A person lets through what is offered at this moment."""

    def work(tx: Tx) -> None:
        number = tx.find([(remote, remote_id)])[remote, remote_id]
        before = tx.load([number])[number]
        copy = before.copies[remote]
        patch = offered(before, copy, world.rules.remotes[remote], tx.now)
        let = replace(before, copies={**before.copies, remote: replace(copy, approved=signature(copy, patch))})
        tx.save([(before, restand(let, world.rules, tx.now))])

    await world.store.run(work)


def names_sent(world: World, remote: str = "lance") -> list[Any]:
    """The names in all patches sent there."""
    return [body.get("name") for body in world.patches(remote)]


def test_nothing_is_written_without_a_person() -> None:
    """The copy is due and says why it waits; reads go on; the others are pushed."""

    async def scene() -> None:
        world = await linked(World(reviewed("lance")), "crm", "lance", "instantly")
        world.wait(10)
        await edited(world, name="B")
        world.tell("lance", None)  # a hint: it is read all the same
        await world.rest()
        copy = world.copy("lance")
        assert (copy.standing, copy.waiting, copy.due_at) == (Standing.DUE, Waiting.REVIEW, None)
        assert [request.method for request in world.wires["lance"].sent] == ["GET"]
        assert world.shown("instantly").fields[Field.NAME] == "B"

    run(scene)


def test_what_was_let_through_is_sent_once() -> None:
    """And the approval is used up."""

    async def scene() -> None:
        world = await waiting_world()
        await approve(world)
        await world.rest()
        assert world.shown("lance").fields[Field.NAME] == "B"
        assert (world.copy("lance").standing, world.copy("lance").approved) == (Standing.IN_SYNC, "")
        world.wait(10)
        await edited(world, name="A")
        await edited(world, name="B")
        await world.rest()
        assert len(world.patches("lance")) == 1

    run(scene)


def test_passing_failures_need_no_new_approval() -> None:
    """429, 503 and a lost answer: the same patch over the same values goes on by itself."""

    async def scene() -> None:
        world = await waiting_world()
        await approve(world)
        world.wires["lance"].faults.extend([answers(429), answers(503), None, lost])
        await world.rest()
        assert world.shown("lance").fields[Field.NAME] == "B"
        assert len(world.patches("lance")) == 4
        assert world.copy("lance").standing is Standing.IN_SYNC

    run(scene)


def test_members_that_were_let_through_go_on_after_an_unclear_outcome() -> None:
    """They wait until the lost write can no longer land, and so does the name beside them; then both are sent."""

    async def scene() -> None:
        world = await waiting_world(members=["ada"])
        await approve(world)
        world.wires["lance"].faults.append(lost)
        await world.sync()
        world.wait(5)
        await world.sync()
        copy = world.copy("lance")
        assert (copy.waiting, len(world.patches("lance"))) == (Waiting.READ_BACK, 1)
        await world.rest()
        assert world.shown("lance").members == frozenset({"ada"})
        assert world.shown("lance").fields[Field.NAME] == "B"
        assert len(world.patches("lance")) == 2

    run(scene)


def test_an_unclear_outcome_that_was_applied_is_only_read() -> None:
    """Nothing is left to send or to let through."""

    async def scene() -> None:
        world = await waiting_world(members=["ada"])
        await approve(world)
        world.wires["lance"].faults.append(applied)
        await world.rest()
        assert len(world.patches("lance")) == 1
        assert (world.copy("lance").standing, world.copy("lance").approved) == (Standing.IN_SYNC, "")

    run(scene)


def test_a_killed_worker_needs_no_new_approval() -> None:
    """The lease ends, the copy is read, and the same patch is sent."""

    async def scene() -> None:
        world = await waiting_world()
        await approve(world)

        def claimed(tx: Tx) -> None:
            assert claim(tx, world.door("lance"), world.rules, 1)[0]

        await world.store.run(claimed)
        await world.rest()
        assert names_sent(world) == ["B"]
        assert world.copy("lance").standing is Standing.IN_SYNC

    run(scene)


def test_a_change_after_the_approval_waits_again() -> None:
    """What goes out is what a person saw, or nothing; also where the change takes back the first one."""

    async def scene() -> None:
        world = await waiting_world()
        await approve(world)
        await edited(world, name="C")
        await world.rest()
        assert (world.copy("lance").waiting, world.copy("lance").approved) == (Waiting.REVIEW, "")
        await edited(world, name="B")
        await world.rest()
        assert world.patches("lance") == []

    run(scene)


def test_another_base_waits_again() -> None:
    """Somebody edited the very list that is to be written: the approval was for writing over another value."""

    async def scene() -> None:
        world = await waiting_world()
        await approve(world)
        world.wait(-5)
        world.tell("lance", world.put("lance", name="meanwhile"))
        await world.intake()
        assert world.wanted()["name"] == "B"  # crm has the authority
        await world.rest()
        assert world.patches("lance") == []
        assert world.copy("lance").waiting is Waiting.REVIEW
        await approve(world)
        await world.rest()
        assert names_sent(world) == ["B"]

    run(scene)


def test_a_change_during_the_flight_waits_for_review() -> None:
    """What is in flight lands; what came meanwhile does not follow it."""

    async def scene() -> None:
        world = await waiting_world()
        await approve(world)

        async def overtaken(request: Any, wire: Any) -> Any:
            await edited(world, name="C")
            return await wire.exchange(request)

        world.wires["lance"].faults.append(overtaken)
        await world.rest()
        assert names_sent(world) == ["B"]
        copy = world.copy("lance")
        assert (copy.waiting, copy.approved) == (Waiting.REVIEW, "")
        assert world.shown("lance").fields[Field.NAME] == "B"

    run(scene)


def test_a_patch_that_can_be_sent_in_part_only_does_not_spin() -> None:
    """While the owner waits for read-back, the name beside it needs approval: nobody claims the copy over and over."""

    async def scene() -> None:
        world = World(reviewed("lance"))
        world.put("lance", name="A", owner="zero")
        world.tell("crm", world.put("crm", name="A", owner="zero"), data={"links": {"lance": "1"}})
        await world.rest()
        world.wait(10)
        await edited(world, owner="one")
        await approve(world)
        world.wires["lance"].faults.append(lost)
        await world.sync()
        await edited(world, name="C", owner="two")
        world.wait(5)
        looks = 0
        run_one = world.memory.run

        async def counted(work: Any) -> Any:
            nonlocal looks
            looks += 1
            assert looks < 50
            return await run_one(work)

        world.memory.run = counted  # type: ignore[method-assign]  # a fault
        await push(world.door("lance"), world.store, world.rules, TestClock(), for_s=1.0, spread=lambda: 0.5)
        copy = world.copy("lance")
        assert (copy.waiting, copy.due_at is not None and copy.due_at > world.now) == (Waiting.READ_BACK, True)
        world.memory.run = run_one  # type: ignore[method-assign]  # a fault
        await world.rest()
        assert world.copy("lance").waiting is Waiting.REVIEW
        assert len(world.patches("lance")) == 1
        await approve(world)
        await world.rest()
        assert world.shown("lance").fields[Field.NAME] == "C"

    run(scene)


def test_what_is_let_through_while_an_older_write_may_land_is_sent_after_it() -> None:
    """The whole patch is offered and approved at once, and goes out by itself when its time has come."""

    async def scene() -> None:
        world = await waiting_world()
        await approve(world)
        world.wires["lance"].faults.append(lost)
        await world.sync()
        await edited(world, name="C")
        world.wait(5)
        await world.sync()
        await approve(world)
        await world.sync()
        assert names_sent(world) == ["B"]
        world.wait(LATE_WRITE_S)
        await world.rest()
        assert names_sent(world) == ["B", "C"]
        assert world.copy("lance").standing is Standing.IN_SYNC

    run(scene)


def test_members_are_covered_by_the_signature() -> None:
    """One more to add, or one less to remove, is another patch; members that others edit there are no part of it."""

    async def scene() -> None:
        world = await waiting_world(members=["ada"])
        await approve(world)
        world.wait(5)
        world.tell("lance", world.put("lance", members=["own"]))
        await world.intake()
        assert world.copy("lance").approved
        await edited(world, members=["bob"])
        await world.rest()
        assert world.patches("lance") == []
        assert world.copy("lance").waiting is Waiting.REVIEW

    run(scene)


def test_an_approval_is_for_one_list_there() -> None:
    """Tied to another list with the same values, the same patch is not the one that a person saw."""
    first = Copy(remote="lance", remote_id="1")
    patch = offered(LeadList(copies={"lance": first}), first, reviewed("lance").remotes["lance"], World().now)
    assert signature(first, patch) != signature(replace(first, remote_id="2"), patch)


def test_a_list_is_created_only_after_review() -> None:
    """It waits for a person, then for a complete scan; a lost create is looked for, never repeated blindly."""

    async def scene() -> None:
        rules = reviewed("lance")
        lance = replace(rules.remotes["lance"], creates=True)
        world = World(replace(rules, remotes={**rules.remotes, "lance": lance}))
        world.tell("crm", world.put("crm", name="new", members=["ada"]))
        await world.sync()
        await world.scan("lance")
        [pending] = [copy for copy in world.copies() if copy.remote == "lance"]
        assert (pending.pending, pending.waiting) == (True, Waiting.REVIEW)
        assert world.patches("lance") == []
        await approve(world, "lance", pending.remote_id)
        world.wires["lance"].faults.append(lost)
        await world.sync()
        world.wait(LATE_WRITE_S + 1)
        await world.sync()
        await world.scan("lance")
        await world.rest()
        assert [shown.fields[Field.NAME] for shown in world.remotes["lance"].wire.lists.values()] == ["new"]
        [made] = [copy for copy in world.copies() if copy.remote == "lance"]
        assert not made.pending
        assert Absence.NOT_FOUND not in made.absent

    run(scene)
