"""People teach who members are: those who were excluded flow, ids of others stay where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from models.audit import Action
from models.lead_list import Standing
from models.person import Naming, Person
from tests.support.heart import rules_of
from tests.support.members import adds_up, excluded, linked_strangers, person, there, told
from tests.support.world import World, run
from worker.errors import UsageError
from worker.sync.acting import Acting
from worker.sync.teach import Refused, Taught, Told, namer, teach


async def taught(world: World, *people: Person, only_check: bool = False) -> tuple[Taught, set[str]]:
    """These rows, and which remotes something is due on."""
    due = set[str]()
    rows: Sequence[Told] = [Told(line, one) for line, one in enumerate(people, 2)]
    store = Acting(world.store, "cli:ann")
    done = await teach(store, world.rules, rows, only_check=only_check, announce=due.update)
    return done, due


def numbered(number: int, **more: object) -> Person:
    """A member that is known everywhere, by key."""
    known = Person(id=f"p{number}", email=f"Fake{number}@Example.com", ids={"lance": f"l{number}"})
    return replace(known, **more)  # type: ignore[arg-type]  # any field


def test_who_was_excluded_flows() -> None:
    """Without an event: the remotes that may be told of them now are due. The same file again changes nothing."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, added=["p1", "p2", "p3"])
        await world.rest()
        assert 3 == world.copy("lance").excluded
        done, due = await taught(world, numbered(1), numbered(2, ids={}), numbered(4))
        assert (3, 3, {world.list_of().id}, 0) == (done.rows, done.members, done.lists, done.refused)
        assert {"lance", "instantly"} == due
        await world.rest()
        assert {"l1"} == there(world, "lance")
        assert {"fake1@example.com", "fake2@example.com"} == there(world, "instantly")
        assert {"p2", "p3"} == excluded(world, "lance").keys()
        adds_up(world.list_of())
        again, due = await taught(world, numbered(1), numbered(2, ids={}), numbered(4))
        assert (0, set(), set()) == (again.members, again.lists, due)

    run(scene)


def test_only_to_check_takes_nothing_in() -> None:
    """It tells what would be new."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, added=["p1"])
        await world.rest()
        done, due = await taught(world, numbered(1), only_check=True)
        assert (1, 1, set(), set()) == (done.rows, done.members, done.lists, due)
        assert {} == world.memory.tables.identities
        assert 1 == world.copy("lance").excluded

    run(scene)


def test_strangers_are_named() -> None:
    """Whom Lance had first is known by the CRM's key afterwards."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, "lance", added=[{"id": "l9", "email": "fake9@example.com"}])
        await world.rest()
        assert Standing.EXCLUDED is world.copy("crm").standing
        done, _ = await taught(world, numbered(9))
        assert (1, 0) == (done.members, done.refused)
        await world.rest()
        assert {"p9"} == there(world, "crm") == set(world.list_of().members)

    run(scene)


def test_an_id_of_another_member_stays_there() -> None:
    """The row is named, and the rest of it is taken in; so it is with two rows of one file."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, added=[person(1), "p2", "p3", "p4"])
        await world.rest()
        done, _ = await taught(
            world,
            numbered(2, email="FAKE1@example.com"),
            numbered(3, email="same@example.com"),
            numbered(4, email="same@example.com", ids={"lance": "l1"}),
        )
        assert [
            Refused(2, "its e-mail address belongs to another member, and stays there"),
            Refused(4, "its id on lance and e-mail address belongs to another member, and stays there"),
        ] == done.first
        assert 2 == done.members
        await world.rest()
        assert {"l1", "l2", "l3"} == there(world, "lance")
        assert {"fake1@example.com", "same@example.com"} == there(world, "instantly")
        adds_up(world.list_of())

    run(scene)


def test_one_that_is_named_in_this_file_takes_its_other_ids_along() -> None:
    """Lance's person has an address too; the next row cannot have it."""

    async def scene() -> None:
        world = await linked_strangers()
        await told(world, "lance", added=[{"id": "l9", "email": "fake9@example.com"}])
        await world.rest()
        done, _ = await taught(world, numbered(9, email=None), numbered(8, email="fake9@example.com", ids={}))
        assert (1, 1) == (done.members, done.refused)
        assert {"p9"} == set(world.memory.tables.identities.values())

    run(scene)


def test_many_rows_are_taken_in_some_at_a_time() -> None:
    """And of many refused ones the first are told."""

    async def scene() -> None:
        world = await linked_strangers()
        rows = (Refused(n, "bad") if n % 2 else Told(n, numbered(n)) for n in range(2, 2_502))
        done = await teach(world.store, world.rules, rows)
        assert (2_500, 1_250, 1_250, 20) == (done.rows, done.members, done.refused, len(done.first))
        assert Refused(3, "bad") == done.first[0]

    run(scene)


def test_the_audit_tells_numbers_only() -> None:
    """Who it was, and nobody's address."""

    async def scene() -> None:
        world = await linked_strangers()
        await taught(world, numbered(1), only_check=True)
        assert [] == world.memory.tables.audit
        await taught(world, numbered(1))
        [one] = world.memory.tables.audit
        assert (Action.TEACH, "crm", "cli:ann") == (one.what, one.target, one.who)
        assert {"rows": 1, "members": 1, "lists": 0, "refused": 0} == one.after

    run(scene)


def test_keys_are_those_of_the_highest_remote_that_has_them() -> None:
    """Without one there are no keys, and that is said."""
    rules = rules_of()
    assert "crm" == namer(rules)
    nobody = {name: replace(one, naming=Naming.ID) for name, one in rules.remotes.items()}
    with pytest.raises(UsageError, match="no remote in the settings has ids that are members' keys"):
        namer(replace(rules, remotes=nobody))
