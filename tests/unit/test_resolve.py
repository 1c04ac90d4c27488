"""What people decide about held fields, and what news does that comes after it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from models.lead_list import Field, LeadList, Standing
from models.ledger import ChangeKind
from tests.support.heart import (
    agreed_list,
    later,
    observation,
    remote_rules,
    rules_of,
)
from tests.support.world import World, edited, linked, run
from worker.engine.observe import observe
from worker.engine.plan import restand
from worker.engine.rules import Policy, Rules
from worker.errors import UsageError
from worker.store.memory import MemoryStore, MemoryTx
from worker.sync.resolve import WANTED, HeldField, Resolved, field_named, resolve

HOLD = rules_of({Field.NAME: Policy.HOLD})
NAME: HeldField = (("crm", "1"), Field.NAME)
REMOTES = ("crm", "lance", "instantly")


async def in_conflict(rules: Rules = HOLD) -> World:
    """Everybody showed A; the CRM was edited to B, and Lance to C before it was told."""
    world = await linked(World(rules), *REMOTES)
    world.wait(10)
    crm = world.put("crm", name="B")
    world.wait(1)
    lance = world.put("lance", name="C")
    world.tell("crm", crm)
    world.tell("lance", lance)
    await world.rest()
    assert Standing.CONFLICT is world.copy("lance").standing
    return world


async def decided(world: World, use: str, *which: HeldField) -> Resolved:
    """A person decides, and everything comes to rest."""
    world.wait(5)
    resolved = await resolve(world.store, world.rules, which or (NAME,), use=use)
    await world.rest()
    return resolved


def names(world: World) -> list[str]:
    """What each remote shows."""
    return [str(world.shown(remote).fields[Field.NAME]) for remote in REMOTES]


def kinds(world: World) -> list[ChangeKind]:
    """What the ledger tells, in order."""
    return [change.kind for _, change in world.memory.tables.changes]


@pytest.mark.parametrize(
    ("use", "name", "calls"),
    [
        ("lance", "C", {"crm": 1, "lance": 0, "instantly": 2}),
        (WANTED, "B", {"crm": 0, "lance": 1, "instantly": 1}),
        ("crm", "B", {"crm": 0, "lance": 1, "instantly": 1}),
    ],
)
def test_a_conflict_is_decided_by_naming_whose_value_it_is(use: str, name: str, calls: dict[str, int]) -> None:
    """The others are told, nobody twice; the ledger keeps both values and who decided."""

    async def scene() -> None:
        world = await in_conflict()
        resolved = await decided(world, use)

        assert 1 == resolved.fields
        assert [name] * 3 == names(world)
        assert calls == {remote: len(world.patches(remote)) for remote in REMOTES}
        assert {Standing.IN_SYNC} == {copy.standing for copy in world.copies()}
        change = world.memory.tables.changes[-1][1]
        assert (ChangeKind.RESOLVED, "B", name) == (change.kind, change.old, change.new)
        assert "a person's command" == change.cause
        assert ("lance" if use == "lance" else "crm") == change.origin

    run(scene)


@pytest.mark.parametrize(("use", "name"), [("lance", "C"), ("instantly", "D"), (WANTED, "B")])
def test_copies_that_hold_different_values_are_decided_at_once(use: str, name: str) -> None:
    """One list, one answer: the values that were not chosen are overwritten too."""

    async def scene() -> None:
        world = await linked(World(HOLD), *REMOTES)
        world.wait(10)
        for event in [
            world.event(remote, world.put(remote, name=put)) for remote, put in zip(REMOTES, "BCD", strict=True)
        ]:
            world.log.add(event)
        await world.rest()
        assert ["B", "C", "D"] == names(world)
        assert 1 == (await decided(world, use)).fields
        assert [name] * 3 == names(world)
        assert not any(copy.held for copy in world.copies())

    run(scene)


@pytest.mark.parametrize("use", ["lance", WANTED])
def test_deciding_twice_is_deciding_once(use: str) -> None:
    """What is held no more is left alone."""

    async def scene() -> None:
        world = await in_conflict()
        await decided(world, use)
        before = dict(world.memory.tables.lists)
        assert Resolved() == await decided(world, use)
        assert before == world.memory.tables.lists

    run(scene)


@pytest.mark.parametrize("use", ["lance", WANTED])
def test_late_news_and_echoes_do_not_bring_a_decided_conflict_back(use: str) -> None:
    """Every event so far arrives once more, before and after the patches: nothing is held, nothing is sent again."""

    async def scene() -> None:
        world = await linked(World(HOLD), *REMOTES)
        world.wait(10)
        told = [world.event("crm", world.put("crm", name="B"))]
        world.wait(1)
        told.append(world.event("lance", world.put("lance", name="C")))
        for event in told:
            world.log.add(event)
        await world.rest()
        world.wait(5)
        await resolve(world.store, world.rules, [NAME], use=use)
        for event in reversed(told):
            world.log.add(event)
        await world.rest()
        sent = {remote: len(world.patches(remote)) for remote in REMOTES}
        for event in (*told, *(world.event(remote, world.shown(remote)) for remote in REMOTES)):
            world.log.add(event)
        await world.rest()

        assert sent == {remote: len(world.patches(remote)) for remote in REMOTES}
        assert 1 == len(set(names(world)))
        assert [ChangeKind.HELD] == [kind for kind in kinds(world) if kind is ChangeKind.HELD]

    run(scene)


def test_an_edit_that_comes_after_the_decision_counts() -> None:
    """The decision is about what was known; what people do next is an edit like any other."""

    async def scene() -> None:
        world = await in_conflict()
        await decided(world, "lance")
        world.wait(5)
        await edited(world, "crm", name="D")
        await world.rest()
        assert ["D"] * 3 == names(world)

    run(scene)


def test_an_edit_that_nobody_knew_of_is_held_again() -> None:
    """The CRM was edited once more before the decision: the person did not see that value."""

    async def scene() -> None:
        world = await in_conflict()
        unseen = world.put("crm", name="D")
        world.wait(5)
        await resolve(world.store, world.rules, [NAME], use="lance")
        world.tell("crm", unseen)
        await world.rest()
        assert Standing.CONFLICT is world.copy("crm").standing
        assert "C" == world.wanted()["name"]
        assert ["D", "C", "C"] == names(world)

    run(scene)


def test_a_decision_is_newer_than_all_that_was_known() -> None:
    """Settings say `newest` by now: news of an older edit loses against the person, though clocks run ahead."""
    before = agreed_list("crm", "lance", "instantly", name="A")
    store = MemoryStore(lambda: later(60))
    for remote, seconds, name in (("crm", 100, "B"), ("lance", 120, "C")):
        before = observe(before, observation(remote, seconds, {Field.NAME: name}), HOLD).lead_list
    [number] = _put(store, restand(before, HOLD, later(60)))
    key = (("crm", "crm-1"), Field.NAME)
    asyncio.run(resolve(store, HOLD, [key], use=WANTED))
    after = store.tables.lists[number]
    newest = rules_of({Field.NAME: Policy.NEWEST})
    seen = observe(after, observation("instantly", 110, {Field.NAME: "D"}), newest)

    assert later(120) == after.wanted[Field.NAME].stamp.time
    assert "B" == seen.lead_list.wanted[Field.NAME].value


def test_a_remote_that_shows_what_is_wanted_in_its_own_way_changes_nothing() -> None:
    """Its cut or lower-cased name does not become everybody's."""
    lower = rules_of(
        {Field.NAME: Policy.HOLD}, instantly=remote_rules(2, spell=lambda _, value: str(value).lower()[:3])
    )
    before = agreed_list("crm", "lance", name="Spring leads")
    instantly = agreed_list("instantly", name="spr").copies
    held = replace(before, copies={**before.copies, **instantly})
    for remote, name in (("crm", "Spring LEADS"), ("lance", "Summer")):
        held = observe(held, observation(remote, 5, {Field.NAME: name}), lower).lead_list
    store = MemoryStore(lambda: later(60))
    [number] = _put(store, restand(held, lower, later(60)))
    asyncio.run(resolve(store, lower, [(("crm", "crm-1"), Field.NAME)], use="instantly"))
    after = store.tables.lists[number]

    assert ("Spring LEADS", "crm") == (after.wanted[Field.NAME].value, after.wanted[Field.NAME].origin)
    assert Standing.DUE is after.copies["lance"].standing


def test_a_remote_that_never_showed_the_field_decides_nothing() -> None:
    """It is left as it was, and told so by the count."""

    async def scene() -> None:
        world = await linked(World(HOLD), "crm", "lance")
        world.wait(10)
        crm, lance = world.put("crm", name="B"), world.put("lance", name="C")
        world.tell("crm", crm)
        world.tell("lance", lance)
        await world.rest()
        assert Resolved() == await decided(world, "instantly")
        assert Standing.CONFLICT is world.copy("lance").standing
        assert Resolved() == await decided(world, "lance", (("crm", "nobody"), Field.NAME))

    run(scene)


def test_policy_that_changed_decides_the_next_edit() -> None:
    """A mark that an older policy left does not outlive an edit that the new one decides."""
    before = agreed_list("crm", "lance", name="A")
    for remote, name in (("crm", "B"), ("lance", "C")):
        before = observe(before, observation(remote, 5, {Field.NAME: name}), HOLD).lead_list
    assert {Field.NAME} == before.copies["lance"].held.keys()
    after = observe(before, observation("lance", 6, {Field.NAME: "D"}), rules_of()).lead_list

    assert {} == after.copies["lance"].held
    assert "B" == after.wanted[Field.NAME].value


def test_many_are_decided_in_several_transactions() -> None:
    """None is forgotten between them."""
    held = agreed_list("crm", "lance", name="A")
    for remote, name in (("crm", "B"), ("lance", "C")):
        held = observe(held, observation(remote, 5, {Field.NAME: name}), HOLD).lead_list
    store = MemoryStore(lambda: later(60))
    ids = [str(number) for number in range(450)]
    copies = held.copies.items()
    _put(store, *(replace(held, copies={n: replace(c, remote_id=one) for n, c in copies}) for one in ids))
    resolved = asyncio.run(resolve(store, HOLD, [(("lance", one), Field.NAME) for one in ids], use="lance"))

    assert Resolved(450, frozenset({"crm"})) == resolved


def test_words_that_name_nothing_are_wrong_usage() -> None:
    """One sentence that says what is known."""
    store = MemoryStore(lambda: later(0))
    with pytest.raises(UsageError, match=r"there is no remote 'crn' in the settings; known: crm, instantly, .*wanted"):
        asyncio.run(resolve(store, HOLD, [NAME], use="crn"))
    with pytest.raises(UsageError, match="there is no field 'nmae'; known: name, owner, enrichment, members"):
        field_named("nmae")


def _put(store: MemoryStore, *lists: LeadList) -> list[int]:
    def work(tx: MemoryTx) -> list[int]:
        numbers = tx.create([one.kind for one in lists])
        tx.save([(None, replace(one, id=number)) for number, one in zip(numbers, lists, strict=True)])
        return numbers

    return store.run_now(work)
