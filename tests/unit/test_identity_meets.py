"""Identity where two people, two addresses or two ids meet: nobody is taken for another, nobody is lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from models.lead_list import Field
from models.patch import Patch
from models.person import Person
from tests.support.heart import NOON, rules_of
from tests.support.members import adds_up, excluded, linked_strangers, person, strangers, there, told
from tests.support.world import TestClock, World, run
from worker.engine.rules import Direction, Rules
from worker.ports import Tx
from worker.remotes.base import Answer
from worker.remotes.instantly.errors import message
from worker.store.memory import MemoryStore
from worker.sync.identity import in_ids
from worker.sync.learning import learn
from worker.sync.upkeep import check

RULES = strangers()


def ids_for(tx: Tx, remote: str, *keys: str, rules: Rules = RULES) -> frozenset[str]:
    """What a remote is told when these members are to be added."""
    return in_ids(tx, remote, Patch({}, frozenset(keys)), rules).add


def test_who_shares_an_address_is_told_apart_by_the_crm_too() -> None:
    """Lance shows two with one address; the CRM names the second by its id, and that does not swallow the first."""

    async def scene() -> None:
        world = await linked_strangers("crm", "lance")
        await told(world, "lance", added=[{"id": one, "email": "office@example.com"} for one in ("l5", "l6")])
        await world.rest()
        await told(world, added=[{"id": "p6", "email": "office@example.com", "ids": {"lance": "l6"}}])
        await told(world, removed=["p6"])
        await world.rest()
        assert {"l5"} == there(world, "lance")
        await told(world, added=[{"id": "p5", "ids": {"lance": "l5"}}])
        await world.rest()
        assert {"p5"} == set(there(world, "crm"))
        adds_up(world.list_of())

    run(scene)


def test_an_address_that_comes_back_is_the_newest_again() -> None:
    """As the CRM said last."""

    def work(tx: Tx) -> frozenset[str]:
        for email in ("a@example.com", "b@example.com", "a@example.com"):
            learn(tx, "crm", [Person(id="p1", email=email)], RULES)
        return ids_for(tx, "instantly", "p1")

    assert {"a@example.com"} == MemoryStore(lambda: NOON).run_now(work)


def test_who_shares_the_crms_ids_does_not_speak_for_it() -> None:
    """A Lance with shared ids tells another address and name: what the CRM says counts."""
    rules = rules_of(instantly=RULES.remotes["instantly"])

    def work(tx: Tx) -> tuple[frozenset[str], str | None]:
        learn(tx, "crm", [Person(id="p1", email="right@example.com", last_name="Right")], rules)
        learn(tx, "lance", [Person(id="p1", email="stale@example.com", last_name="Stale")], rules)
        return ids_for(tx, "instantly", "p1", rules=rules), tx.identities.details(["p1"])["p1"].last_name

    assert (frozenset({"right@example.com"}), "Right") == MemoryStore(lambda: NOON).run_now(work)


def test_who_was_named_first_keeps_the_id_that_another_transaction_sees_too_late() -> None:
    """A new key for an id that somebody has by now gives way."""

    def work(tx: Tx) -> dict[str, str]:
        tx.identities.add("lance", {"l5": "p5"})
        return tx.identities.mint("lance", {"l5": "~lance:l5", "l6": "~lance:l6"})

    assert {"l5": "p5", "l6": "~lance:l6"} == MemoryStore(lambda: NOON).run_now(work)


def test_one_of_two_ids_is_gone_and_the_member_is_not() -> None:
    """Lance has somebody twice; one row goes. The list is read, and nobody is removed anywhere."""

    async def scene() -> None:
        world = await linked_strangers("crm", "lance")
        await told(world, added=[{"id": "p5", "ids": {"lance": "l5"}}])
        await world.rest()
        await told(world, "lance", added=["l5b"])
        await told(world, removed=[], added=[{"id": "p5", "ids": {"lance": "l5b"}}])
        await world.rest()
        await told(world, "lance", removed=["l5"])
        await world.rest()
        assert ({"l5b"}, {"p5"}) == (there(world, "lance"), there(world, "crm"))
        adds_up(world.list_of())

    run(scene)


def test_who_goes_and_comes_back_is_told_of_again() -> None:
    """Also where both are told in one batch: what a remote refused before may have changed there."""

    async def scene() -> None:
        world = await linked_strangers("crm", "instantly")
        await told(world, added=[person(1)])
        lead_list = world.list_of()
        refused = replace(lead_list.members["p1"], excluded={"instantly": "on the blocklist"})
        copies = {**lead_list.copies, "instantly": replace(lead_list.copies["instantly"], excluded=1)}
        held = replace(lead_list, members={"p1": refused}, copies=copies)
        world.memory.tables.lists[lead_list.id] = held
        await world.sync()
        assert ({"p1": "on the blocklist"}, set()) == (excluded(world, "instantly"), there(world, "instantly"))
        shown = world.shown("crm")
        for change in ({"members_removed": ["p1"]}, {"members_added": ["p1"]}):
            shown = world.remotes["crm"].wire.put(shown)
            world.tell("crm", shown, data={"fields": {}, **change})
        await world.rest()
        assert ({}, {"fake1@example.com"}) == (excluded(world, "instantly"), there(world, "instantly"))
        adds_up(world.list_of())

    run(scene)


@pytest.mark.parametrize("size", [5, 1_200])
def test_members_that_are_switched_on_again_catch_up(size: int) -> None:
    """What came while they were off is told then, on large lists too."""

    async def scene() -> None:
        world = World()
        names = [f"p{number}" for number in range(size)]
        world.put("lance", name="A", members=names)
        world.tell("crm", world.put("crm", name="A", members=names), data={"links": {"lance": "1"}})
        await world.rest()
        on = world.rules
        off = replace(on.remotes["lance"], directions={**on.remotes["lance"].directions, Field.MEMBERS: Direction.OFF})
        world.rules = replace(on, remotes={**on.remotes, "lance": off})
        await told(world, added=["new"])
        await world.rest()
        world.rules = on
        await check(world.store, world.rules, TestClock(), after=0, settled=False)
        await world.rest()
        assert "new" in there(world, "lance")
        adds_up(world.list_of())

    run(scene)


def test_a_remotes_own_words_are_kept_without_addresses() -> None:
    """A refusal that names a lead is shown and kept, and must not tell who that is."""
    body = b'{"statusCode": 400, "error": "Bad Request", "message": "invalid lead fake1@example.com, in row 3"}'
    assert "invalid lead (an address), in row 3" == message(Answer(status=400, body=body))
