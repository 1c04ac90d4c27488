"""Creating missing lists: exactly one on each remote, and what a list of the same name means."""

from __future__ import annotations

from datetime import timedelta

from models.lead_list import Standing, Waiting
from models.ledger import ChangeKind
from tests.support.creating import appears, creating, names, pending, posts, scanned, told
from tests.support.heart import rules_of
from tests.support.world import World, run
from worker.sync import operate


def test_a_new_list_appears_on_the_others_exactly_once() -> None:
    """One POST each, and its echo writes nothing."""

    async def scene() -> None:
        world = await scanned()
        await appears(world)
        await world.rest()
        for remote in ("lance", "instantly"):
            assert names(world, remote) == ["Berlin"]
            assert len(posts(world, remote)) == 1
            await world.scan(remote)
            world.wait(60)
        await world.rest()
        assert [len(world.wires[remote].patches) for remote in world.remotes] == [0, 1, 1]
        assert {copy.standing for copy in world.copies()} == {Standing.IN_SYNC}
        assert told(world).count(ChangeKind.CREATED) == 2

    run(scene)


def test_the_attempt_says_create() -> None:
    """The ledger of calls tells a POST from a PATCH."""

    async def scene() -> None:
        world = await scanned()
        await appears(world)
        await world.rest()
        made = [one for one in world.memory.tables.attempts if one.action == "create"]
        assert [(one.remote, one.sent, one.outcome) for one in made] == [
            ("lance", {"name": "Berlin"}, "done"),
            ("instantly", {"name": "Berlin"}, "done"),
        ]

    run(scene)


def test_members_are_told_after_the_list_is_there() -> None:
    """The list is made without them, and gets them by the next patch."""

    async def scene() -> None:
        world = await scanned()
        await appears(world, members=["p1", "p2"])
        await world.rest()
        assert world.wires["lance"].patches == [{"name": "Berlin"}, {"members_added": ["p1", "p2"]}]
        assert world.shown("lance", "new-1").members == frozenset({"p1", "p2"})

    run(scene)


def test_before_the_first_complete_scan_it_waits() -> None:
    """Nobody knows yet what is there already."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        await world.sync()
        assert (pending(world, "lance").standing, pending(world, "lance").waiting) == (
            Standing.DUE,
            Waiting.FIRST_SCAN,
        )
        assert posts(world, "lance") == []
        await world.scan("lance")
        world.wait(60)
        await world.sync()
        assert names(world, "lance") == ["Berlin"]

    run(scene)


def test_who_waits_for_long_is_looked_at_seldom() -> None:
    """Thousands of lists that wait for a first scan must not keep the workers busy."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        world.wait(3600)
        await world.push("lance")
        assert pending(world, "lance").due_at == world.now + timedelta(seconds=60)

    run(scene)


def test_a_list_without_a_name_is_not_created() -> None:
    """Nobody has said one."""

    async def scene() -> None:
        world = await scanned()
        shown = world.put("crm", name="x")
        world.tell("crm", shown, data={"fields": {"enrichment": True}})
        await world.intake()
        assert set(world.list_of().copies) == {"crm"}

    run(scene)


def test_what_only_a_read_told_is_created_too() -> None:
    """A hint leads to a read, and the read to the list."""

    async def scene() -> None:
        world = await scanned()
        world.put("instantly", "i1", name="Berlin")
        world.tell("instantly", None, "i1")
        await world.sync()
        assert names(world, "lance") == ["Berlin"]

    run(scene)


def test_a_setting_taken_back_creates_nothing_any_more() -> None:
    """What was waiting goes."""

    async def scene() -> None:
        world = World(creating())
        await appears(world)
        await world.sync()
        world.rules = rules_of()
        await world.scan("lance")
        world.wait(60)
        await world.sync()
        assert set(world.list_of().copies) == {"crm"}
        assert posts(world, "lance") == []

    run(scene)


async def taken() -> World:
    """Lance has a list of that name, in another spelling, that leadsync cannot tell from the new one."""
    world = World(creating())
    world.put("lance", "old", name=" berlin ")
    for remote in world.remotes:
        await world.scan(remote)
    world.wait(10)
    await world.rest()
    for wire in world.wires.values():
        wire.sent.clear()
    await appears(world)
    await world.sync()
    return world


def step_of(world: World) -> str:
    """What a person is told to do."""
    copy = pending(world, "lance")
    assert copy.standing is Standing.PARKED
    assert copy.parked is not None
    assert copy.parked.cause == "lance has a list of this name already: lance:old"
    assert posts(world, "lance") == []
    return copy.parked.next_step


def test_a_list_of_the_same_name_is_a_question_for_a_person() -> None:
    """First way out: it is the same one, and is linked."""

    async def scene() -> None:
        world = await taken()
        assert "leadsync link crm:1 lance:old" in step_of(world)
        await operate.link(world.store, world.rules, [("crm", "1"), ("lance", "old")])
        await world.rest()
        assert world.list_of("lance", "old").id == world.list_of().id
        assert names(world, "lance") == names(world, "crm") == ["Berlin"]
        assert posts(world, "lance") == []

    run(scene)


def test_or_it_is_another_one_and_is_renamed() -> None:
    """Second way out: one of the two gets another name."""

    async def scene() -> None:
        world = await taken()
        number = world.list_of().id
        assert f"rename one of the two, then leadsync parked retry lance:pending:{number}" in step_of(world)
        world.tell("lance", world.put("lance", "old", name="Berlin 2024"))
        await world.intake()
        await operate.retry_parked(world.store, world.rules, [("lance", f"pending:{number}")])
        await world.rest()
        assert names(world, "lance") == ["Berlin", "Berlin 2024"]
        assert world.list_of().id != world.list_of("lance", "old").id

    run(scene)


def test_renaming_the_new_one_is_enough() -> None:
    """Another name is another patch, so the copy goes on by itself."""

    async def scene() -> None:
        world = await taken()
        world.tell("crm", world.put("crm", name="Berlin 2026"))
        await world.sync()
        assert names(world, "lance") == [" berlin ", "Berlin 2026"]

    run(scene)


def test_or_it_is_not_to_be_there() -> None:
    """Third way out: the copy is let go, for good."""

    async def scene() -> None:
        world = await taken()
        number = world.list_of().id
        assert f"leadsync unlink lance:pending:{number}" in step_of(world)
        await operate.unlink(world.store, world.rules, ("lance", f"pending:{number}"))
        world.tell("crm", world.put("crm", name="Berlin 2026"))
        await world.sync()
        await world.scan("lance")
        await world.sync()
        assert names(world, "lance") == [" berlin "]
        assert world.list_of().apart == {"lance"}

    run(scene)


def test_a_retry_without_a_change_asks_again() -> None:
    """Nothing is read under an id that is none, and nothing is created."""

    async def scene() -> None:
        world = await taken()
        before = step_of(world)
        await operate.retry_parked(world.store, world.rules, [("lance", f"pending:{world.list_of().id}")])
        await world.sync()
        assert before == step_of(world)
        assert world.wires["lance"].sent == []

    run(scene)


def test_a_list_that_is_surely_another_one_does_not_count() -> None:
    """Two lists of one name in the CRM are two lists on the others."""

    async def scene() -> None:
        world = await scanned()
        await appears(world, "1")
        await world.rest()
        await appears(world, "2")
        await world.rest()
        assert names(world, "lance") == names(world, "instantly") == ["Berlin", "Berlin"]

    run(scene)
