"""Members that are read by calls of their own: a scan counts them, and many lists that lost some are for a person."""

from __future__ import annotations

from dataclasses import replace
from typing import cast

import pytest

from models.lead_list import Field, Standing
from models.observation import Shown
from models.scan import ScanState
from tests.support.heart import remote_rules, rules_of
from tests.support.world import Unversioned, World, run
from worker.engine.rules import Direction
from worker.remotes.base import Send
from worker.remotes.memory import MemoryConnector
from worker.sync.schedule import decide

RULES = rules_of(instantly=replace(remote_rules(2, versioned=False), members_apart=True))
#: Members of each list: so few that the brake of one list never holds them.
EACH = 8


class Apart(Unversioned):
    """Its members are counted, and read, by calls of their own."""

    async def members(self, send: Send, remote_id: str) -> Shown:
        """See `Connector.members`."""
        whole = await MemoryConnector.get(self, send, remote_id)
        return replace(whole, version=None, rows=len(whole.members or ()))

    async def count_members(self, send: Send, remote_id: str) -> int:
        """See `Connector.count_members`."""
        return len((await MemoryConnector.get(self, send, remote_id)).members or ())


async def many_lists(lists: int) -> World:
    """On the CRM and on Instantly, with the same members; a scan has counted them."""
    world = World(RULES)
    world.remotes["instantly"] = apart = Apart("instantly")
    world.wires["instantly"]._wire = apart.wire
    for number in range(lists):
        names = [f"{number}-{one}" for one in range(EACH)]
        shown = world.put("crm", str(number), name=f"list {number}", members=names)
        world.put("instantly", str(number), name=f"list {number}", members=names)
        world.tell("crm", shown, data={"links": {"instantly": str(number)}})
    await world.rest()
    world.wait(10)
    assert 0 == (await world.scan("instantly")).drift
    return world


def lose(world: World, lists: int) -> None:
    """The first member of so many lists goes on Instantly, and nobody tells."""
    wire = cast("Apart", world.remotes["instantly"]).wire
    for number in range(lists):
        shown = wire.lists[str(number)]
        wire.put(replace(shown, members=frozenset(shown.members or ()) - {f"{number}-0"}))
    world.wait(60)


def left(world: World) -> int:
    """Members on all lists of the CRM."""
    return sum(len(world.shown("crm", one).members or ()) for one in world.remotes["crm"].wire.lists)


def test_a_few_lists_that_lost_members_are_drift() -> None:
    """Ten are never too many: they are read, and their members go everywhere."""

    async def scene() -> None:
        world = await many_lists(12)
        lose(world, 10)
        certificate = await world.scan("instantly")
        await world.rest()
        told = (certificate.state, certificate.drift, certificate.repaired)
        assert (ScanState.COMPLETE, 10, 10) == told
        assert 12 * EACH - 10 == left(world)

    run(scene)


@pytest.mark.parametrize(("release", "gone"), [(True, 11), (False, 0)])
def test_many_lists_that_lost_members_wait_for_a_person(*, release: bool, gone: int) -> None:
    """However few members each of them lost: an emptied workspace of short lists is emptied nowhere else."""

    async def scene() -> None:
        world = await many_lists(12)
        lose(world, 11)
        held = await world.scan("instantly")
        await world.rest()
        assert (ScanState.HELD, "of 12 known lists, 11 were changed there") == (held.state, held.note)
        assert 12 * EACH == left(world)
        world.memory.run_now(lambda tx: decide(tx, held.id, release=release))
        if release:
            await world.scan("instantly")
        await world.rest()
        assert 12 * EACH - gone == left(world)
        assert {Standing.IN_SYNC} == {copy.standing for copy in world.copies()}

    run(scene)


@pytest.mark.parametrize("direction", [Direction.BOTH, Direction.PULL])
def test_members_of_a_list_that_a_scan_found_are_read(direction: Direction) -> None:
    """Neither the list nor its page shows them, and nobody tells of them; where nobody else has any, too."""

    async def scene() -> None:
        instantly = remote_rules(2, versioned=False, directions={Field.MEMBERS: direction})
        world = World(rules_of(instantly=replace(instantly, members_apart=True)))
        world.remotes["instantly"] = apart = Apart("instantly")
        world.wires["instantly"]._wire = apart.wire
        world.put("instantly", name="A", members=["ann"])
        await world.scan("instantly")
        await world.rest()
        assert ["ann"] == [key for key, one in world.list_of("instantly").members.items() if one.wanted]

    run(scene)
