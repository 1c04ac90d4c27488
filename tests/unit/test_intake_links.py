"""Intake on twins: links that make, join and contradict, and races with other transactions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeVar

import pytest

from models.lead_list import Field, Standing
from models.ledger import ChangeKind
from tests.support.heart import remote_rules, rules_of
from tests.support.world import World, linked, reasons, run
from worker.store.memory import MemoryStore, MemoryTx
from worker.sync.intake import take_in
from worker.sync.push import claim

T = TypeVar("T")


NAME = Field.NAME


HINTS = rules_of(instantly=remote_rules(2, versioned=False))


def test_a_link_to_a_list_never_seen_is_read_first() -> None:
    """A copy is made, to be looked at before anything is sent to it."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A"), data={"links": {"lance": "7"}})
        assert frozenset({"lance"}) == (await world.intake()).due
        copy = world.copy("lance", "7")
        assert ("7", True, Standing.DUE) == (copy.remote_id, copy.look, copy.standing)
        assert [ChangeKind.LINKED] == [change.kind for _, change in world.memory.tables.changes if change.field is None]

    run(scene)


@pytest.mark.parametrize("one_batch", [True, False])
@pytest.mark.parametrize("speaker", ["crm", "lance"])
def test_two_known_lists_become_one(one_batch: bool, speaker: str) -> None:  # noqa: FBT001 - a table
    """Each was seen by itself; a link joins them, with all that was known, in one batch or in two."""

    async def scene() -> None:
        world = World()
        world.tell("crm", world.put("crm", name="A", members=["p1"]))
        world.tell("lance", world.put("lance", "L", name="B", members=["p2"]))
        if not one_batch:
            await world.intake()
        other, remote_id = ("lance", "L") if speaker == "crm" else ("crm", "1")
        world.tell(speaker, world.shown(speaker, "1" if speaker == "crm" else "L"), data={"links": {other: remote_id}})
        await world.intake()
        assert 1 == len(world.memory.tables.lists)
        assert world.list_of("crm", "1") is world.list_of("lance", "L")
        joined = world.list_of()
        assert ("A", {"p1", "p2"}) == (
            joined.wanted[NAME].value,
            {name for name, member in joined.members.items() if member.wanted},
        )
        assert {joined.id} == {number for number, _ in world.memory.tables.changes}

    run(scene)


def test_a_known_list_keeps_its_number() -> None:
    """A new list that is linked to a known one joins it, not the other way round: calls in flight still land."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", name="B"))
        await world.intake()
        door = world.door("lance")
        (taken,), _ = world.memory.run_now(lambda tx: claim(tx, door, world.rules, 1))
        world.tell("instantly", world.put("instantly", "I", name="A"), data={"links": {"crm": "1"}})
        await world.intake()
        assert taken.list_id == world.list_of("instantly", "I").id
        assert taken.fence == world.copy("lance").fence

    run(scene)


def test_a_chain_of_links_in_one_batch() -> None:
    """Three lists become one, and their history stays together."""

    async def scene() -> None:
        world = World()
        for remote in ("crm", "lance", "instantly"):
            world.tell(remote, world.put(remote, name=remote))
        await world.intake()
        world.tell("instantly", None, data={"links": {"lance": "1"}})
        world.tell("lance", None, data={"links": {"crm": "1"}})
        await world.intake()
        (number,) = world.memory.tables.lists
        assert {"crm", "lance", "instantly"} == set(world.list_of().copies)
        assert {number} == {n for n, _ in world.memory.tables.changes} == set(world.memory.tables.links.values())
        assert "crm" == world.wanted()["name"]

    run(scene)


@pytest.mark.parametrize(
    ("reason", "links"),
    [
        ("data.links.lance: expected 1, to which it is tied; unlink that first", {"lance": "other"}),
        ("data.links.crm: expected 1, to which it is tied; unlink that first", {"crm": "other"}),
    ],
)
def test_a_link_that_contradicts_is_rejected(reason: str, links: dict[str, str]) -> None:
    """A list has one copy on each remote."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", name="B"), data={"links": links})
        await world.intake()
        assert ([reason], {"name": "A"}) == (reasons(world), world.wanted())

    run(scene)


def test_a_link_that_would_join_two_copies_of_one_remote_is_rejected() -> None:
    """The sentence names both lists and says what to do."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", "2", name="Z"), data={"links": {"instantly": "9"}})
        await world.intake()
        world.tell("crm", world.put("crm", name="B"), data={"links": {"instantly": "9"}})
        await world.intake()
        expected = "data.links.instantly: both lists have a copy on crm (1 and 2); unlink one of them first"
        assert [expected] == reasons(world)

    run(scene)


def test_a_link_told_again_is_nothing() -> None:
    """Senders may put links into every event."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        before = len(world.memory.tables.changes)
        world.tell("crm", world.put("crm", name="B"), data={"links": {"lance": "1"}})
        await world.intake()
        assert [ChangeKind.WANTED] == [change.kind for _, change in world.memory.tables.changes[before:]]

    run(scene)


# Races with other transactions


class Racing(MemoryTx):
    """Shows, once, links as they stood before another transaction changed them."""

    stale: dict[tuple[str, str], int] | None = None

    def find(self, keys: Any) -> dict[tuple[str, str], int]:
        stale, Racing.stale = Racing.stale, None
        return super().find(keys) if stale is None else stale


@pytest.mark.parametrize("stale", [99, 1])
def test_a_list_that_was_joined_or_unlinked_meanwhile_is_looked_up_again(stale: int) -> None:
    """Between our look and our lock another transaction may have moved the copy: the event is not lost."""

    async def scene() -> None:
        world = World()
        world.tell("lance", world.put("lance", name="A"))  # number 1, which does not hold the CRM's list
        world.tell("crm", world.put("crm", name="A"))
        await world.intake()

        class Store(MemoryStore):
            async def run(self, work: Callable[[MemoryTx], T]) -> T:
                return work(Racing(world.memory.tables, world.now))

        Racing.stale = {("crm", "1"): stale}
        world.tell("crm", world.put("crm", name="B"))
        (entry,) = await world.stream.read(1)
        await take_in([entry], world.stream, Store(lambda: world.now), world.rules)
        assert ([], "B") == (reasons(world), world.wanted()["name"])

    run(scene)


def test_a_copy_in_flight_keeps_its_lease() -> None:
    """News about a copy that is being pushed does not touch its lease, fence or intent."""

    async def scene() -> None:
        world = await linked(World(), "crm", "lance")
        world.tell("crm", world.put("crm", name="B"))
        await world.intake()
        door = world.door("lance")
        world.memory.run_now(lambda tx: claim(tx, door, world.rules, 1))
        before = world.copy("lance")
        world.tell("lance", world.put("lance", name="C"))
        await world.intake()
        after = world.copy("lance")
        assert "C" == after.seen[NAME].value
        assert before == replace(after, seen=before.seen)

    run(scene)
