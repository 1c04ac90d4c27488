"""Two-way rules as recorded histories: who edited what and when, what everybody shows in the end, and which calls it
took. After every burst, whatever the order of its events, nothing more is sent.
"""

from __future__ import annotations

import itertools
import random

import pytest

from models.lead_list import Field, Standing
from models.ledger import ChangeKind
from tests.support.heart import remote_rules, rules_of
from tests.support.world import World, linked, run
from worker.engine.rules import Policy, Rules

REMOTES = ("crm", "lance", "instantly")


CRM_B, LANCE_C, INSTANTLY_D = ("crm", "B"), ("lance", "C"), ("instantly", "D")
CONFLICT, HELD = ChangeKind.CONFLICT, ChangeKind.HELD

#: The policy; who set which name, in the order of their time; the order in which that is told, as places in it; what
#: CRM, Lance and Instantly show in the end; how many PATCHes each of them got; what the ledger keeps: what was wanted,
#: and what was shown.
HISTORIES = [
    (Policy.AUTHORITY, (CRM_B, LANCE_C), (0, 1), "BBB", (0, 1, 1), ((CONFLICT, "B", "C"),)),
    (Policy.AUTHORITY, (CRM_B, LANCE_C), (1, 0), "BBB", (0, 1, 1), ((CONFLICT, "C", "B"),)),
    (Policy.AUTHORITY, (LANCE_C, INSTANTLY_D), (0, 1), "CCC", (1, 0, 1), ((CONFLICT, "C", "D"),)),
    (Policy.AUTHORITY, (LANCE_C, INSTANTLY_D), (1, 0), "CCC", (1, 0, 1), ((CONFLICT, "D", "C"),)),
    (Policy.NEWEST, (CRM_B, LANCE_C), (0, 1), "CCC", (1, 0, 1), ((CONFLICT, "B", "C"),)),
    (Policy.NEWEST, (CRM_B, LANCE_C), (1, 0), "CCC", (1, 0, 1), ((CONFLICT, "C", "B"),)),
    (Policy.NEWEST, (LANCE_C, CRM_B), (0, 1), "BBB", (0, 1, 1), ((CONFLICT, "C", "B"),)),
    (Policy.NEWEST, (LANCE_C, CRM_B), (1, 0), "BBB", (0, 1, 1), ((CONFLICT, "B", "C"),)),
    (Policy.HOLD, (CRM_B, LANCE_C), (0, 1), "BCB", (0, 0, 1), ((HELD, "B", "C"),)),
    (Policy.HOLD, (CRM_B, LANCE_C), (1, 0), "BCC", (0, 0, 1), ((HELD, "C", "B"),)),
    (Policy.HOLD, (CRM_B, ("lance", "B")), (0, 1), "BBB", (0, 0, 1), ()),
]


@pytest.mark.parametrize(("policy", "edits", "told", "shows", "patches", "ledger"), HISTORIES)
def test_the_same_field_edited_on_two_sides_within_a_second(
    policy: Policy,
    edits: tuple[tuple[str, str], ...],
    told: tuple[int, ...],
    shows: str,
    patches: tuple[int, int, int],
    ledger: tuple[tuple[ChangeKind, str, str], ...],
) -> None:
    """The policy decides, whichever event comes first; the fewest calls; the ledger keeps both values."""

    async def scene() -> None:
        world = await linked(World(rules_of({Field.NAME: policy})), *REMOTES)
        world.wait(10)
        events = []
        for remote, name in edits:
            events.append(world.event(remote, world.put(remote, name=name)))
            world.wait(0.1)
        for place in told:
            world.log.add(events[place])
        await world.rest()

        assert shows == "".join(names(world))
        assert patches == tuple(len(world.patches(remote)) for remote in REMOTES)
        assert ledger == tuple(_decisions(world))
        held = {copy.remote for copy in world.copies() if copy.standing is Standing.CONFLICT}
        assert len(held) == sum(kind is HELD for kind, _, _ in ledger)

    run(scene)


@pytest.mark.parametrize("order", list(itertools.permutations(REMOTES)))
@pytest.mark.parametrize("policy", Policy)
def test_copies_that_differ_when_they_are_linked_take_the_name_of_the_first_authority(
    policy: Policy, order: tuple[str, ...]
) -> None:
    """Whichever was seen first, under any policy: it is no conflict, since nobody edited. Members become a union."""

    async def scene() -> None:
        world = World(rules_of({Field.NAME: policy}))
        for remote, name in zip(REMOTES, "BCD", strict=True):
            world.put(remote, name=name, members=[remote])
        first, *others = order
        for remote in order:
            world.tell(remote, world.shown(remote))
        world.tell(first, world.shown(first), data={"links": dict.fromkeys(others, "1")})
        await world.rest()

        assert ["B"] * 3 == names(world)
        assert [frozenset(REMOTES)] * 3 == [world.shown(remote).members for remote in REMOTES]
        assert [1, 1, 1] == [len(world.patches(remote)) for remote in REMOTES]
        assert not _decisions(world)

    run(scene)


@pytest.mark.parametrize("policy", [Policy.AUTHORITY, Policy.NEWEST])
@pytest.mark.parametrize("seed", range(40))
def test_after_any_burst_of_edits_nothing_more_is_sent(policy: Policy, seed: int) -> None:
    """Edits on all sides, events late, twice and in any order, pushes in between; Instantly shows no versions in half
    of the runs. In the end all are equal, and telling everything again sends nothing.
    """

    async def scene() -> None:
        chance = random.Random(seed)
        world = await linked(World(_rules(policy, versioned=bool(seed % 2))), *REMOTES)
        told = await _burst(world, chance)
        for remote in REMOTES:  # what was lost on its way is told by a scan
            world.wait(10)
            await world.scan(remote)
        await world.rest()
        assert 1 == len(set(names(world)))
        assert 1 == len({world.shown(remote).members for remote in ("crm", "lance")})
        sent = {remote: len(world.patches(remote)) for remote in REMOTES}

        told += [world.event(remote, world.shown(remote)) for remote in REMOTES]
        for event in chance.sample(told, len(told)):
            world.log.add(event)
        await world.rest()
        for remote in REMOTES:
            world.wait(10)
            await world.scan(remote)
        await world.rest()
        assert sent == {remote: len(world.patches(remote)) for remote in REMOTES}
        assert {Standing.IN_SYNC} == {copy.standing for copy in world.copies()}

    run(scene)


def _rules(policy: Policy, *, versioned: bool) -> Rules:
    return rules_of({Field.NAME: policy}, instantly=remote_rules(2, versioned=versioned))


async def _burst(world: World, chance: random.Random) -> list[bytes]:
    """Edits, some of which are told, and pushes in between. Answers with all events."""
    told: list[bytes] = []
    waiting: list[bytes] = []
    for _ in range(12):
        world.wait(chance.choice([0.1, 0.5, 3]))
        remote = chance.choice(REMOTES)
        if chance.random() < 0.5:
            shown = world.put(remote, name=chance.choice("ABCDE"))
        else:
            shown = world.put(remote, members=[f"p{chance.randrange(6)}"])
        event = world.event(remote, shown)
        told.append(event)
        waiting += [event] * chance.choice([0, 1, 1, 2])
        chance.shuffle(waiting)
        while waiting and chance.random() < 0.5:
            world.log.add(waiting.pop())
        if chance.random() < 0.4:
            await world.sync()
    for event in waiting:
        world.log.add(event)
    await world.rest()
    return told


def names(world: World) -> list[str]:
    """What each remote shows."""
    return [str(world.shown(remote).fields[Field.NAME]) for remote in REMOTES]


def _decisions(world: World) -> list[tuple[ChangeKind, str, str]]:
    changes = (change for _, change in world.memory.tables.changes)
    return [(one.kind, one.old, one.new) for one in changes if one.kind in (CONFLICT, HELD)]
