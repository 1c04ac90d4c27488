"""A scan whose worker is killed, at any page and in any step, is completed by the next one as if nothing had been."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest

from models.scan import ScanState, Trigger
from tests.support.world import TestClock, World, run
from worker.ports import Store, Tx
from worker.remotes.base import Answer, Request, Wire
from worker.sync.scan import scan
from worker.sync.schedule import begin

T = TypeVar("T")

#: What must be the same in the end.
CERTIFICATE = ("state", "pages", "chain", "lists", "new", "drift", "repaired", "moved", "missing", "gone", "note")


class Killed(BaseException):
    """The process is gone."""


class Fate:
    """Kills at one call of wire or store, before it or after it."""

    def __init__(self, call: int, *, after: bool) -> None:
        self._left, self._after = call, after

    async def befall(self, call: Awaitable[T]) -> T:
        """Make the call, and be killed when it is the one."""
        self._left -= 1
        if not self._left and not self._after:
            raise Killed
        done = await call
        if not self._left:
            raise Killed
        return done


@dataclasses.dataclass
class MortalWire:
    """A wire of whoever may be killed."""

    wire: Wire
    fate: Fate

    async def exchange(self, request: Request) -> Answer:
        """See `Wire`."""
        return await self.fate.befall(self.wire.exchange(request))


@dataclasses.dataclass
class MortalStore:
    """A store of the same."""

    store: Store
    fate: Fate

    async def run(self, work: Callable[[Tx], T]) -> T:
        """See `Store`."""
        return await self.fate.befall(self.store.run(work))


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("after", [False, True])
def test_whenever_its_worker_is_killed_the_next_one_completes_it(*, after: bool) -> None:
    """The same pages in the same chain, nothing counted twice or left out, and gone only what is."""

    async def scene() -> None:
        whole = await (await _changed()).scan("crm")
        assert (whole.state, whole.pages, whole.lists) == (ScanState.COMPLETE, 4, 8)
        assert (whole.new, whole.drift, whole.repaired, whole.missing, whole.gone) == (1, 1, 1, 1, 1)
        kills, world = 0, await _changed()
        while await _is_killed(world, Fate(kills + 1, after=after)):
            kills += 1
            killed = await world.scan("crm")
            assert [getattr(whole, name) for name in CERTIFICATE] == [getattr(killed, name) for name in CERTIFICATE]
            world = await _changed()
        assert kills > 3 * whole.pages

    run(scene)


async def _changed() -> World:
    """Eight known lists, two a page; then one is new, one edited and one deleted, and a scan is begun."""
    world = World()
    wire = world.remotes["crm"].wire
    wire._page = 2
    for number in range(8):
        world.put("crm", str(number), name=f"list {number}")
    await world.scan("crm")
    world.wait(10)
    del wire.lists["3"]
    world.put("crm", "5", name="edited")
    world.put("crm", "new", name="new")
    await world.store.run(lambda tx: begin(tx, "crm", Trigger.PERSON))
    return world


async def _is_killed(world: World, fate: Fate) -> bool:
    """Go on with the scan until there is nothing to do at once; True when its worker did not come so far."""
    door = dataclasses.replace(world.door("crm"), wire=MortalWire(world.wires["crm"], fate))
    try:
        await scan(door, MortalStore(world.store, fate), world.rules, TestClock(), for_s=60)
    except Killed:
        world.wait(door.lease_s + 1)
        return True
    return False
