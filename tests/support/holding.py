"""People who hold lists and release them, in the world of tests. Used by the tests of holding."""

from __future__ import annotations

from models.lead_list import Copy, Standing, Waiting
from tests.support.world import World, linked
from worker.sync.acting import Acting
from worker.sync.holding import hold, release
from worker.sync.operate import Moved

CRM, LANCE = ("crm", "1"), ("lance", "1")
#: Due, waits for its release, and nothing is done by itself.
ON_HOLD = (Standing.DUE, Waiting.HOLD, False)


async def holds(world: World, *keys: tuple[str, str], alone: bool = False, who: str = "cli:ada") -> Moved:
    """Ada holds them."""
    return await hold(Acting(world.store, who), world.rules, keys or [CRM], alone=alone)


async def releases(world: World, *keys: tuple[str, str], alone: bool = False) -> Moved:
    """Bob releases them."""
    return await release(Acting(world.store, "cli:bob"), world.rules, keys or [CRM], alone=alone)


async def three(world: World | None = None) -> World:
    """The same list on three remotes, in sync, ten seconds later."""
    world = await linked(world or World(), "crm", "lance", "instantly")
    world.wait(10)
    return world


def stands(copy: Copy) -> tuple[Standing, Waiting | None, bool]:
    """Where it stands, why it waits, and whether anything will be done by itself."""
    return copy.standing, copy.waiting, copy.due_at is not None
