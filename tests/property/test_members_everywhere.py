"""Members on three sides that name them differently, after any history of comings and goings."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from hypothesis import given
from hypothesis import strategies as st

from tests.support.members import adds_up, linked_strangers, person, there
from tests.support.world import World

PEOPLE = range(1, 5)
OF = {"crm": "p{}", "lance": "l{}", "instantly": "fake{}@example.com"}


@dataclass(frozen=True)
class Edit:
    """What a person does on one side, and what becomes of the event about it."""

    remote: str
    number: int
    added: bool
    #: Events: how often it comes, and whether after the next one.
    times: int
    swapped: bool
    #: Everything is pushed before the next edit.
    pushed: bool


edits = st.lists(
    st.builds(
        Edit,
        remote=st.sampled_from(sorted(OF)),
        number=st.sampled_from(PEOPLE),
        added=st.booleans(),
        times=st.integers(0, 2),
        swapped=st.booleans(),
        pushed=st.booleans(),
    ),
    max_size=12,
)


async def known_world() -> World:
    """Everybody is known, nobody is on the list."""
    world = await linked_strangers()
    other = world.put("crm", "9", name="Another")
    world.tell("crm", other, data={"members_removed": [person(number) for number in PEOPLE]})
    await world.rest()
    return world


async def play(history: list[Edit]) -> World:
    """The edits, then peace: scans tell what no event did."""
    world, late = await known_world(), list[bytes]()
    for edit in history:
        one, shown = OF[edit.remote].format(edit.number), world.shown(edit.remote)
        world._set_clocks()
        members = (shown.members or frozenset()) | {one} if edit.added else (shown.members or frozenset()) - {one}
        after = world.remotes[edit.remote].wire.put(replace(shown, members=members))
        word = "members_added" if edit.added else "members_removed"
        event = world.event(edit.remote, after, data={"fields": {}, word: [one]})
        for each in [event] * edit.times:
            late.append(each)
        if not edit.swapped:
            for each in reversed(late):
                world.log.add(each)
            late.clear()
        world.wait(1)
        if edit.pushed:
            await world.rest()
    for each in late:
        world.log.add(each)
    await world.rest()
    for _ in range(3):
        world.wait(200)
        for remote in OF:
            await world.scan(remote)
        await world.rest()
    return world


@given(edits)
def test_all_sides_end_equal(history: list[Edit]) -> None:
    """Whatever came late, twice, swapped or not at all; and what copies keep about their members adds up."""
    world = asyncio.run(play(history))
    numbers = {
        remote: {number for number in PEOPLE if name.format(number) in there(world, remote)}
        for remote, name in OF.items()
    }
    assert numbers["crm"] == numbers["lance"] == numbers["instantly"]
    assert {one.replace("p", "") for one in there(world, "crm")} == {str(number) for number in numbers["crm"]}
    adds_up(world.list_of())
    for wire in world.wires.values():
        assert 0 == wire.overlaps


@given(edits)
def test_nothing_is_lost_and_nothing_comes_back(history: list[Edit]) -> None:
    """A member whom only one person touched, and once, ends as that person left it."""
    world = asyncio.run(play(history))
    for number in PEOPLE:
        mine = [edit for edit in history if edit.number == number]
        if len(mine) == 1:
            assert mine[0].added == (OF["crm"].format(number) in there(world, "crm"))


@given(edits)
def test_a_second_pass_is_silent(history: list[Edit]) -> None:
    """Once all is equal, scans and pushes write nothing."""

    async def scene() -> None:
        world = await play(history)
        for wire in world.wires.values():
            wire.sent.clear()
        for remote in OF:
            await world.scan(remote)
        await world.rest()
        assert [] == [request for wire in world.wires.values() for request in wire.sent if request.writes]

    asyncio.run(scene())
